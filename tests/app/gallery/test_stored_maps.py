"""A folder of maps that `vitrine explain` wrote, opened on the page: nothing is computed again."""

from pathlib import Path

import pytest

from core.cli import main
from core.explain import Explanation
from pages.ui.session import state
from tests.app.gallery.test_gallery import compare, opened, png, said
from tests.waiting import until

MODEL = "flowers-single-6c"


@pytest.fixture
def maps(tmp_path: Path) -> Path:
    """The maps of three images."""
    root = tmp_path / "photos"
    root.mkdir()
    for number in range(3):
        (root / f"{number}.png").write_bytes(png(number))
    out = tmp_path / "computed"
    assert main(["explain", str(root), "--model", MODEL, "--method", "saliency,grad_cam", "--out", str(out)]) == 0
    return out


def answers(session: state.Session) -> list[Explanation]:
    shown = session.comparison
    assert shown
    until(lambda: not shown.running)
    assert len(shown.answers) == len(shown.tiles)
    return [answer for answer in shown.answers.values() if isinstance(answer, Explanation)]


def test_stored_maps_are_shown_and_not_computed(session: state.Session, maps: Path) -> None:
    app = opened(compare(by="images", method="saliency", model=MODEL), maps)
    assert "computed holds maps of 3 images by Saliency, Grad-CAM" in said(app)
    found = answers(session)
    assert [dict(one.remarks) for one in found] == [{"read from": "computed"}] * 3
    assert not any(one.passes for one in found)


def test_maps_of_another_model_are_said_and_not_shown(session: state.Session, maps: Path) -> None:
    app = opened(compare(by="images", method="saliency", model="flowers-double-12c"), maps)
    assert f"another model than the current one: open {MODEL}" in said(app)
    assert all("read from" not in one.remarks for one in answers(session))


def test_images_that_are_gone_are_said(session: state.Session, maps: Path, tmp_path: Path) -> None:
    (tmp_path / "photos").rename(tmp_path / "elsewhere")
    app = opened(compare(by="images", method="saliency", model=MODEL), maps)
    assert "images are not in photos any more" in said(app)
    app = opened(app, tmp_path / "elsewhere")
    assert [dict(one.remarks) for one in answers(session)] == [{"read from": "computed"}] * 3
