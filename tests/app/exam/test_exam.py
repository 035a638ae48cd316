"""The page Exam: the league table, cases, curves, the tag, and exams that are broken or say little."""

import base64
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from core.comparison import Pair
from core.exam import Exam
from core.exam.schema import EXAM
from pages.ui.explore import trust
from pages.ui.session import state
from tests import small_exam
from tests.mine_pages import charts, said, visit
from tests.waiting import until


@pytest.fixture(scope="session")
def exam(home: Path) -> Exam:
    return Exam(home / "exams" / "small")


def table(app: AppTest) -> Any:
    return next(frame.value for frame in app.dataframe if "Method" in frame.value)


def curves(app: AppTest) -> dict[str, Any]:
    """The heights of the IoU curves by the title of their method."""
    traces = next(chart for chart in charts(app) if " · area" in chart[0]["name"])
    return {
        trace["name"].partition(" · ")[0]: np.frombuffer(base64.b64decode(trace["y"]["bdata"]), trace["y"]["dtype"])
        for trace in traces
    }


def test_the_table_has_the_numbers_of_the_exam(app: AppTest, exam: Exam) -> None:
    visit(app, "Exam", exam="small", measure="auc_iou")
    shown = table(app)
    column = exam.measure("auc_iou")
    expected = {
        ("◇ " if family == "control" else "") + title: exam.values[:, row, column].mean()
        for row, (title, family) in enumerate(exam.methods[["title", "family"]].itertuples(index=False))
    }
    found = dict(zip(shown["Method"], shown["AUC-IoU ↑"], strict=True))
    assert found == pytest.approx(expected)
    assert list(found.values()) == sorted(found.values(), reverse=True)
    folds = [exam.values[exam.images["fold"] == fold][:, exam.method("grad_cam"), column].mean() for fold in (0, 1)]
    assert shown.set_index("Method").loc["Grad-CAM", "± folds"] == pytest.approx(np.std(folds, ddof=1))
    assert (shown["n"] == len(exam.images)).all()
    assert "6 images of flowers shortcut · 2 folds of 3 images" in said(app)


def test_a_measure_of_which_less_is_better_sorts_upwards(app: AppTest) -> None:
    visit(app, "Exam", exam="small", measure="deletion_auc")
    assert table(app)["Deletion ↓"].is_monotonic_increasing


def test_a_family_alone(app: AppTest) -> None:
    visit(app, "Exam", exam="small", family="cam")
    assert table(app)["Method"].tolist() == ["Grad-CAM"]
    app.selectbox(key="exam.family").set_value("control").run()
    assert all(title.startswith("◇ ") for title in table(app)["Method"])


@pytest.mark.parametrize(("end", "best"), [("worst", False), ("best", True)])
def test_cases_are_those_with_the_least_or_greatest_values(app: AppTest, exam: Exam, end: str, best: bool) -> None:
    visit(app, "Exam", exam="small", measure="auc_iou", methods="saliency", of="saliency", cases=end)
    values = exam.values[:, exam.method("saliency"), exam.measure("auc_iou")]
    order = np.argsort(-values if best else values, kind="stable")[:3]
    shown = [button.key for button in app.button if (button.key or "").startswith("compare-")]
    assert shown == [f"compare-{row}" for row in order]
    for row in order:
        assert f"**{values[row]:.1f}** AUC-IoU" in said(app)
        assert exam.images["name"][row] in said(app)
    assert "Not computed yet" not in said(app)


def test_more_cases_on_demand(app: AppTest) -> None:
    visit(app, "Exam", exam="small")
    app.button(key="more-cases").click().run()
    assert len([button for button in app.button if (button.key or "").startswith("compare-")]) == 6
    assert not any(button.key == "more-cases" for button in app.button), "there are no more images"


def test_a_case_opens_in_compare(app: AppTest, exam: Exam, monkeypatch: pytest.MonkeyPatch) -> None:
    visit(app, "Exam", exam="small", measure="auc_iou", methods="saliency", of="saliency")
    row = int(np.argmin(exam.values[:, exam.method("saliency"), exam.measure("auc_iou")]))
    app.button(key=f"compare-{row}").click().run()
    here = app.session_state["location"]
    assert here.model == "flowers-shortcut-6c"
    assert here.methods == ("saliency",)
    assert [target.classes for target in here.targets] == [(exam.images["target"][row],)]
    assert app.session_state["page"] == "compare"
    (session,) = [one for one in state.sessions() if one.comparison and here.image in one.uploads()]
    until(lambda: not session.comparison.running)
    monkeypatch.setattr(state, "session", lambda: session)
    found = trust.current(session.comparison)
    entry = next(one for one in trust.entries(found) if one.measure.name == "auc_iou")
    found.start(found.pairs([entry.measure]))
    until(lambda: not found.running)
    (value,) = found.outcome(Pair(session.comparison.tiles[0], entry.measure)).result
    expected = exam.values[row, exam.method("saliency"), exam.measure("auc_iou")]
    assert value == pytest.approx(expected, rel=1e-4), "with the mask of the exam"


def test_chosen_rows_have_curves_and_stay_chosen(app: AppTest, exam: Exam) -> None:
    visit(app, "Exam", exam="small", measure="auc_iou", methods="grad_cam,random")
    shown = curves(app)
    assert list(shown) == ["Grad-CAM", "◇ Random"]
    assert shown["Grad-CAM"] == pytest.approx(exam.curves[:, exam.method("grad_cam")].mean(0), abs=1e-4)
    app.selectbox(key="exam.measure").set_value("max_iou").run()
    assert list(curves(app)) == ["Grad-CAM", "◇ Random"]


def test_the_tag_and_who_reveals_it(app: AppTest, exam: Exam) -> None:
    visit(app, "Exam", exam="small")
    changed = int((exam.images["untagged"] != exam.images["predicted"]).sum())
    assert f"The prediction changes for {changed} of 6 images" in said(app)
    traces = next(chart for chart in charts(app) if {"method", "control"} == {trace["name"] for trace in chart})
    inside = exam.values[:, exam.method("grad_cam"), exam.measure("tag_energy_pointing")].mean()
    assert dict(zip(traces[0]["y"], traces[0]["x"], strict=True))["Grad-CAM"] == pytest.approx(inside)


def test_one_image_and_one_fold_say_what_they_cannot(app: AppTest) -> None:
    visit(app, "Exam", exam="one")
    assert "1 image of flowers single-6c · a single fold" in said(app)
    assert "With a single fold it cannot be said how stable" in said(app)
    assert table(app)["± folds"].isna().all()
    assert "planted tag" not in said(app)


def test_a_damaged_exam_gets_a_sentence_and_can_be_deleted(app: AppTest, home: Path) -> None:
    broken = home / "exams" / "broken"
    shutil.copytree(home / "exams" / "small", broken)
    (broken / "scores.parquet").write_bytes(b"")
    visit(app, "Exam")
    assert "scores.parquet is missing or incomplete" in said(app)
    assert len(table(app)), "the others are shown"
    app.button(key="delete-broken").click().run()
    app.button(key="delete-broken").click()  # a dialog is open only in a run of its button here
    app.button(key="delete-now").click().run()
    assert not broken.exists()


def test_an_exam_of_other_weights_keeps_its_table(app: AppTest, home: Path) -> None:
    other = home / "exams" / "other"
    shutil.copytree(home / "exams" / "small", other)
    text = (other / EXAM.file).read_text("utf-8")
    sha = Exam(other).manifest.model.sha
    (other / EXAM.file).write_text(text.replace(sha, "0" * len(sha)), "utf-8")
    visit(app, "Exam", exam="other")
    shutil.rmtree(other)
    assert "is not the model of the exam other" in said(app)
    assert len(table(app))


def test_without_any_exam_the_page_says_what_one_is(
    app: AppTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path))
    visit(app, "Exam")
    assert "There is no exam yet." in said(app)


def test_the_command_on_the_page_builds_the_same_exam(app: AppTest) -> None:
    from core.cli import parser

    visit(app, "Exam", exam="small")
    words = app.code[0].value.split()
    args = parser(whole=True).parse_args(words[1:])
    assert (args.variant, args.images, args.folds) == ("shortcut", "6", "2")
    assert args.methods.split(",") == list(small_exam.METHODS)
