"""The pages Units and Filter with a transformer and with concatenated branches, of random weights: every part."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from core import environment
from core.data.samples import samples
from core.models import load
from core.units.build import build_analysis
from core.units.config import UnitsConfig
from tests.mine_pages import said, visit
from tests.pages_list import SCRIPT
from tests.waiting import until

CODE = """
import torch
from tests import nets
from torchvision.models.squeezenet import Fire


def transformer():
    return net(nets.tiny_vit())


def branches():
    return net(torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3, 2), torch.nn.ReLU(), Fire(8, 4, 8, 8), torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(), torch.nn.Linear(16, nets.CLASSES),
    ))


def net(made):
    values = torch.Generator().manual_seed(0)
    for one in made.parameters():
        one.data = 0.3 * torch.randn(one.shape, generator=values)
    return made, {"size": nets.SIDE, "labels": ["a", "b", "c", "d", "e", "f"][: nets.CLASSES]}
"""


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[AppTest]:
    (tmp_path / "own.py").write_text(CODE)
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("VITRINE_MODEL", f"{tmp_path / 'own.py'}:{request.param}")
    monkeypatch.setattr("pages.ui.units.visualisations.MAXIMISATIONS", {"fourier": {"steps": 2}})
    one = AppTest.from_file(str(SCRIPT), default_timeout=120)
    yield one
    assert [fault.value for fault in one.exception] == []


def photos(folder: Path) -> Path:
    """A few photos in folders of the first classes."""
    for label, one in zip("aabbcc", samples(), strict=False):
        (folder / label).mkdir(parents=True, exist_ok=True)
        shutil.copy(one.path, folder / label)
    return folder


def pressed(app: AppTest, part: str) -> None:
    """Ask for a part of the page, and wait for it; no part may fail."""
    app.button(key=f"{part}-start").click().run()
    _, job = app.session_state["on demand"][part]
    until(lambda: not job.running)
    app.run()
    assert job.error is None, part
    assert "defect" not in said(app), part


@pytest.mark.usefixtures("session")
@pytest.mark.parametrize(
    ("app", "layer", "parts"),
    [
        ("transformer", "encoder.layers.encoder_layer_1", ()),
        ("branches", "2.expand3x3", ("resampled",)),
    ],
    indirect=["app"],
)
def test_every_part_works_or_says_why_not(app: AppTest, layer: str, parts: tuple[str, ...], tmp_path: Path) -> None:
    folder = photos(tmp_path / "photos")
    name = environment.app_model()
    model = load(name)
    for analysis in ("activating", "profiles", "relevance"):
        config = UnitsConfig(analysis=analysis, model=name, data=str(folder), layers=(layer,))
        build_analysis(config, tmp_path / "home" / "units" / analysis, model=model)
    visit(app, "Units", study="none", layer=layer)
    assert f"Units of {layer}" in said(app)
    for view in ("table", "map", "grid"):
        app.segmented_control(key="units.show").set_value(view).run()
        assert "defect" not in said(app), view
        assert not app.error, view
    app.session_state["units-grid"] = {"selected": [0, 1]}
    app.run().toggle(key="off-units").set_value(True).run()
    app.number_input(key="set.invert.steps").set_value(2).run()
    for part in ("visualised-several", "inversion"):
        pressed(app, part)
    visit(app, "Filter", study="none", layer=layer, unit="2")
    for part in ("visualised", "alike", *parts):
        pressed(app, part)
    app.text_input(key="unit-effect-data").set_value(str(folder)).run()
    pressed(app, "effect")
    assert "Accuracy and mean probability of the true class" in said(app)
    if not parts:
        assert "LRP has no rule for attention" in said(app)
        assert "is not computed from those of one" in said(app)
