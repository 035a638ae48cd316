"""Table 1 of Meynen et al. 2023 on real photos and weights: mined filters matter more than random ones."""

from pathlib import Path

import pytest

from core.mining.rules import mine
from core.models import load
from core.study.build import build_study
from core.study.config import MiningConfig, StudyConfig
from core.units.ablation_study import run_ablation

SHARED = Path(__file__).resolve().parents[4] / "shared" / "data"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(not SHARED.is_dir(), reason="the shared photos and weights are not beside this checkout"),
]


def table(study, model, filters, support):
    mined = mine(study, MiningConfig(filters=filters, support=support))
    sets = {"mined": {label: mined.filters_of(label) for label in range(len(study.labels))}}
    facts = run_ablation(study, sets, model, draws=5).summary()
    shown = {key: round(facts[key], 3) for key in ("baseline", "mined", "random_mean", "random_std")}
    print(
        f"{study.name}, N-1 = {filters}, support {support}: {shown}, {facts['filters_per_class']:.1f} filters per class"
    )
    return facts


# A class is carried by more filters in the wider layer: there, at support 0.5, hardly any filter stands in half of
# the patches, and what is silenced is too little to be felt. Less support shows the difference.
@pytest.mark.parametrize(
    ("name", "images", "top1", "support", "loss"),
    [("squeezenet1_0", 250, 0.59, 0.5, 0.2), ("mobilenet_v2", 250, 0.64, 0.2, 0.04)],
)
def test_mined_filters_lower_accuracy_and_random_ones_do_not(tmp_path, name, images, top1, support, loss):
    weights = f"{name}:{SHARED / 'models' / name}.safetensors"
    model = load(weights)
    study = build_study(StudyConfig(weights, str(SHARED / "photos")), tmp_path / name, model=model)
    assert study.manifest.data.labelled == images
    for filters in (10, 25):
        facts = table(study, model, filters, 0.5)
        assert facts["baseline"] == pytest.approx(top1, abs=0.03)
        assert facts["mined"] <= facts["baseline"] + 0.01
        assert facts["random_mean"] == pytest.approx(facts["baseline"], abs=0.04)
    if support != 0.5:
        facts = table(study, model, 25, support)
    assert facts["mined"] < facts["random_mean"] - loss
