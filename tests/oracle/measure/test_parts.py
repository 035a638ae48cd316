"""Part measures against networks whose parts have known weights, and against plain computations of their formulas."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.ndimage import maximum_filter
from scipy.stats import spearmanr
from torch import nn

from core import models
from core.data.flowers import draw
from core.errors import Cancelled, Unsupported
from core.explain import Query, explain
from core.explain.targets import Difference
from core.measure import MEASURES, Evidence, Undefined, evaluate
from tests import nets
from tests.flower_inputs import Inputs

SIDE = nets.SIDE
NAMES = ("roof", "door", "window", "wall", "fence")
ALL = ("part_correlation", "part_contrastivity", "part_completeness")


def tiles(count):
    """Masks (count, 32, 32) of five rectangles of different sizes, by name."""
    masks = {}
    for number, name in enumerate(NAMES):
        masks[name] = torch.zeros(count, SIDE, SIDE, dtype=torch.bool)
        masks[name][:, 6 * number : 6 * number + 5, 3 : 10 + 4 * number] = True
    return masks


def evidence_of(query, maps, again=None):
    """Evidence whose images have zeros where parts are left out."""
    masks = tiles(len(maps))

    def without(row, parts):
        image = query.images[row].clone()
        for part in parts:
            image[:, masks[part][row]] = 0
        return image

    explain_again = None if again is None else lambda changed: again(changed.targets.indices)
    return Evidence(query, maps, parts=masks, without=without, explain_again=explain_again)


def noise(count, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(count, SIDE, SIDE)))


def drops(evidence, target, read=lambda logits: logits):
    """What leaving out each part costs class `target`, (B, parts), by plain passes of the network."""
    query = evidence.query
    with torch.no_grad():
        clean = read(query.net(query.images))[:, target]
        costs = [
            clean
            - read(query.net(torch.stack([evidence.without(row, [part]) for row in range(len(clean))])))[:, target]
            for part in evidence.parts
        ]
    return torch.stack(costs, 1).numpy()


def sums(evidence, maps, radius=0):
    wide = {
        part: maximum_filter(mask.numpy(), (1, 2 * radius + 1, 2 * radius + 1)) for part, mask in evidence.parts.items()
    }
    return np.stack([(maps.numpy() * mask).sum((1, 2)) for mask in wide.values()], 1)


def test_the_terms_of_an_additive_network_order_its_parts_perfectly():
    query = nets.query("additive", count=3)
    terms = query.net.terms(query.images, 1).detach()
    assert evaluate("part_correlation", evidence_of(query, terms), {"margin": 0}).result == pytest.approx([1, 1, 1])
    assert evaluate("part_correlation", evidence_of(query, -terms), {"margin": 0}).result == pytest.approx([-1, -1, -1])


@pytest.mark.parametrize(("net", "score"), [("cnn", "logit"), ("cnn", "prob"), ("gap", "logit")])
@pytest.mark.parametrize("margin", [0, 14])
def test_correlation_is_scipys_of_plain_drops_and_sums(net, score, margin):
    query, maps = nets.query(net, count=3), noise(3)
    evidence = evidence_of(query, maps)
    known = drops(evidence, 1, (lambda logits: logits.softmax(1)) if score == "prob" else lambda logits: logits)
    expected = [spearmanr(*pair).statistic for pair in zip(sums(evidence, maps, margin // 7), known, strict=True)]
    found = evaluate("part_correlation", evidence, {"score": score, "margin": margin}).result
    assert found == pytest.approx(expected, abs=1e-9)


def test_only_visible_parts_are_ranked():
    query, maps = nets.query("cnn", count=2), noise(2)
    evidence = evidence_of(query, maps)
    evidence.parts["door"][1] = False
    known, seen = drops(evidence, 1), [0, 2, 3, 4]
    expected = spearmanr(sums(evidence, maps)[1, seen], known[1, seen]).statistic
    assert evaluate("part_correlation", evidence, {"margin": 0}).result[1] == pytest.approx(expected)


def test_parts_of_no_influence_share_their_rank():
    query, maps = nets.query("additive", count=1), noise(1)
    evidence = evidence_of(query, maps)
    for part in ("roof", "wall"):
        query.net.weight.data[:, :, evidence.parts[part][0]] = 0
    known = drops(evidence, 1)
    known[:, [0, 3]] = 0
    expected = spearmanr(sums(evidence, maps)[0], known[0]).statistic
    assert evaluate("part_correlation", evidence, {"margin": 0}).result == pytest.approx([expected])


def test_units_and_differences_have_part_correlations():
    query = nets.query("cnn", count=1, unit_layer="features.3", target=2)
    assert isinstance(evaluate("part_correlation", evidence_of(query, noise(1))).result[0], float)
    query = nets.query("additive", count=1)
    apart = replace(query, targets=Difference(query.targets, nets.query("additive", count=1, target=3).targets))
    terms = (query.net.terms(query.images, 1) - query.net.terms(query.images, 3)).detach()
    assert evaluate("part_correlation", evidence_of(apart, terms), {"margin": 0}).result == pytest.approx([1])
    for name in ALL[1:]:
        with pytest.raises(Unsupported, match="single classes"):
            evaluate(name, evidence_of(apart, terms, lambda _: terms))


def planted():
    """A network of three classes on 32 × 32 images: class 0 reads the roof and some window, class 1 the wall."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(3 * SIDE * SIDE, 3))
    masks = tiles(1)
    with torch.no_grad():
        net[1].weight.zero_()
        net[1].bias.copy_(torch.tensor([0.0, 0.1, -50.0]))
        shares = {0: {"roof": 3.0, "window": 0.5}, 1: {"wall": 1.0}}
        for label, weights in shares.items():
            for part, weight in weights.items():
                mask = masks[part][0]
                net[1].weight[label].view(3, SIDE, SIDE)[:, mask] = weight / (3 * mask.sum())
    query = nets.query(net, count=2, target=0)
    return replace(query, images=torch.ones_like(query.images)), net[1].weight.detach().view(3, 3, SIDE, SIDE).sum(1)


def test_maps_of_two_planted_classes_are_told_apart_by_their_parts():
    query, terms = planted()

    def contrast(again):
        evidence = evidence_of(query, again(query.targets.indices), again)
        return evaluate("part_contrastivity", evidence, {"margin": 0}).result

    assert contrast(lambda classes: terms[classes]) == pytest.approx([1, 1])
    assert contrast(lambda classes: terms[1 - classes]) == pytest.approx([0, 0])
    assert contrast(lambda classes: noise(2)) == pytest.approx([0.5, 0.5])
    # of a total difference of 3 + 0.5 + 1, the wall alone is right
    wall = contrast(lambda classes: -terms[classes] * (classes == 0)[:, None, None] + terms[classes] * 0)
    assert wall == pytest.approx([0.5 / 4.5, 0.5 / 4.5])


def test_contrastivity_is_its_formula():
    query = nets.query("cnn", count=3)
    maps = {label: noise(3, label) for label in range(nets.CLASSES)}

    def again(classes):
        return torch.stack([maps[label][row] for row, label in enumerate(classes.tolist())])

    evidence = evidence_of(query, maps[1], again)
    logits = query.net(query.images).detach().clone()
    logits[:, 1] = -torch.inf
    others = logits.argmax(1)
    expected = []
    for row, other in enumerate(others.tolist()):
        delta = drops(evidence, 1)[row] - drops(evidence, other)[row]
        more = sums(evidence, maps[1])[row] - sums(evidence, again(others))[row]
        expected.append(abs(delta)[np.sign(delta) == np.sign(more)].sum() / abs(delta).sum())
    assert evaluate("part_contrastivity", evidence, {"margin": 0}).result == pytest.approx(expected, abs=1e-4)
    assert 0 < min(expected) < max(expected) < 1


@pytest.mark.parametrize(
    ("parts", "answers", "spared"),
    [
        (("roof",), (1, 1, 1), 3),
        (("roof", "window"), (1, 1, 1), 3),
        (NAMES, (1, 1, 1), 0),
        ((), (0, 0, 0), 3),
        (("window", "fence"), (1, 0, 0), 2),  # the window alone suffices, and is not needed
        (("roof", "wall"), (1, 0, 1), 2),  # without both the window decides
    ],
)
def test_the_parts_that_a_prediction_needs_are_complete_and_all_parts_are_too_many(parts, answers, spared):
    """Without the roof class 1 is predicted, as without everything; door, wall and fence cost nothing."""
    query, _ = planted()
    marked = torch.zeros(2, SIDE, SIDE)
    for part in parts:
        mask = tiles(1)[part][0]
        marked[:, mask] = 1 / mask.sum()
    found = evaluate("part_completeness", evidence_of(query, marked), {"margin": 0}).result
    assert found == pytest.approx([(sum(answers) / 3 + spared / 3) / 2] * 2)


def test_completeness_is_its_formula():
    query = nets.query("cnn", count=6)
    query = replace(query, targets=query.net(query.images).argmax(1))
    maps = noise(6).abs()
    evidence, share = evidence_of(query, maps), 0.2
    classes = query.targets.indices.tolist()

    def stays(row, parts):
        return int(query.net(evidence.without(row, parts)[None]).argmax()) == classes[row]

    expected = []
    for row, values in enumerate(sums(evidence, maps)):
        important = {part for part, value in zip(NAMES, values, strict=True) if value > share * values.sum()}
        costs = dict(zip(NAMES, drops(evidence, classes[row])[row], strict=True))
        clean = abs(float(query.net(query.images[row : row + 1])[0, classes[row]].detach()))
        changing = {part for part in NAMES if not stays(row, {part})}
        cheap = {part for part in NAMES if costs[part] < 0.05 * clean}
        answers = [stays(row, set(NAMES) - important), not stays(row, important)]
        answers += [len(important & changing) / len(changing)] if changing else []
        expected.append(np.mean([np.mean(answers), *([1 - len(important & cheap) / len(cheap)] if cheap else [])]))
    found = evaluate("part_completeness", evidence, {"share": share, "margin": 0}).result
    assert found == pytest.approx(expected, abs=1e-9)
    assert len(set(expected)) > 2


@pytest.mark.parametrize("name", ALL)
def test_neither_batch_nor_company_changes_a_number(name):
    query, maps = nets.query("cnn", count=3, target=0), noise(3)
    query = replace(query, targets=query.net(query.images).argmax(1))

    def again(classes):
        return noise(1, 7).repeat(len(classes), 1, 1) * (classes[:, None, None] - 1)

    whole = evaluate(name, evidence_of(query, maps, again)).result
    assert all(isinstance(one, float) for one in whole)
    for batch in (1, 4):
        assert evaluate(name, evidence_of(query.run_with(batch=batch).fresh(), maps, again)).result == pytest.approx(
            whole, abs=1e-5
        )
    one = query.subset(slice(2, 3), query.report)
    evidence = evidence_of(one, maps[2:], again)
    assert evaluate(name, evidence).result == pytest.approx(whole[2:], abs=1e-5)


def test_passes_are_those_of_its_cost_and_shared():
    query = nets.query("cnn", count=2)
    query = replace(query, targets=query.net(query.images).argmax(1))
    query.clean_logits()
    before = query.log.forwards
    evidence = evidence_of(query, noise(2), lambda classes: noise(len(classes), 3))
    evaluate("part_correlation", evidence)
    assert query.log.forwards - before == 2 * len(NAMES)
    evaluate("part_contrastivity", evidence)
    evaluate("part_correlation", evidence_of(query, noise(2, 5)), {"score": "prob"})
    assert query.log.forwards - before == 2 * len(NAMES)
    evaluate("part_completeness", evidence)
    assert query.log.forwards - before <= 2 * (len(NAMES) + 2)
    assert MEASURES["part_contrastivity"].reruns({}) == 1


@pytest.mark.parametrize("name", ALL)
def test_progress_rises_to_its_end_and_a_run_can_be_cancelled(name):
    fractions = []
    query = nets.query("cnn", count=2, report=lambda fraction, note: fractions.append(fraction))
    evidence = evidence_of(query, noise(2), lambda classes: noise(len(classes), 3))
    evaluate(name, evidence)
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1
    evaluate(name, evidence)  # everything is cached

    def stop(fraction, note):
        if fraction:
            raise Cancelled

    stopped = evidence_of(query.run_with(report=stop).fresh(), noise(2), lambda classes: noise(len(classes), 3))
    with pytest.raises(Cancelled):
        evaluate(name, stopped)


@pytest.mark.parametrize("name", ALL)
def test_without_an_answer_there_is_a_reason(name):
    def again(classes):
        return noise(len(classes), 3)

    query, maps = nets.query("cnn", count=4), noise(4)
    query = replace(query, targets=query.net(query.images).argmax(1))
    bare = Evidence(query, maps, explain_again=lambda changed: again(changed.targets.indices))
    drawn = Undefined("The image cannot be drawn without its parts.")
    assert list(evaluate(name, bare).result) == [drawn] * 4
    evidence = evidence_of(query, maps, again)
    evidence.maps[0, 0, 0] = torch.nan
    for part in NAMES[:3]:
        evidence.parts[part][1] = False
    for part in NAMES:
        evidence.parts[part][2] = False
    found = evaluate(name, evidence).result
    few = Undefined("Too few parts are visible.")
    assert found[0] == Undefined("The map has values that are not finite.")
    assert found[2] == few
    assert isinstance(found[3], float)
    assert isinstance(found[1], float) if name == "part_completeness" else found[1] == few


def test_what_cannot_be_ranked_or_is_not_predicted_is_undefined():
    query = nets.query("cnn", count=2)
    predicted = query.net(query.images).argmax(1)
    wrong = replace(query, targets=(predicted + 1) % nets.CLASSES)
    found = evaluate("part_completeness", evidence_of(wrong, noise(2))).result
    assert found == [Undefined("Another class than the explained one is predicted.")] * 2
    zero = torch.zeros(2, SIDE, SIDE)
    same = [Undefined("The map has the same sum on all parts.")] * 2
    assert evaluate("part_correlation", evidence_of(query, zero)).result == same
    query.net.classifier[2].weight.zero_()
    blind = evidence_of(query.fresh(), noise(2), lambda classes: noise(2))
    alike = "Leaving out any part changes the score"
    assert evaluate("part_correlation", blind).result == [Undefined(f"{alike} alike.")] * 2
    assert evaluate("part_contrastivity", blind).result == [Undefined(f"{alike}s of both classes alike.")] * 2


@pytest.mark.parametrize("label", [2, 3])
def test_a_network_that_reads_one_part_shows_it_when_the_part_is_left_out(label):
    """The colour is on the petals of even classes and on the stem of odd ones; the other is grey."""
    model = models.load("flowers-double-12c")
    flowers = [draw("double-12c", label, index, seed=9) for index in range(4)]
    seen = Inputs(flowers, model.preprocess)
    query = Query(model, seen.images, seen.labels)

    def again(changed):
        return explain("input_x_gradient", changed).maps

    known = Evidence(query, again(query), parts=seen.parts, without=seen.without, explain_again=again)
    costs = {}
    for name in known.parts:
        less = torch.stack([known.without(row, [name]) for row in range(4)])
        costs[name] = query.clean_scores() - query.score(less, query.targets)
    assert max(costs, key=lambda name: costs[name].mean()) == flowers[0].part
    shares = {name: mask / mask.sum((1, 2), keepdim=True) for name, mask in known.parts.items()}
    right = replace(known, maps=sum(costs[name][:, None, None] * share for name, share in shares.items()))
    assert evaluate("part_correlation", right, {"margin": 0}).mean == pytest.approx(1)
    assert evaluate("part_correlation", known).mean > 0.3
    assert evaluate("part_contrastivity", known).mean > 0.7
    complete = evaluate("part_completeness", known).mean
    assert complete > 0.7
    blind = replace(known, maps=torch.ones(4, *query.size), explain_again=lambda changed: torch.ones(4, *query.size))
    assert evaluate("part_contrastivity", blind).mean == 0.5
    assert evaluate("part_completeness", blind).mean < complete
