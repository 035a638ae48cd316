"""Three cases (Song & Zhang, section 3.3): several objects of a class, one, and objects of different classes.

The text compares methods on one photo of each and explains what it sees. Here flowers with exact masks stand in for the
photos, so that each statement is measured.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image

from core.data.flowers.cases import KINDS, VARIANT, Case, Kind, case
from core.explain import EXPLAINERS, Explanation, Query, explain
from core.explain.targets import Classes
from core.images import picture_of
from core.measure import Evidence, Undefined, evaluate
from core.measure.agreement import spearman
from core.measure.intervals import Interval, interval
from core.measure.measure import Numbers
from core.models import load
from core.models.model import Model
from core.progress import Report, chunks, headed, silent
from core.resources import ASSETS

if TYPE_CHECKING:
    import pandas as pd

BUNDLED = ASSETS / "cases" / "scores.parquet"
CONTROLS = ("edge_detector", "random")
METHODS = (  # those of the text's figure 4, and the controls
    "saliency", "deconvnet", "guided_backprop", "grad_cam", "excitation_bp", "contrastive_ebp", "rise",
    "extremal_perturbation", *CONTROLS,
)  # fmt: skip
BATCH = 10

EVIDENCE, OVERLAP, BALANCE, CHOICE, SAMENESS, SPREAD = (
    "evidence on the objects",  # share of the positive evidence
    "AUC-IoU",
    "evidence on the weaker object",  # share of the evidence on both; 0.5 if both have the same
    "evidence on the right object",  # share of the evidence on both; 0.5 if both have the same
    "rank correlation with the map of the other class",
    "entropy",
)


@dataclass(frozen=True)
class Finding:
    """A comparison of two methods, or of a method with a value: a mean over pictures and its interval."""

    text: str
    interval: Interval
    expected: int  # the sign that the text's claim implies; 0 if it implies none

    @property
    def holds(self) -> bool | None:
        """Whether the claim holds in all of the interval; None if the interval contains zero or nothing is claimed."""
        low, high = self.interval.low, self.interval.high
        if low is None or high is None or not self.expected or low <= 0 <= high:
            return None
        return bool((low > 0) == (self.expected > 0))


@dataclass(frozen=True)
class Answer:
    """A question of the text, its answer there, and what is measured here."""

    question: str
    claim: str
    findings: tuple[Finding, ...]


def measured(
    images: int = 30, methods: Sequence[str] = METHODS, *, seed: int = 0, report: Report = silent
) -> "pd.DataFrame":
    """The scores of the methods on `images` pictures of each case: columns case, image, method, measure and value.

    Values are nan where a measure is undefined. Raises UnknownName for a method that does not exist.
    """
    import pandas as pd

    model = load(f"flowers-{VARIANT}", report=headed(report, "model"))
    rows = []
    steps = [(kind, name, start) for kind in KINDS for name in methods for start in range(0, images, BATCH)]
    for span in chunks(len(steps), 1, report, "batches of maps", counted=True):
        kind, name, start = steps[span.start]
        cases = [case(kind, index) for index in range(start, min(start + BATCH, images))]
        for measure, numbers in _scores(model, name, kind, cases, seed):
            values = [np.nan if isinstance(one, Undefined) else one for one in numbers]
            rows += [(kind, start + k, name, measure, value) for k, value in enumerate(values)]
    return pd.DataFrame(rows, columns=["case", "image", "method", "measure", "value"])


def bundled(path: Path = BUNDLED) -> "pd.DataFrame":
    """The scores that come with Vitrine, as `measured` returns them."""
    import pandas as pd

    return pd.read_parquet(path)


def _scores(model: Model, name: str, kind: Kind, cases: Sequence[Case], seed: int) -> Iterator[tuple[str, Numbers]]:
    inputs = torch.stack([_input(model, one) for one in cases])
    query = Query(model, inputs, Classes(torch.tensor([one.label for one in cases])), seed=seed)
    found = _explained(name, query)
    whole = _evidence(query, found, [one.mask for one in cases])
    yield EVIDENCE, _numbers("energy_pointing", whole)
    yield OVERLAP, _numbers("auc_iou", whole)
    yield SPREAD, _numbers("entropy", whole)
    if kind == "several":
        first, second = (_on(query, found, [one.objects[k] for one in cases]) for k in (0, 1))
        yield BALANCE, _parts(np.minimum(first, second), first + second)
    if kind == "mixed":
        right, wrong = (_on(query, found, masks) for masks in _pairs(cases))
        yield CHOICE, _parts(right, right + wrong)
        other = query.with_targets(Classes(torch.tensor([one.other for one in cases])))
        others = _explained(name, other).maps
        pairs = [spearman(torch.stack(pair).double().numpy())[0, 1] for pair in zip(found.maps, others, strict=True)]
        yield SAMENESS, [float(one) if np.isfinite(one) else Undefined("A map is constant.") for one in pairs]


def _explained(name: str, query: Query) -> Explanation:
    """The maps of a method at quality quick."""
    return explain(name, query, EXPLAINERS[name].budget("quick"))


def _evidence(query: Query, found: Explanation, masks: Sequence[np.ndarray]) -> Evidence:
    """Maps and the masks of what they are measured on."""
    return Evidence(query, found.maps, torch.from_numpy(np.stack(masks)), offset=found.offset)


def _input(model: Model, one: Case) -> torch.Tensor:
    preprocess = model.preprocess
    return preprocess.tensor(preprocess.seen(picture_of(Image.fromarray(one.image), one.kind)))


def _numbers(measure: str, evidence: Evidence) -> Numbers:
    result = evaluate(measure, evidence).result
    return [] if not isinstance(result, Sequence) else result


def _pairs(cases: Sequence[Case]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """The masks of the objects of the class and of the other class."""
    return [one.objects[0] for one in cases], [one.distractor for one in cases if one.distractor is not None]


def _on(query: Query, found: Explanation, masks: Sequence[np.ndarray]) -> np.ndarray:
    """The positive evidence on the mask of each picture, as a share of all; zero without evidence."""
    numbers = _numbers("energy_pointing", _evidence(query, found, masks))
    return np.array([0.0 if isinstance(one, Undefined) else one for one in numbers])


def _parts(one: np.ndarray, both: np.ndarray) -> Numbers:
    undefined = Undefined("There is no evidence on the objects.")
    return [float(a / b) if b > 0 else undefined for a, b in zip(one, both, strict=True)]


def mean(scores: "pd.DataFrame", kind: Kind, method: str, measure: str) -> Interval | None:
    """The mean of a method by a measure in a case, with its interval; None if no picture has a number."""
    return interval(list(_values(scores, kind, method, measure).values()))


def difference(scores: "pd.DataFrame", kind: Kind, measure: str, one: str, other: str) -> Interval | None:
    """The mean difference of two methods, picture by picture, with its interval; None if no picture has both."""
    first, second = (_values(scores, kind, method, measure) for method in (one, other))
    return interval([first[image] - second[image] for image in first if image in second])


def _values(scores: "pd.DataFrame", kind: Kind, method: str, measure: str) -> dict[int, float]:
    """The numbers by picture, without those that are undefined."""
    chosen = scores[(scores["case"] == kind) & (scores["method"] == method) & (scores["measure"] == measure)]
    values = chosen.set_index("image")["value"].sort_index().dropna()
    return dict(zip(values.index.tolist(), values.tolist(), strict=True))


TITLES: dict[Kind, str] = {
    "several": "Two flowers of one class",
    "single": "One flower",
    "mixed": "Two flowers of different classes",
}


def answers(scores: "pd.DataFrame") -> list[Answer]:
    """The questions of the text in its order, with what these scores say."""
    return [Answer(question, claim, _findings(scores, pairs)) for question, claim, pairs in _QUESTIONS]


def suitable(scores: "pd.DataFrame", kind: Kind) -> list[str]:
    """The methods that suit a case: more evidence on the objects than the edges of the image have, in all of the
    interval; with two classes also more on the right object than on the other.
    """
    found = []
    for method in dict.fromkeys(scores["method"]):
        above = difference(scores, kind, EVIDENCE, method, CONTROLS[0])
        right = mean(scores, kind, method, CHOICE)
        chosen = kind != "mixed" or (right is not None and right.low is not None and right.low > 1 / 2)
        if method not in CONTROLS and above and above.low is not None and above.low > 0 and chosen:
            found.append(method)
    return found


@dataclass(frozen=True)
class _Pair:
    """Two methods by a measure, in some cases; the claim is that the first one has more (1), less (-1), or neither."""

    kinds: Sequence[Kind]
    measure: str
    one: str
    other: str
    expected: int

    @property
    def title(self) -> str:
        """What is compared."""
        return f"{self.measure}, {EXPLAINERS[self.one].title} minus {EXPLAINERS[self.other].title}"


_MIXED: tuple[Kind, ...] = ("mixed",)
_QUESTIONS: tuple[tuple[str, str, tuple[_Pair, ...]], ...] = (
    (
        "Why does deconvnet fail?",
        "It inverts max-pooling by positions that differ from image to image, so that what it shows of higher layers "
        "cannot be recognized; it fails in all three cases.",
        (
            _Pair(KINDS, EVIDENCE, "deconvnet", "saliency", -1),
            _Pair(KINDS, EVIDENCE, "deconvnet", "edge_detector", 0),
            _Pair(_MIXED, SAMENESS, "deconvnet", "saliency", 1),
        ),
    ),
    (
        "Why is guided backprop better than deconvnet?",
        "It also blocks what the forward pass had set to zero, so that the important pixels are clearer.",
        (
            _Pair(KINDS, EVIDENCE, "guided_backprop", "deconvnet", 1),
            _Pair(_MIXED, SAMENESS, "guided_backprop", "saliency", 0),
        ),
    ),
    (
        "Why is extremal perturbation better than RISE?",
        "Its mask is smooth and has a regular shape, while the important pixels of RISE are scattered.",
        (
            _Pair(KINDS, OVERLAP, "extremal_perturbation", "rise", 1),
            _Pair(KINDS, EVIDENCE, "extremal_perturbation", "rise", 1),
            _Pair(KINDS, SPREAD, "extremal_perturbation", "rise", -1),
        ),
    ),
    (
        "Why is contrastive excitation backprop better than excitation backprop?",
        "It subtracts what speaks for all other classes, so that the discriminative evidence is left.",
        (
            _Pair(_MIXED, CHOICE, "contrastive_ebp", "excitation_bp", 1),
            _Pair(_MIXED, SAMENESS, "contrastive_ebp", "excitation_bp", -1),
            _Pair(KINDS, EVIDENCE, "contrastive_ebp", "excitation_bp", 0),
        ),
    ),
)


def _findings(scores: "pd.DataFrame", pairs: Sequence[_Pair]) -> tuple[Finding, ...]:
    return tuple(
        Finding(f"{TITLES[kind]}: {pair.title}", found, pair.expected)
        for pair in pairs
        for kind in pair.kinds
        if (found := difference(scores, kind, pair.measure, pair.one, pair.other))
    )
