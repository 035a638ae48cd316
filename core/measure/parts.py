"""Parts: whether a map gives the parts of an object the importance that they show when they are left out.

The interventions and the questions about them are those of FunnyBirds (Hesse, Schaub-Meyer and Roth, ICCV 2023).
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import Annotated

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from core.errors import Unsupported
from core.explain.baselines import SIDE
from core.explain.query import Query
from core.explain.segments import ScoreBy
from core.explain.targets import Classes, Score
from core.measure.agreement import spearman
from core.measure.measure import Evidence, Numbers, Undefined, measure
from core.measure.replacement import finite
from core.measure.robustness.reruns import rerun
from core.params import Knob
from core.progress import subrange

Case = tuple[int, frozenset[str]]  # the number of an image, and parts left out of it
ByPart = Mapping[str, float]

USUAL = 6  # parts of an object, for the cost: a pass for each
FEWEST = 3  # parts that have an order worth the name
CHEAP = 0.05  # share of the score: a part that costs less when it is left out is unimportant
ROUNDING = 1e-5  # relative difference of the scores of one image in two batches

Margin = Annotated[int, Knob("Pixels around a part that count as its own, in a 224 px image.", 0, 20)]

_by_parts = partial(measure, family="faithfulness", requires="parts", source="Hesse et al. 2023", better="higher")


@_by_parts(
    "Part correlation",
    formula="ρ(Σ over part i of h, s(x) − s(x without i)) over the parts i, ρ the correlation of ranks",
    caution="An object has few parts: only the mean over many images says much. Sums favour large parts: a map with "
    "the same value everywhere ranks the parts by their area.",
    cost=lambda settings, side: USUAL,
    kind="map",
    unit="rank correlation",
    low=-1,
    high=1,
)
def part_correlation(evidence: Evidence, *, score: ScoreBy = "logit", margin: Margin = 2) -> Numbers:
    """Rank correlation of a map, summed over each part, with the drop of the score when the part is left out.

    The image is drawn again without the part: what it hid is there, not a hole that the network has never seen. The
    score is the logit, as in the source, or the probability. Drops that differ by less than rounding share their mean
    rank. Undefined where fewer than three parts are visible, or where all drops or all sums are equal.
    """
    sums, drops = _sums(evidence, evidence.maps, margin), _drops(evidence, evidence.query, score)
    return [
        one if isinstance(one, Undefined) else _correlation(one, costs) for one, costs in zip(sums, drops, strict=True)
    ]


@_by_parts(
    "Part contrastivity",
    formula="Σ |δᵢ| · 1[sgn(Hᵢ − H′ᵢ) = sgn δᵢ] / Σ |δᵢ|, δᵢ = dᵢ − d′ᵢ; d: drop of the logit without part i; H: sum "
    "of the map over it; ′: for the most probable other class",
    caution="One half is what a map of the image alone reaches. The values of two maps are compared, so a method that "
    "scales each map by itself is judged by that, too.",
    cost=lambda settings, side: USUAL,
    kind="method",
    unit="share of the difference",
    low=0,
    high=1,
    reruns=lambda settings: 1,
)
def part_contrastivity(evidence: Evidence, *, margin: Margin = 2) -> Numbers:
    """Share of the difference between two classes that their maps give to the right class, part by part.

    Where leaving a part out costs the class more than the most probable other class, the map of the class should have
    more evidence on it than that of the other class, and elsewhere less. A part counts by the difference of the two
    costs, equal evidence as one half. The source asks this of two sets of parts, which count alike: those that the
    image has in common with either class.
    """
    query = evidence.query
    classes = query.class_indices("Part contrastivity")
    logits = query.clean_logits()
    if logits.shape[1] == 1:
        return [Undefined("The network has no other class.")] * len(logits)
    others = logits.scatter(1, classes[:, None], -torch.inf).argmax(1)
    rival = query.with_targets(Classes(others))
    first = _sums(evidence, evidence.maps, margin)
    undefined = [one for one in first if isinstance(one, Undefined)]
    if len(undefined) == len(first):
        return undefined
    costs = _drops(_reporting(evidence, 0, 0.5), query, "logit")
    other_costs = _drops(_reporting(evidence, 0.5, 0.5), rival, "logit")  # of the same outputs
    other_maps = torch.from_numpy(rerun(evidence, rival, subrange(query.report, 0.5, 1)))
    second = _sums(evidence, other_maps, margin)
    numbers: list[float | Undefined] = []
    for one, other, cost, other_cost in zip(first, second, costs, other_costs, strict=True):
        if isinstance(one, Undefined):
            numbers.append(one)
        elif isinstance(other, Undefined):
            numbers.append(other)
        else:
            numbers.append(_contrastivity(one, other, cost, other_cost))
    return numbers


@_by_parts(
    "Part completeness",
    formula="½ mean(P, D, C) + ½ (1 − |I ∩ N| / |N|); I: important parts of the map; P: the prediction stays without "
    "the others; D: it changes without I; C = |I ∩ S| / |S|; S: parts that change it alone; N: those that cost < 5%",
    caution="Depends on the share from which a part is important: the source takes the best one for each method.",
    cost=lambda settings, side: USUAL + 2,
    kind="map",
    unit="share of the answers",
    low=0,
    high=1,
)
def part_completeness(
    evidence: Evidence,
    *,
    share: Annotated[
        float, Knob("Parts with more than this share of the positive evidence on parts are important.", 0, 0.5, 0.01)
    ] = 0.1,
    margin: Margin = 2,
) -> Numbers:
    """Whether the parts with evidence are those that the prediction depends on, and no others.

    Does the prediction stay when all parts but the important ones are left out? Does it change when these are left out?
    What share of the parts that change it alone is among them, and what share of the parts that cost less than 5% of
    the logit is not? The last question counts as much as the others together, as a map that marks everything would pass
    those. A question about parts that the image lacks is omitted. Undefined where another class is predicted.
    """
    query = evidence.query
    classes = query.class_indices("Part completeness")
    if query.model.output == "regression":
        raise Unsupported(f"{query.model.display} is a regression, which predicts no class.", "Choose another measure.")
    sums = _sums(evidence, evidence.maps, margin, fewest=1)
    drops = _drops(_reporting(evidence, 0, 0.5), query, "logit")
    important = [frozenset() if isinstance(one, Undefined) else _important(one, share) for one in sums]
    stays = _stays(_reporting(evidence, 0.5, 1), classes, important)
    numbers: list[float | Undefined] = []
    for row, (one, clean) in enumerate(zip(sums, query.clean_scores().tolist(), strict=True)):
        if isinstance(one, Undefined):
            numbers.append(one)
        elif not stays[row, frozenset()]:
            numbers.append(Undefined("Another class than the explained one is predicted."))
        else:
            marked, parts = important[row], frozenset(one)
            changing = {part for part in parts if not stays[row, frozenset((part,))]}
            cheap = {part for part, drop in drops[row].items() if drop < CHEAP * abs(clean)}
            answers = [float(stays[row, parts - marked]), float(not stays[row, marked])]
            answers += [len(marked & changing) / len(changing)] if changing else []
            complete = sum(answers) / len(answers)
            numbers.append((complete + 1 - len(marked & cheap) / len(cheap)) / 2 if cheap else complete)
    return numbers


def _important(sums: ByPart, share: float) -> frozenset[str]:
    """The parts with more than a share of the positive evidence on all parts."""
    least = share * sum(max(value, 0) for value in sums.values())
    return frozenset(part for part, value in sums.items() if value > least)


def _stays(evidence: Evidence, classes: Tensor, important: Sequence[frozenset[str]]) -> dict[Case, bool]:
    """Whether the class is predicted for each image without nothing, each part, the important ones and the others."""
    cases: list[Case] = []
    for row, (names, marked) in enumerate(zip(_visible(evidence), important, strict=True)):
        together = (frozenset[str](), marked, frozenset(names) - marked) if names else ()
        cases += [(row, one) for one in (*together, *(frozenset((name,)) for name in names))]
    predicted, asked = _outputs(evidence, cases).argmax(1).tolist(), classes.tolist()
    return {case: label == asked[case[0]] for case, label in zip(cases, predicted, strict=True)}


def _reporting(evidence: Evidence, low: float, high: float) -> Evidence:
    """The same evidence, with progress reported as a part of the whole."""
    return replace(evidence, query=evidence.query.with_report(subrange(evidence.query.report, low, high)))


def _visible(evidence: Evidence) -> list[list[str]]:
    """The parts of each image that have pixels in it; none if images cannot be drawn without parts."""
    if evidence.without is None:
        return [[]] * len(evidence.maps)
    there = {name: mask.flatten(1).any(1).tolist() for name, mask in evidence.parts.items()}
    return [[name for name in there if there[name][row]] for row in range(len(evidence.maps))]


def _sums(evidence: Evidence, maps: Tensor, margin: int, fewest: int = FEWEST) -> list[ByPart | Undefined]:
    """The sum of each map over every visible part and the pixels around it."""
    radius = round(margin * min(maps.shape[1:]) / SIDE)
    wide = {
        name: F.max_pool2d(mask[:, None].float(), 2 * radius + 1, 1, radius)[:, 0].cpu().double()
        for name, mask in evidence.parts.items()
    }
    totals = {name: (maps.cpu().double() * mask).sum((1, 2)).tolist() for name, mask in wide.items()}
    usable = maps.isfinite().flatten(1).all(1).tolist()
    found: list[ByPart | Undefined] = []
    for row, names in enumerate(_visible(evidence)):
        if evidence.without is None:
            found.append(Undefined("The image cannot be drawn without its parts."))
        elif len(names) < fewest:
            found.append(Undefined("Too few parts are visible."))
        elif not usable[row]:
            found.append(Undefined("The map has values that are not finite."))
        else:
            found.append({name: totals[name][row] for name in names})
    return found


def _drops(evidence: Evidence, query: Query, score: Score) -> list[ByPart]:
    """What leaving out each visible part costs the score of the query's target, for each image; without rounding."""
    visible = _visible(evidence)
    cases = [(row, frozenset((name,))) for row, names in enumerate(visible) for name in names]
    outputs, targets = _outputs(evidence, cases), query.targets[[row for row, _ in cases]]
    scores = outputs if targets.layer else targets.score(outputs, score, query.model.output)
    left, drops = iter(scores.tolist()), list[ByPart]()
    for names, clean in zip(visible, query.clean_scores(score).tolist(), strict=True):
        found = np.array([clean, *islice(left, len(names))])
        step = ROUNDING * np.abs(found).max() or 1.0
        drops.append(dict(zip(names, (np.rint((clean - found[1:]) / step) * step).tolist(), strict=True)))
    return drops


@torch.no_grad()
def _outputs(evidence: Evidence, cases: Sequence[Case]) -> Tensor:
    """The logits (N, C) of images without parts, or the scores (N,) of units; cached for each of them."""
    query, without = evidence.query, evidence.without
    if without is None or not cases:
        return query.images.new_empty(0, 1)
    keys = {case: (*query.key, "without", case[0], tuple(sorted(case[1]))) for case in cases}
    clean = query.clean_scores() if query.targets.layer else query.clean_logits()
    known = {case: query.cache.peek(key) if case[1] else clean[case[0]] for case, key in keys.items()}
    found = {case: one for case, one in known.items() if isinstance(one, Tensor)}
    missing = [case for case in known if case not in found]
    for span in query.chunks(len(missing), "images without parts"):
        chosen = missing[span.start : span.stop]
        images = torch.stack([without(row, parts) for row, parts in chosen]).to(query.images)
        targets = query.targets[[row for row, _ in chosen]]
        outputs = query.score(images, targets) if targets.layer else query.logits(images, watched=False)
        for case, one in zip(chosen, finite(query, outputs), strict=True):
            found[case] = one
            query.cache.put(keys[case], one)
    return torch.stack([found[case] for case in cases])


def _correlation(sums: ByPart, drops: ByPart) -> float | Undefined:
    """The rank correlation of two values of the same parts."""
    pairs = np.array([[sums[part], drops[part]] for part in sums]).T
    if np.ptp(pairs[1]) == 0:
        return Undefined("Leaving out any part changes the score alike.")
    if np.ptp(pairs[0]) == 0:
        return Undefined("The map has the same sum on all parts.")
    return float(spearman(pairs)[0, 1])


def _contrastivity(sums: ByPart, others: ByPart, drops: ByPart, losses: ByPart) -> float | Undefined:
    """The share for one image: sums and drops for its class, and for the other one."""
    difference = np.array([drops[part] - losses[part] for part in sums])
    first, second = (np.array([one[part] for part in sums]) for one in (sums, others))
    if not difference.any():
        return Undefined("Leaving out any part changes the scores of both classes alike.")
    more = np.where(np.isclose(first, second, rtol=ROUNDING, atol=0), 0, np.sign(first - second))
    sizes = np.abs(difference)
    return float(sizes @ (1 + more * np.sign(difference)) / (2 * sizes.sum()))
