"""Studies that others falsified: a sentence when they are opened, or everything works."""

import os
import shutil
from dataclasses import replace

import pandas as pd
import pytest

from core.errors import StudyDamaged
from core.study import Study, list_studies
from core.study.build import build_study
from core.study.config import TransactionConfig
from tests.hostile.studies import LONGEST, Editor, fuzzed_studies, special_studies, used, wrong_studies
from tests.tiny_build import PATCHES, config

FUZZED = int(os.environ.get("VITRINE_TEST_FUZZ", "25"))
# What is not wrong, or not known to be: a study with these opens.
HARMLESS = {
    "dictionary of numbers", "pandas metadata", "byte order mark", "map nan", "labels are missing",
}  # fmt: skip


@pytest.fixture(scope="module")
def study(data, gap, tmp_path_factory):
    """A study with rules of several classes, and sets that they share."""
    settings = config(data, patches=replace(PATCHES, target="label"), transactions=TransactionConfig(filters=8))
    built = build_study(settings, tmp_path_factory.mktemp("hostile") / "s", model=gap)
    assert all(facts.rows for facts in built.manifest.tables.values())
    return built


def sentence(error):
    text = str(error)
    assert len(text) < LONGEST
    assert error.message.endswith(".")
    assert "\n" not in text
    return text


def test_the_study_that_others_are_made_from_works(study, gap):
    assert used(study.path, gap) is None


def test_a_wrong_study_is_one_sentence(study, gap, tmp_path, capsys):
    count = 0
    for name, path in wrong_studies(study.path, tmp_path):
        error = used(path, gap)
        count += 1
        if error is None:
            assert name in HARMLESS, name
        else:
            assert path.name in sentence(error) or name in {"version a float"}, name
    assert count > 120


@pytest.mark.parametrize("name", ["averages", "pooled"])
def test_large_arrays_are_checked_when_they_are_read(study, tmp_path, name):
    for what, path in wrong_studies(study.path, tmp_path):
        if what in {"average nan", "average above 1", "pooled nan"} and what.startswith(name[:6]):
            with pytest.raises(StudyDamaged, match=rf"{name}\.npy has values out of range"):
                Study(path).array(name)


def test_a_table_that_unpacks_to_more_than_the_limit_is_not_unpacked(study, tmp_path, monkeypatch):
    shutil.copytree(study.path, tmp_path / "s")
    editor = Editor(tmp_path / "s")
    editor.table("edges", pd.concat([editor.frame("edges").iloc[:1]] * 40_000), compression="zstd")
    editor.done()
    assert (tmp_path / "s" / "edges.parquet").stat().st_size < 5000
    monkeypatch.setenv("VITRINE_TABLE_MB", "1")
    with pytest.raises(StudyDamaged, match=r"edges\.parquet takes more than 1 MB in memory"):
        Study(tmp_path / "s")
    assert Study(study.path)


def test_what_is_no_file_is_listed_with_its_reason_and_stops_nobody(study, tmp_path):
    sound = study.path.name
    made = dict(special_studies(study.path, tmp_path))
    (tmp_path / sound).symlink_to(study.path)
    (tmp_path / "loop").symlink_to("loop")
    os.mkfifo(tmp_path / "pipe")
    os.mkfifo(tmp_path / ".s.draft")
    (tmp_path / os.fsdecode(b"not-utf8-\xff")).symlink_to(study.path)
    listed = {entry.path: entry for entry in list_studies(tmp_path)}
    assert listed[tmp_path / sound].study
    for what, path in made.items():
        if what == "build.json is a device":
            continue
        assert listed[path].study is None, what
        assert len(listed[path].problem) < LONGEST
        assert what.split(" ")[0] in listed[path].problem


def test_fuzzed_studies_are_a_sentence_or_work(study, gap, tmp_path, capsys):
    refused = 0
    for _, path in fuzzed_studies(study.path, tmp_path, FUZZED):
        if error := used(path, gap):
            refused += 1
            sentence(error)
    assert refused > FUZZED / 2
