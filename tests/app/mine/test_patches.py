"""The page Patches: filters, orders, tags."""

from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from core.study import Study
from core.study.tags import Tags
from tests.mine_pages import parts, said, visit
from tests.packets import packets


def test_no_match_names_each_demand_and_takes_it_back(app: AppTest, home: Path) -> None:
    study = Study(home / "studies" / "small")
    visit(app, "Patches", label=study.labels[0], drop="1")
    assert "No patch matches" in said(app)
    app.button(key="without-drop").click().run()
    assert "vitrine_patch_gallery" in parts(app)
    assert app.selectbox(key="patches.label").value == 0


def test_every_facet_counts_what_it_would_leave(app: AppTest, home: Path) -> None:
    study = Study(home / "studies" / "small")
    patches, images, items = study.table("patches"), study.table("images"), study.array("items")
    number = int(study.table("filters")["patches"].to_numpy().argmax())
    held = (items == number).any(1)
    visit(app, "Patches", filters=str(number))
    counts = patches["label"][held].value_counts()
    options = app.selectbox(key="patches.label").options
    assert options[0] == f"All classes ({held.sum()})"
    assert set(options[1:]) == {f"{study.labels[k]} ({counts.get(k, 0)})" for k in patches["label"].unique()}
    also = np.bincount(items[held][items[held] >= 0])
    assert app.multiselect(key="patches.filters").options == [
        f"F{k} ({also[k] if k < len(also) else 0})" for k in np.unique(items[items >= 0])
    ]
    right = (images["label"] == images["predicted"]).to_numpy()[patches["image"]]
    assert app.selectbox(key="patches.outcome").options == [
        f"Any ({held.sum()})", f"Correct ({(held & right).sum()})", f"Wrong ({(held & ~right).sum()})"
    ]  # fmt: skip
    (shown,) = packets(app, "patch_gallery")
    assert sorted(shown["ids"]) == np.flatnonzero(held).tolist()


def test_patches_in_every_order_in_their_images_with_all_windows(app: AppTest, home: Path) -> None:
    study = Study(home / "studies" / "small")
    patches, windows = study.table("patches"), study.table("windows")
    size, side = study.manifest.model.size, study.manifest.window
    visit(app, "Patches")
    for order in ("score", "drop", "response"):
        app.selectbox(key="patches.sort").set_value(order).run()
        (shown,) = packets(app, "patch_gallery")
        assert shown["ids"] == np.argsort(-patches[order].to_numpy(), kind="stable").tolist()
    first, numbers = patches.iloc[shown["ids"][0]], np.unique(patches["image"])
    assert shown["boxes"][0] == pytest.approx(
        [first["x"] / size, first["y"] / size, side / size, side / size], abs=1e-4
    )
    assert numbers[shown["images"][0]] == first["image"]
    assert len(shown["windows"]) == len(numbers)
    for number, drawn in zip(numbers, shown["windows"], strict=True):
        own = windows[windows["image"] == number]
        assert [[x, y] for x, y, *_ in drawn] == pytest.approx(own[["x", "y"]].to_numpy() / size, abs=1e-4)
        assert [order for *_, order, _ in drawn] == list(range(1, len(own) + 1))
        assert [kept for *_, kept in drawn] == own["kept"].tolist()
    labels = [button.label for button in app.get("download_button")]
    assert f"CSV of {len(patches)} shown" in labels
    app.session_state["patches"] = {"selected": [0, 2]}
    app.run()
    assert "CSV of 2 selected" in [button.label for button in app.get("download_button")]


def test_selected_patches_get_tags_that_stay(app: AppTest, home: Path) -> None:
    visit(app, "Patches")
    app.session_state["patches"] = {"selected": [0, 2]}
    app.run()
    word = app.selectbox(key="word")
    assert not word.disabled
    next(button for button in app.button if button.label == "Tag selected patches").click().run()
    tags = Tags(home, Study(home / "studies" / "small").manifest.digest)
    assert tags.patches(word.value) == (0, 2)
    assert app.selectbox(key="patches.tag").options == ["Any tag", word.value]
    app.selectbox(key="patches.tag").set_value(word.value).run()
    assert "tag" in app.query_params
