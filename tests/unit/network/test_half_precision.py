"""The precision that model and machine decide on: from a count, and one measurement that is kept."""

import json
from types import SimpleNamespace

import pytest
import torch

from core.errors import BadParameter
from core.images import decode
from core.network import half_precision
from core.network.half_precision import cpu_ratio, precision_of
from core.workbench import Request, Workbench
from tests import nets


@pytest.fixture
def machine(monkeypatch):
    """A machine whose layer takes so much of its time in full precision, and how often it was measured."""
    measured = []

    def set_to(ratio, least=1):
        def told():
            measured.append(ratio)
            return ratio

        monkeypatch.setattr(half_precision, "_measured", told)
        monkeypatch.setattr(half_precision, "LEAST", least)
        cpu_ratio.cache_clear()  # as in a new process
        return measured

    monkeypatch.setenv("VITRINE_PRECISION", "")
    yield set_to
    cpu_ratio.cache_clear()


@pytest.mark.parametrize(("ratio", "found"), [(0.3, "scores"), (0.6, "scores"), (1.1, "full"), (4.0, "full")])
def test_the_machine_decides(machine, ratio, found, tmp_path):
    machine(ratio)
    assert precision_of(nets.model("gap"), tmp_path) == found


def test_a_small_network_is_exact_and_nothing_is_measured(machine, tmp_path):
    measured = machine(0.3, half_precision.LEAST)
    assert precision_of(nets.model("gap"), tmp_path) == "full"
    assert not measured
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("asked", ["full", "scores", "half"])
def test_who_asks_for_a_precision_gets_it(machine, asked, monkeypatch, tmp_path):
    measured = machine(0.3)
    monkeypatch.setenv("VITRINE_PRECISION", asked)
    assert precision_of(nets.model("gap"), tmp_path) == asked
    assert not measured


@pytest.mark.parametrize(("device", "found"), [("cuda", "half"), ("mps", "full")])
def test_other_devices_are_not_measured(machine, device, found, tmp_path):
    measured = machine(0.3)
    assert precision_of(SimpleNamespace(device=torch.device(device)), tmp_path) == found
    assert not measured


def test_a_precision_that_is_none_gets_a_sentence(monkeypatch, tmp_path):
    monkeypatch.setenv("VITRINE_PRECISION", "double")
    with pytest.raises(BadParameter, match="VITRINE_PRECISION is 'double'"):
        precision_of(nets.model("gap"), tmp_path)


def test_the_first_measurement_decides(machine, tmp_path):
    machine(0.3)
    assert cpu_ratio(tmp_path / "pace") == 0.3
    machine(2.0)
    assert cpu_ratio(tmp_path / "pace") == 0.3, "however fast the machine is now"
    (file,) = (tmp_path / "pace").iterdir()
    assert json.loads(file.read_text())["ratio"] == 0.3
    for text in ("", "{}", '{"ratio": "fast"}', '{"ratio": -1}', '{"ratio": 0}'):
        file.write_text(text)
        machine(2.0)
        assert cpu_ratio(tmp_path / "pace") == 2.0, text


def test_a_folder_that_cannot_be_written_costs_a_measurement_per_process(machine, tmp_path):
    (tmp_path / "file").write_text("")
    measured = machine(0.3)
    assert [cpu_ratio(tmp_path / "file" / "below") for _ in range(2)] == [0.3, 0.3]
    assert len(measured) == 1


def test_a_layer_is_measured_in_both_precisions(monkeypatch):
    """The shortest time of each, whatever disturbs the others."""
    times = iter([9, 9] + [1.0, 5.0, 3.0, 0.5] + [2.0, 2.0] * 20)
    monkeypatch.setattr(half_precision, "_timed", lambda layer, images, half: next(times))
    assert half_precision._measured() == 0.5
    monkeypatch.undo()
    assert half_precision._measured() > 0


def test_a_workbench_follows_and_says_so(machine, monkeypatch, photo):
    machine(0.3)
    bench, picture = Workbench(nets.model("gap")), decode(photo, "photo.png")
    request = Request("rise", 1, {"masks": 50})
    assert bench.precision == "scores"
    assert bench.explain(picture, request).remarks["precision"].startswith("half (bfloat16), probabilities ±")
    monkeypatch.setenv("VITRINE_PRECISION", "full")
    exact = Workbench(nets.model("gap")).explain(picture, request)
    assert "precision" not in exact.remarks
