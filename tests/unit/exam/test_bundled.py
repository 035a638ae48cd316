"""The bundled exams: small, undamaged, and of all methods that there are."""

import shlex

import pytest

from core.cli import parser
from core.exam import BUNDLED, list_exams
from core.exam.review import check_model, settings_of
from core.explain import EXPLAINERS
from core.export.league_figure import exam_command
from core.models import load

EXAMS = list_exams(BUNDLED)
LARGEST = 5_000_000  # bytes, all together


def test_they_are_small():
    assert EXAMS
    assert sum(file.stat().st_size for file in BUNDLED.rglob("*") if file.is_file()) < LARGEST


@pytest.mark.parametrize("path", EXAMS, ids=lambda path: path.name)
def test_each_opens_undamaged_and_has_all_methods(path):
    exam = EXAMS[path]
    assert not isinstance(exam, str), exam
    assert exam.damaged() == []
    check_model(exam, load(exam.manifest.model.name))
    again = f"build this exam again: {exam_command(exam.config, path.name)}"
    assert exam.methods["name"].tolist() == list(EXPLAINERS), again
    for method in exam.methods["name"]:
        assert settings_of(exam, method) == {
            name: value for name, value in EXPLAINERS[method].budget("quick").items()
        }, again


@pytest.mark.parametrize("path", EXAMS, ids=lambda path: path.name)
def test_the_readme_has_the_command_of_each(path):
    command = exam_command(EXAMS[path].config, path.name)
    assert command in (BUNDLED / "README.md").read_text("utf-8")
    parser(whole=True).parse_args(shlex.split(command)[1:])
