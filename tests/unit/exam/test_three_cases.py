"""Three cases: where the objects are, and what the scores of known maps say."""

import numpy as np
import pandas as pd
import pytest
import torch

from core.data.flowers.cases import KINDS, VARIANT, case
from core.errors import BadParameter
from core.exam import three_cases
from core.exam.three_cases import (
    BALANCE,
    CHOICE,
    EVIDENCE,
    METHODS,
    SAMENESS,
    answers,
    bundled,
    difference,
    measured,
    suitable,
)
from core.models import load


def test_objects_are_where_their_masks_are() -> None:
    for index in range(8):
        several, single, mixed = (case(kind, index) for kind in KINDS)
        assert [len(one.objects) for one in (several, single, mixed)] == [2, 1, 1]
        assert several.label == single.label == mixed.label == several.other != mixed.other
        assert all(mask.sum() > 100 for mask in (*several.objects, *single.objects, *mixed.objects))
        left, right = several.objects
        assert not left[:, 64:].any()
        assert not right[:, :64].any()
        assert mixed.distractor is not None
        assert not mixed.distractor[:, :64].any()
        assert np.array_equal(several.image[:, :64], mixed.image[:, :64]), "only the other flower differs"
        assert np.array_equal(case("mixed", index).image, mixed.image)
        assert several.image.shape == (128, 128, 3)
    assert len({case("mixed", index).other for index in range(0, 30, 6)}) == 5
    with pytest.raises(BadParameter, match="none"):
        case("none", 0)  # type: ignore[arg-type]


def test_the_network_sees_both_flowers() -> None:
    """Each case is a fair question: the class is predicted, and of two classes both are probable."""
    model = load(f"flowers-{VARIANT}")
    for kind in KINDS:
        chosen = [case(kind, index) for index in range(12)]
        chances = model.probabilities(model.net(torch.stack([three_cases._input(model, one) for one in chosen])))
        own = chances[range(12), [one.label for one in chosen]]
        assert own.mean() > {"several": 0.95, "single": 0.7, "mixed": 0.3}[kind]
        if kind == "mixed":
            both = own + chances[range(12), [one.other for one in chosen]]
            assert both.mean() > 0.8


def test_maps_with_known_evidence_have_known_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Evidence of 3 on the first object, 1 on the second or on the other flower, and 4 elsewhere."""

    class Known:
        def __init__(self, maps: torch.Tensor) -> None:
            self.maps, self.offset = maps, False

    chosen = {kind: [case(kind, index) for index in range(2)] for kind in KINDS}

    def explain(name: str, query: object, settings: object) -> Known:
        kind = next(k for k in KINDS if np.array_equal(inputs[k].numpy(), query.images.numpy()))  # type: ignore[attr-defined]
        maps = []
        for one in chosen[kind]:
            second = one.objects[1] if len(one.objects) > 1 else one.distractor
            parts = [(one.objects[0], 3.0), (second if second is not None else np.zeros((128, 128), bool), 1.0)]
            rest = ~np.any([mask for mask, _ in parts], axis=0)
            maps.append(sum(value * mask / max(mask.sum(), 1) for mask, value in [*parts, (rest, 4.0)]))
        return Known(torch.tensor(np.stack(maps)))

    model = load(f"flowers-{VARIANT}")
    inputs = {kind: torch.stack([three_cases._input(model, one) for one in chosen[kind]]) for kind in KINDS}
    monkeypatch.setattr(three_cases, "explain", explain)
    scores = measured(2, ["saliency"])
    found = scores.groupby(["case", "measure"])["value"].mean()
    assert found["several", EVIDENCE] == pytest.approx(0.5)
    assert found["single", EVIDENCE] == pytest.approx(3 / 7)
    assert found["mixed", EVIDENCE] == pytest.approx(3 / 8)
    assert found["several", BALANCE] == pytest.approx(0.25)
    assert found["mixed", CHOICE] == pytest.approx(0.75)
    assert found["mixed", SAMENESS] == pytest.approx(1.0)
    assert len(scores) == 2 * (3 * 3 + 1 + 2)


def table(**values: list[float]) -> pd.DataFrame:
    """Scores of methods in the case of one flower."""
    rows = [("single", k, name, EVIDENCE, one) for name, each in values.items() for k, one in enumerate(each)]
    return pd.DataFrame(rows, columns=["case", "image", "method", "measure", "value"])


def test_differences_are_taken_picture_by_picture() -> None:
    scores = table(deconvnet=[0.1, 0.5, 0.9], saliency=[0.2, 0.6, 1.0], edge_detector=[0.5, np.nan, 0.7])
    found = difference(scores, "single", EVIDENCE, "deconvnet", "saliency")
    assert found is not None
    assert (found.n, found.mean) == (3, pytest.approx(-0.1))
    assert found.low == pytest.approx(-0.1) == found.high
    other = difference(scores, "single", EVIDENCE, "deconvnet", "edge_detector")
    assert other is not None
    assert (other.n, other.mean) == (2, pytest.approx(-0.1))


def test_a_claim_holds_only_where_the_whole_interval_says_so() -> None:
    def verdicts(deconvnet: list[float], saliency: list[float]) -> list[bool | None]:
        first = answers(table(deconvnet=deconvnet, saliency=saliency, edge_detector=deconvnet))[0]
        return [found.holds for found in first.findings]

    low, high = [0.1, 0.2, 0.1, 0.2], [0.6, 0.5, 0.6, 0.7]
    assert verdicts(low, high) == [True, None], "the second one compares with edges, which the text does not"
    assert verdicts(high, low) == [False, None]
    assert verdicts([0.1, 0.6, 0.2, 0.7], [0.2, 0.5, 0.1, 0.8]) == [None, None]


def test_a_method_suits_a_case_if_it_shows_more_than_edges() -> None:
    scores = table(saliency=[0.6, 0.7, 0.8], rise=[0.2, 0.4, 0.3], edge_detector=[0.3, 0.3, 0.3])
    assert suitable(scores, "single") == ["saliency"]


def test_the_bundled_scores_are_of_every_method_and_case() -> None:
    scores = bundled()
    assert three_cases.BUNDLED.stat().st_size < 200_000
    counts = scores[scores["measure"] == EVIDENCE].groupby(["case", "method"]).size()
    assert set(counts.index) == {(kind, name) for kind in KINDS for name in METHODS}
    assert set(counts) == {30}
    assert all(len(one.findings) > 3 for one in answers(scores))
    again = measured(2, ["saliency", "grad_cam", "edge_detector"])
    kept = scores.merge(again, on=["case", "image", "method", "measure"], suffixes=("", "_again"))
    assert len(kept) == len(again)
    assert np.allclose(kept["value"], kept["value_again"], rtol=1e-3, atol=1e-4, equal_nan=True)
