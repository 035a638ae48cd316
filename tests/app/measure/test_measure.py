"""The page of measures, without a browser: curves, the image at a step, table, masks, many images, links."""

import html
import io
import re
import shlex

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from core.comparison import Assessment, MeasureRequest, Pair
from core.comparison.ranking import ranking, sheet
from core.explain import EXPLAINERS  # noqa: F401 - here, so that no page's time limit pays for importing torch
from core.export.spreadsheet import as_csv
from pages.ui.measure import curves
from pages.ui.measure.table import MARK
from pages.ui.session import state
from tests.pages_list import FILES, SCRIPT
from tests.waiting import until

FAST = "grad_cam,saliency,random"


def png(seed: int) -> bytes:
    stream = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    pixels[..., seed % 3] //= 8
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def measure(session: state.Session, **query: str) -> AppTest:
    """The page at this address, with all that it computes by itself."""
    app = AppTest.from_file(str(SCRIPT), default_timeout=120)
    app.query_params.update({"m": FAST})
    app.run()
    for name, value in query.items():
        app.query_params[name] = value
    return finished(session, app.switch_page(FILES["Measure"]).run())


def finished(session: state.Session, app: AppTest) -> AppTest:
    """The page once the work that it started has ended."""
    for _ in range(3):  # maps, then their measures
        found = checked(app) and session.assessment
        if found:
            until(lambda found=found: not found.comparison.running and not found.running)
        app.run()
    return checked(app)


def checked(app: AppTest) -> AppTest:
    assert [fault.value for fault in app.exception] == []
    assert not [box.value for box in app.error if "defect" in box.value]
    return app


def said(app: AppTest) -> str:
    boxes = [*app.error, *app.warning, *app.info, *app.caption, *app.markdown]
    return html.unescape(" ".join(box.value for box in boxes))


def table(app: AppTest) -> dict[str, dict[str, str]]:
    """The cells of the table by method and heading."""
    frame = app.table[0].value
    rows = [
        {html.unescape(name): html.unescape(str(text)) for name, text in row.items()} for _, row in frame.iterrows()
    ]
    return {row.pop("Method"): row for row in rows}


def assessment(session: state.Session) -> Assessment:
    assert session.assessment
    return session.assessment


def test_curves_and_a_table_appear_by_themselves(session: state.Session) -> None:
    app = measure(session)
    assert len(app.get("plotly_chart")) == 1
    rows = table(app)
    assert set(rows) == {"Grad-CAM", "Saliency", "Random"}
    headings = ["Deletion curve, area ↓", "Insertion curve, area ↑", "Sparseness ↑", "Agreement ↑"]
    assert sorted(next(iter(rows.values()))) == sorted(headings)
    for heading in headings:
        ranks = sorted(int(re.search(r"#(\d)", row[heading])[1]) for row in rows.values())
        assert ranks == [1, 2, 3], heading
    found = assessment(session)
    pair = Pair(found.comparison.tiles[0], MeasureRequest("deletion_curve"))
    (area,) = found.outcome(pair).result.areas
    assert rows["Grad-CAM"]["Deletion curve, area ↓"].startswith(f"{area:.3f} · #")
    assert "maps 3 of 3 · measures 12 of 12" in said(app).lower()


def test_the_slider_shows_the_image_and_the_value_of_the_curve(session: state.Session) -> None:
    app = measure(session, metrics="insertion_curve")
    found = assessment(session)
    curve = found.outcome(Pair(found.comparison.tiles[0], MeasureRequest("insertion_curve"))).result.y[0]
    assert app.metric[0].value == f"{curve[7]:.1%}", "a quarter of the way"
    before = [one.value[0] for one in app.get("image")]
    app.select_slider(key="measure.step").set_value(20).run()
    assert checked(app).metric[0].value == f"{curve[20]:.1%}"
    after = [one.value[0] for one in app.get("image")]
    assert before[0] != after[0]
    assert before[1] == after[1], "the map stays"
    assert app.query_params["step"] == "20"
    assert "71% of the pixels shown on a blurred copy, in the order of Grad-CAM." in said(app)


def test_a_click_on_a_point_shows_its_method_and_step(session: state.Session, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen: dict[str, object] = {}
    monkeypatch.setattr(curves.parameters, "put", chosen.__setitem__)
    for points in ([], [{"customdata": ["Saliency", 3]}], [{"x": 1}]):
        monkeypatch.setattr(curves.st, "session_state", {"curves": {"selection": {"points": points}}})
        curves._clicked()
    assert chosen == {"method": "saliency", "step": 3}


def test_a_link_restores_measures_settings_and_place(session: state.Session) -> None:
    link = {"metrics": "entropy,deletion_curve,insertion_curve", "curve": "insertion_curve", "step": "2",
            "method": "random", "set": "insertion_curve.steps:6"}  # fmt: skip
    app = measure(session, **link)
    assert list(table(app)["Random"]) == ["Deletion curve, area ↓", "Insertion curve, area ↑", "Entropy ↓"]
    assert app.select_slider(key="measure.step").value == 2
    assert "33% of the pixels shown on a blurred copy, in the order of Random." in said(app)
    assert app.query_params["set"] == "insertion_curve.steps:6"
    command = next(one.value for one in app.code if "vitrine" in one.value)
    words = shlex.split(command)
    assert words[:3] == ["vitrine", "measure", "double-red-petals.png"]
    given = dict(zip(words[3::2], words[4::2], strict=True))
    assert given["--metrics"] == "deletion_curve,insertion_curve,entropy"
    assert given["--methods"] == FAST
    assert given["--set"] == "insertion_curve.steps=6"
    assert given["--target"] == "4"


def test_what_a_link_names_in_vain_is_said(session: state.Session) -> None:
    app = measure(session, metrics="nonsense,entropy", step="900")
    assert "There is no measure called 'nonsense'." in said(app) or "nonsense" in said(app)
    assert list(table(app)["Random"]) == ["Entropy ↓"]
    assert "No curve is chosen." in said(app)
    assert len(app.get("plotly_chart")) == 0


def test_measures_are_chosen_by_family(session: state.Session) -> None:
    app = measure(session, metrics="entropy")
    app.pills(key="measures.curves").set_value(["deletion_accuracy"]).run()
    app = finished(session, app)
    assert list(table(app)["Random"]) == ["Accuracy(k) of deletion, area ↓", "Entropy ↓"]
    assert app.query_params["metrics"] == "deletion_accuracy,entropy"
    app.pills(key="measures.curves").set_value([]).run()
    app.pills(key="measures.complexity").set_value([]).run()
    assert len(table(finished(session, app))["Random"]) == 4, "the first measures"


def test_an_example_has_a_mask_and_an_upload_gets_one(session: state.Session, photo: bytes) -> None:
    app = measure(session, metrics="energy_pointing")
    assert re.match(r"0\.\d+ · #\d", table(app)["Saliency"]["Energy-based pointing ↑"])
    own = session.add(photo, "mine.png").sha
    app = measure(session, metrics="energy_pointing", img=own)
    assert table(app)["Saliency"]["Energy-based pointing ↑"] == "–"
    assert "– Energy-based pointing (all methods): The image has no mask." in said(app)
    mask = np.zeros((40, 48), np.uint8)
    mask[5:25, 20:40] = 255
    for values, refused in ((mask[:, :20], True), (mask, False)):
        stream = io.BytesIO()
        Image.fromarray(values).save(stream, "PNG")
        uploader = next(one for one in app.file_uploader if one.key.startswith("mask-"))
        uploader.set_value([("any.png", stream.getvalue(), "image/png")]).run()
        assert ("The mask is not used" in said(app)) == refused
        app = finished(session, app)
        assert (table(app)["Saliency"]["Energy-based pointing ↑"] == "–") == refused
    next(one for one in app.button if one.label == "Remove this mask").click().run()
    assert table(finished(session, app))["Saliency"]["Energy-based pointing ↑"] == "–"


def test_many_images_have_means_with_intervals(session: state.Session) -> None:
    for seed in range(5):
        session.add(png(seed), f"{seed}.png")
    app = measure(session, by="images", most="4", metrics="deletion_curve", m="saliency,occlusion")
    rows = table(app)
    assert re.match(r"0\.\d+ \(0\.\d+ to 0\.\d+\), n = 4 · #\d$", rows["Saliency"]["Deletion curve, area ↓"])
    assert rows["Occlusion"]["Deletion curve, area ↓"].endswith(MARK)
    assert "Occlusion is computed from scores of perturbed images" in said(app)
    assert len(assessment(session).comparison.pictures) == 4
    app.selectbox(key="measure.at").set_value(3).run()
    assert len(checked(app).metric) == 1
    assert "--target" not in next(one.value for one in app.code if "vitrine" in one.value)


def test_no_image_is_no_error(session: state.Session) -> None:
    session.add(png(0), "one.png")
    app = measure(session, by="images", of="uploads")
    app.text_input(key="gallery.words").set_value("nothing").run()
    assert "No image is chosen." in said(checked(app))


def test_what_is_not_cheap_waits_for_a_click_and_can_be_stopped(
    session: state.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pages.ui.measure.assessment.AT_ONCE", 0.0)
    app = measure(session, metrics="deletion_curve,entropy")
    button = app.button(key="run-measures")
    assert re.match(r"Compute 3 measures · about .* · 84 forward$", button.label)
    cells = table(app)["Saliency"]
    assert cells["Deletion curve, area ↓"] == "…"
    assert "#" in cells["Entropy ↓"], "it needs no pass"
    assert "No curve is finished yet." in said(app)
    app = finished(session, button.click().run())
    assert re.match(r".*#\d", table(app)["Saliency"]["Deletion curve, area ↓"])
    assert "run-measures" not in [one.key for one in app.button]


def test_work_of_another_comparison_is_cancelled(session: state.Session) -> None:
    app = measure(session)
    first = assessment(session)
    app.query_params["img"] = "double-violet-stem.png"
    app = finished(session, app.run())
    assert assessment(session) is not first
    session.free()
    assert session.assessment is None


def test_downloads_have_all_values(session: state.Session) -> None:
    app = measure(session, metrics="deletion_curve,pointing_game", m="saliency,random")
    assert [one.proto.label for one in app.get("download_button")] == ["CSV", "PNG", "PDF", "SVG"]
    columns = ranking(assessment(session), [MeasureRequest("deletion_curve"), MeasureRequest("pointing_game")])
    lines = as_csv(sheet(columns)).splitlines()
    assert len(lines) == 5
    assert lines[1].startswith('saliency,Saliency,deletion_curve,"Deletion curve, area",0.')
