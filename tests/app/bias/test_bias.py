"""The page about bias, without a browser."""

import html
import shutil
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from core.explain import EXPLAINERS  # noqa: F401 - here, so that no page's time limit pays for importing torch
from pages.ui.session import state
from tests.pages_list import FILES, SCRIPT


@pytest.fixture(autouse=True)
def _home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path))


def page(**query: str) -> AppTest:
    """The page with its example."""
    app = AppTest.from_file(str(SCRIPT), default_timeout=120)
    app.run()
    for name, value in query.items():
        app.query_params[name] = value
    app.switch_page(FILES["Bias"]).run()
    assert not app.exception
    return app


def said(app: AppTest) -> str:
    return html.unescape(
        " | ".join(str(one.value) for one in [*app.markdown, *app.caption, *app.info, *app.warning, *app.error])
    )


def sides(app: AppTest) -> list[int]:
    return [field.value for field in app.number_input]


def every(app: AppTest) -> dict[str, float]:
    """The last row of the table by class."""
    table = app.dataframe[0].value
    assert table["class"].tolist()[-1] == "all classes"
    return table.iloc[-1].to_dict()


def test_the_tag_is_found_at_first_sight_and_by_the_button(session: state.Session) -> None:
    app = page()
    left, top, width, height = sides(app)
    assert (width, height) == (25, 25)
    assert left <= 3, "tags lie in the lower left corner"
    assert top >= 72
    numbers = every(app)
    assert numbers["share"] > 8 * numbers["area"]
    assert numbers["flips"] > 0.6
    assert numbers["control"] == 0
    assert "of the evidence lies in the region" in said(app)
    app.number_input[0].set_value(70)
    app.number_input[1].set_value(5).run()
    assert every(app)["share"] < 0.05
    assert every(app)["flips"] < 0.1
    app.button[[one.label for one in app.button].index("Where the evidence is strongest")].click().run()
    assert sides(app) == [left, top, width, height]
    labels = [one.proto.label for one in app.get("download_button")]
    assert {"CSV", "PNG"} <= set(labels)


def test_the_link_has_the_region_and_the_command_repeats_it(session: state.Session) -> None:
    app = page(left="10", top="20", width="30", height="40", fill="black")
    assert sides(app) == [10, 20, 30, 40]
    assert "--region 10,20,30,40 --fill black" in app.code[-1].value


def test_a_box_that_leaves_the_image_is_a_sentence(session: state.Session) -> None:
    app = page(left="90", width="30")
    assert "does not lie inside the image" in said(app)
    assert sides(app)[0] == 90, "the numbers stay, to be changed"


def test_masks_are_the_region(session: state.Session, tmp_path: Path) -> None:
    """The example's masks, beside its images, are of the petals, which its network does not read."""
    app = page(region="masks")
    assert not app.number_input
    numbers = every(app)
    assert numbers["share"] < 0.2
    assert numbers["flips"] < 0.1
    assert "around the pixels that lie in at least half of them" in said(app)
    assert "--masks …/masks --fill grey" in app.code[-1].value
    (masks,) = tmp_path.rglob("misleading-tags/masks")
    shutil.copytree(masks, tmp_path / "some")
    next((tmp_path / "some").rglob("*.png")).unlink()
    app = page(region="masks", masks=str(tmp_path / "some"))
    assert "1 of 60 images have no mask, such as: There is no mask for" in said(app)
    assert "1 of the 60 images with a map have no region." in said(app)
    assert every(app)["filled"] == 59


def test_without_masks_they_are_asked_for(session: state.Session, tmp_path: Path) -> None:
    app = page(region="masks", masks=str(tmp_path / "nowhere"))
    assert "There is no folder or file of masks" in said(app)
    assert "Name the masks of the objects" in said(app)


def test_groups_of_a_column_show_their_spread(session: state.Session, tmp_path: Path) -> None:
    page()
    (images,) = tmp_path.rglob("misleading-tags/images")
    rows = [f"{path.relative_to(images).as_posix()},{int(path.stem) % 2}" for path in images.rglob("*.png")]
    (tmp_path / "sites.csv").write_text("\n".join(["file,site", *rows]), "utf-8")
    app = page(groups="column", file=str(tmp_path / "sites.csv"), column="site")
    assert "percentage points." in said(app)
    assert app.dataframe[1].value["group"].tolist() == ["0", "1"]
    assert "sites.csv:site" in app.code[-1].value
    assert "no column of sites.csv called" in said(page(groups="column", file=str(tmp_path / "sites.csv"), column="x"))
