"""Building exams in the app: the check with its estimate, the build in the background, stopped and continued."""

import html
import threading
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from core.errors import Cancelled
from core.exam import Exam
from core.exam.build import build_exam
from core.exam.config import ExamConfig
from core.exam.unfinished import unfinished
from core.progress import Report
from pages.ui.session import builds
from tests.mine_pages import said, visit


def labels(app: AppTest) -> list[str]:
    return [html.unescape(button.label) for button in app.button]


def test_a_check_estimates_and_a_build_is_opened(app: AppTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path))
    visit(app, "Exam")
    app.selectbox(key="exam-variant").set_value("single-6c").run()
    app.multiselect(key="exam-methods").set_value(["saliency"]).run()
    app.number_input(key="set.exam.images").set_value(2).run()
    app.number_input(key="set.exam.folds").set_value(1).run()
    assert "vitrine exam --variant single-6c --methods saliency --images 2 --folds 1" in app.code[0].value
    app.button(key="check-exam").click().run()
    assert "2 images, 4 methods, 8 measures: about" in said(app)
    app.button(key="build-exam").click().run()
    (build,) = builds.builds("exam")
    assert build.job.wait(120)
    app.run()
    app.button(key="open-single-6c-2-quick").click().run()
    assert len(Exam(tmp_path / "exams" / "single-6c-2-quick").images) == 2
    assert "2 images of flowers single-6c" in said(app)


def test_settings_that_do_not_fit_get_a_sentence(app: AppTest) -> None:
    visit(app, "Exam")
    app.number_input(key="set.exam.images").set_value(2).run()
    app.button(key="check-exam").click().run()
    assert "2 images cannot be split into 5 folds" in said(app)


def test_a_running_build_is_shown_and_a_stopped_one_continues(
    app: AppTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path))
    path = tmp_path / "exams" / "mine"
    config = ExamConfig(variant="single-6c", methods=("saliency",), images=5, folds=1, measures=("auc_iou",))
    begun = threading.Event()

    def work(report: Report) -> Exam:
        def told(fraction: float, note: str) -> None:
            report(fraction, note)
            if (path.parent / ".mine.draft" / "000000").is_dir():
                begun.set()
                raise Cancelled

        return build_exam(config, path, report=told)

    builds.start(path, work, "exam")
    assert begun.wait(120)
    assert builds.builds("exam")[0].job.wait(60)
    assert builds.builds("study") == []
    (one,) = unfinished(path.parent)
    assert (one.config, one.fraction) == (config, 0.5)
    visit(app, "Exam")
    assert "mine: stopped, 50% of 5 images done." in said(app)
    app.button(key="continue-mine").click().run()
    assert builds.builds("exam")[0].job.wait(120)
    app.run()
    assert "Open exam" in labels(app)
    assert len(Exam(path).images) == 5


def test_another_page_tells_that_an_exam_is_finished(app: AppTest, home: Path) -> None:
    ended, path = threading.Event(), home / "exams" / "small"

    def work(report: Report) -> Exam:
        ended.wait(60)
        return Exam(path)

    builds.start(path, work, "exam")
    visit(app, "Methods")
    ended.set()
    assert builds.builds("exam")[0].job.wait(60)
    app.run()
    assert "The exam small is finished. Open it on the page Exam." in said(app)
