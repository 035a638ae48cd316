"""`vitrine check` on small networks."""

import json

from core.cli import main
from core.explain import EXPLAINERS
from tests import nets


def test_check_says_what_every_method_can_do(capsys, monkeypatch):
    monkeypatch.setattr("core.models.load", lambda name, **rest: nets.model("residual"))
    assert main(["check", "--model", "residual"]) == 0
    told = capsys.readouterr().out
    assert all(name in told for name in EXPLAINERS)
    assert "BatchNorm2d × 1; all folded" in told
    assert "relu (ReLU) × 2" in told
    assert main(["check", "--model", "residual", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["default_layer"], facts["head"]) == ("relu", "fc")
    assert facts["input"]["mean"] == [0.485, 0.456, 0.406]
    assert facts["normalisation"] == {"BatchNorm2d": 1}
    assert facts["folded"] == ["norm"]
    assert facts["in_place"] == {"until_loaded": {"ReLU": 1}, "in_code": {"add": 1}}
    assert facts["reused"] == {"relu": 2}
    assert set(facts["methods"]) == set(EXPLAINERS)
    assert facts["methods"]["layerwise_ixg"]["layers_read"] == "relu"
    rise = facts["methods"]["rise"]
    assert {budget: one["forward"] for budget, one in rise["passes"].items()} == {
        "quick": 300,
        "standard": 1000,
        "paper": 8000,
    }
    assert 0 < rise["seconds"]["quick"] < rise["seconds"]["paper"]


def test_check_says_what_cannot_work(capsys, monkeypatch):
    monkeypatch.setattr("core.models.load", lambda name, **rest: nets.model("norelu"))
    assert main(["check", "--model", "norelu"]) == 0
    assert "norelu has no ReLU" in capsys.readouterr().out
