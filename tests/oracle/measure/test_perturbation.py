"""Measures by perturbation against a plain loop over the steps, and where their values are known."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from core.errors import BadParameter, Cancelled, Unsupported
from core.explain.baselines import baseline
from core.explain.targets import Classes, Difference, Groups, Units
from core.measure import MEASURES, Evidence, evaluate, perturbation
from core.measure import replacement as module
from tests import nets

STEPS = 16  # divides the number of pixels
CURVES = [name for name in MEASURES if name.startswith(("deletion_", "insertion_"))]


def noise(count=2, seed=0):
    return torch.randn(count, nets.SIDE, nets.SIDE, generator=torch.Generator().manual_seed(seed))


def blob(count=2, row=5, column=9):
    """Maps of one narrow blob, so that the first steps change a small window."""
    y, x = torch.meshgrid(torch.arange(nets.SIDE), torch.arange(nets.SIDE), indexing="ij")
    return torch.exp(-((y - row) ** 2 + (x - column) ** 2) / 50.0).expand(count, -1, -1)


def tiled(count):
    """A query about images of 4 × 4 tiles, which have segments, as noise has not."""
    query = nets.query("gap", count=count)
    tiles = torch.randn(count, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    return replace(query, images=tiles.repeat_interleave(8, 2).repeat_interleave(8, 3))


def reference(query, maps, name, fill):
    """Probability and correctness (B, STEPS + 1), one image and one step at a time; maps without ties."""
    empty = baseline(query, fill).expand_as(query.images)
    start, end = (query.images, empty) if name.startswith("deletion") else (empty, query.images)
    scores, correct = np.zeros((2, len(maps), STEPS + 1))
    for b, one in enumerate(maps.numpy()):
        order = np.argsort(one.ravel())[::-1]
        for k in range(STEPS + 1):
            chosen = torch.from_numpy(order[: k * one.size // STEPS].copy())
            image = start[b].flatten(1).clone()
            image[:, chosen] = end[b].flatten(1)[:, chosen]
            logits = query.net(image.view(1, *start[b].shape))[0].detach()
            scores[b, k] = logits.softmax(0)[query.targets.indices[b]]
            correct[b, k] = logits.argmax() == query.targets.indices[b]
    return scores, correct


def expected(query, maps, name, fill):
    scores, correct = reference(query, maps, name, fill)
    clean = scores[:, :1] if name.startswith("deletion") else scores[:, -1:]
    return {
        "auc": (scores.sum(1) - scores[:, 0] / 2 - scores[:, -1] / 2) / STEPS,  # as in RISE's evaluation.py
        "curve": scores,
        "aopc": (clean - scores).sum(1) / (STEPS + 1),
        "aopc_curve": clean - scores,
        "accuracy": correct,
    }[name.partition("_")[2]]


def values(found):
    return getattr(found.result, "y", found.result)


def curve(query, maps, name="deletion_curve", **settings):
    return evaluate(name, Evidence(query, maps), {"steps": STEPS, **settings}).result.y


@pytest.mark.parametrize("fill", ["grey", "black", "blur", "uniform"])
@pytest.mark.parametrize("name", CURVES)
def test_a_measure_equals_a_plain_loop(name, fill):
    query = nets.query("cnn", count=3, batch=5)
    found = evaluate(name, Evidence(query, noise(3)), {"steps": STEPS, "fill": fill})
    assert np.asarray(values(found)) == pytest.approx(expected(query, noise(3), name, fill), abs=1e-6)


@pytest.mark.parametrize("name", ["deletion_curve", "insertion_curve"])
def test_the_axis_of_a_curve_is_the_fraction_of_the_features(name):
    found = evaluate(name, Evidence(nets.query("cnn"), noise())).result
    assert found.x == pytest.approx(np.arange(29) / 28)
    assert found.x_name == f"fraction of the features {'replaced' if name == 'deletion_curve' else 'shown'}"


def windows(query, maps, steps):
    """The areas of the smallest windows around the change of each step from either end, one image after the other."""
    ranks, _ = module.ordered(query, maps.double(), "pixels")
    for one in ranks:
        for backwards in (False, True):
            masks = [(one < k * one.size // steps) ^ backwards for k in range(1, steps)]
            yield [(np.ptp(np.nonzero(mask)[0]) + 1) * (np.ptp(np.nonzero(mask)[1]) + 1) for mask in masks]


@pytest.mark.parametrize("name", ["deletion_curve", "insertion_curve"])
@pytest.mark.parametrize("net", ["gap", "cnn", "residual", "norelu", "vit"])
@pytest.mark.parametrize("sign", [1, -1])
def test_small_windows_are_computed_incrementally_and_equal(net, name, sign, monkeypatch):
    taken, filled = [], module.CleanPass.filled
    monkeypatch.setattr(
        module.CleanPass, "filled", lambda self, boxes, *rest: taken.append(len(boxes)) or filled(self, boxes, *rest)
    )
    query, maps = nets.doubled(nets.query(net, count=2, batch=3)), sign * blob()
    found = curve(query, maps, name, fill="grey", steps=64)
    counts = [sum(area <= nets.SIDE**2 / 8 for area in areas) for areas in windows(query, maps, 64)]
    assert sum(taken) == sum(count for count in counts if count >= 6) > 0
    monkeypatch.setattr(module, "SMALL", 0)
    taken.clear()
    assert found == pytest.approx(curve(query.fresh(), maps, name, fill="grey", steps=64), abs=1e-12)
    assert not taken


def test_scattered_changes_are_computed_on_whole_images(monkeypatch):
    monkeypatch.delattr(module.CleanPass, "filled")
    curve(nets.query("gap"), noise())


def test_a_class_is_predicted_only_if_no_other_has_its_score():
    net = nets.seeded(lambda: nets.LinearNet(bias=False))
    query = nets.query(net, count=1)
    query = query.with_targets(Classes(query.clean_logits().argmax(1)))
    found = curve(query, noise(1), "deletion_accuracy", fill="grey")
    assert (found[0, 0], found[0, -1]) == (1, 0)  # all logits of the grey image are zero


def test_a_network_that_ignores_the_image_gives_its_probability_everywhere():
    net = nets.seeded(nets.LinearNet)
    torch.nn.init.zeros_(net.fc.weight)
    query = nets.query(net, count=1)
    probability = float(net.fc.bias.softmax(0)[1])
    evidence = Evidence(query, noise(1))
    for name in ("deletion_auc", "insertion_auc"):
        assert evaluate(name, evidence).result == pytest.approx([probability], abs=1e-7)
    for name in ("deletion_aopc", "insertion_aopc"):
        assert evaluate(name, evidence).result == [0.0]


def one_sided():
    """A query whose class 1 has an additive score and all other classes none, and the terms of that score."""
    net = nets.seeded(nets.Additive)
    with torch.no_grad():
        net.weight[[0, 2, 3, 4]] = 0
        net.weight /= 100
    query = nets.query(net, count=2)
    return query, net.terms(query.images, 1).detach()


def test_the_true_order_is_best_at_every_step_and_its_reverse_worst():
    query, terms = one_sided()
    best, worst = (curve(query, sign * terms) for sign in (1, -1))
    for seed in range(5):
        other = curve(query, noise(2, seed))
        assert (best <= other + 1e-6).all()
        assert (worst >= other - 1e-6).all()
    assert (best[:, 1:-1] < worst[:, 1:-1]).all()
    for name, direction in (("deletion_auc", 1), ("insertion_auc", -1), ("deletion_aopc", -1), ("insertion_aopc", 1)):
        right, reverse = (evaluate(name, Evidence(query, sign * terms)).result for sign in (1, -1))
        assert all(direction * (two - one) > 0.01 for one, two in zip(right, reverse, strict=True))
        assert MEASURES[name].better == ("lower" if direction == 1 else "higher")


def test_insertion_is_the_deletion_of_the_negative_map_backwards():
    query, maps = nets.query("gap", count=2), noise()
    inserted = curve(query, maps, "insertion_curve", fill="black")
    assert inserted == pytest.approx(curve(query, -maps, fill="black")[:, ::-1], abs=1e-6)


def test_only_the_order_counts():
    query, maps = nets.query("cnn"), noise().double()
    assert np.array_equal(curve(query, maps), curve(query.fresh(), 5 * maps**3 - 2))


@pytest.mark.parametrize("batch", [1, 7, 64])
@pytest.mark.parametrize("features", ["pixels", "patches", "segments"])
def test_neither_batch_nor_company_changes_a_result(batch, features):
    query, maps = nets.query("gap", count=3, batch=batch), noise(3).round()
    together = curve(query, maps, features=features)
    assert together == pytest.approx(curve(nets.query("gap", count=3, batch=4), maps, features=features), abs=1e-6)
    assert curve(nets.query("gap", count=1), maps[:1], features=features) == pytest.approx(together[:1], abs=1e-6)
    alone = curve(query.fresh().subset(slice(2, 3), query.report), maps[2:], features=features)
    assert alone == pytest.approx(together[2:], abs=1e-6)


def test_equal_values_are_ordered_at_random_by_the_seed():
    query = nets.query("linear", count=2)
    ranks, counts = module.ordered(query, torch.zeros(2, nets.SIDE, nets.SIDE).double(), "pixels")
    flat = ranks.reshape(2, -1)
    assert counts.tolist() == [nets.SIDE**2] * 2
    assert (np.sort(flat) == np.arange(nets.SIDE**2)).all()
    assert abs(np.corrcoef(flat[0], np.arange(nets.SIDE**2))[0, 1]) < 0.1
    constant = torch.ones(2, nets.SIDE, nets.SIDE)
    assert (curve(query, constant) == curve(query, 0 * constant)).all()
    assert (curve(query, constant) == curve(nets.query("linear"), constant)).all()
    assert (curve(query, constant) != curve(nets.query("linear", seed=1), constant)).any()


def test_the_strongest_values_come_first_and_ties_after_them():
    maps = torch.zeros(1, nets.SIDE, nets.SIDE).double()
    maps[0, 3, 4], maps[0, 30, 2], maps[0, 8, 8] = 2, 1, -1
    ranks, _ = module.ordered(nets.query("linear", count=1), maps, "pixels")
    assert (ranks[0, 3, 4], ranks[0, 30, 2], ranks[0, 8, 8]) == (0, 1, nets.SIDE**2 - 1)


def test_patches_are_ranked_by_their_mean_and_replaced_whole():
    maps = noise(1).double()
    ranks, counts = module.ordered(nets.query("linear", count=1), maps, "patches")
    means = maps[0].view(16, 2, 16, 2).mean((1, 3))  # 16 of 224 px are 2 of 32 px
    assert counts.tolist() == [256]
    order = means.flatten().argsort(descending=True).argsort().view(16, 16)
    assert (torch.from_numpy(ranks[0]) == order.repeat_interleave(2, 0).repeat_interleave(2, 1)).all()


def test_patches_at_the_border_are_smaller():
    query = nets.query("gap", count=1, side=29)
    ranks, counts = module.ordered(query, torch.arange(29.0**2).view(1, 29, 29).double(), "patches")
    assert counts.tolist() == [15**2]
    assert ranks[0, -1, -1] == 0
    assert ranks[0, 0, 0] == ranks[0, 1, 1] == 15**2 - 1
    assert (np.bincount(ranks.ravel()) == 4).sum() == 14**2


def test_segments_are_replaced_whole():
    query = tiled(2)
    ranks, counts = module.ordered(query, noise().double(), "segments")
    assert (counts > 8).all()
    for row in range(2):
        cells = module.pieces(query.subset(slice(row, row + 1), query.report), "slic", 60, "grey").cells
        assert counts[row] == cells.max() + 1
        assert len(np.unique(np.stack([cells.ravel(), ranks[row].ravel()]), axis=1).T) == counts[row]
        means = [noise()[row][cells == number].mean() for number in range(counts[row])]
        firsts = [ranks[row][cells == number][0] for number in range(counts[row])]
        assert np.argsort(means)[::-1].tolist() == np.argsort(firsts).tolist()


def test_more_steps_than_features_repeat_outputs_without_passes():
    query = tiled(1)
    features = int(module.ordered(query, noise(1).double(), "segments")[1][0])
    found = curve(query, noise(1), features="segments", steps=200)
    assert query.log.forwards == 1 + features  # the image, its baseline and what lies between
    each = curve(query.fresh(), noise(1), features="segments", steps=features)
    assert found[0] == pytest.approx(each[0, np.round(np.arange(201) / 200 * features).astype(int)], abs=1e-6)


def test_measures_and_maps_share_their_passes():
    query = nets.query("gap", count=2)
    query.clean_logits()
    spent = query.log.forwards
    for name in CURVES:
        evaluate(name, Evidence(query, noise()), {"steps": STEPS, "fill": "grey"})
    assert query.log.forwards - spent == 2 * (1 + 2 * (STEPS - 1))  # the baseline once
    spent = query.log.forwards
    evaluate("deletion_auc", Evidence(query, noise(seed=1)), {"steps": STEPS})
    assert query.log.forwards - spent == 2 * (STEPS - 1)
    assert MEASURES["deletion_auc"].passes({"steps": STEPS}, nets.SIDE).forward == STEPS


@pytest.mark.parametrize("change", [{"steps": 8}, {"fill": "black"}, {"features": "patches"}])
def test_other_settings_are_not_confused(change):
    query, maps = nets.query("cnn"), noise()
    first = curve(query, maps)
    assert not np.array_equal(curve(query, maps, **change), first)
    assert np.array_equal(curve(query, maps), first)


def test_what_is_cached_belongs_to_its_baseline_and_seed():
    query, maps = nets.query("cnn"), noise().round()
    for seed in (0, 1):
        for fill in ("grey", "black", "uniform"):
            one = replace(query, seed=seed)
            assert one.cache is query.cache
            assert np.array_equal(curve(one, maps, fill=fill), curve(one.fresh(), maps, fill=fill))


def test_steps_in_small_windows_are_passed_once():
    query = nets.query("cnn", count=2)
    curve(query, blob(), steps=64)
    assert query.log.forwards == 2 * 65


def test_progress_rises_to_one_and_a_cancelled_measure_leaves_nothing():
    reports = []
    query = nets.query("cnn", batch=4)
    query.clean_logits()
    reporting = query.with_report(lambda fraction, note: reports.append((fraction, note)))
    found = curve(reporting, blob(), steps=64)
    assert reports == sorted(reports, key=lambda one: one[0])
    assert reports[-1][0] == 1
    assert np.diff([fraction for fraction, _ in reports]).max() < 4.1 / 126
    assert sum("perturbed images" in note for _, note in reports) > 126 / 4

    def cancelling(fraction, note):
        if fraction > 0.5:
            raise Cancelled

    stopped = query.fresh().run_with(report=cancelling)
    with pytest.raises(Cancelled):
        curve(stopped, blob(), steps=64)
    assert curve(stopped.with_report(lambda fraction, note: None), blob(), steps=64) == pytest.approx(found, abs=1e-6)


def test_other_targets_have_curves_but_no_accuracy():
    query, maps = nets.query("cnn"), noise()
    one, other = Classes(torch.tensor([0, 1])), Classes(torch.tensor([2, 2]))
    both = curve(query.with_targets(one), maps) + curve(query.with_targets(other), maps)
    group = query.with_targets(Groups(torch.tensor([[0, 2], [1, 2]])))
    assert curve(group, maps) == pytest.approx(both, abs=1e-6)
    odds = np.log(curve(query.with_targets(one), maps)) - np.log(curve(query.with_targets(other), maps))
    assert curve(query.with_targets(Difference(one, other)), maps) == pytest.approx(odds, abs=1e-5)
    unit = query.with_targets(Units(torch.tensor([3, 4]), "features.4"))
    layers = query.net.features[:5]
    for column, images in ((0, query.images), (-1, torch.zeros_like(query.images))):
        activations = layers(images)[[0, 1], [3, 4]].mean((1, 2)).tolist()
        assert curve(unit, maps)[:, column] == pytest.approx(activations)
    for target in (group, unit):
        with pytest.raises(Unsupported, match="a single class is predicted"):
            evaluate("deletion_accuracy", Evidence(target, maps))


@pytest.mark.parametrize("name", CURVES)
def test_wrong_maps_are_refused_with_a_sentence(name):
    query, broken = nets.query("cnn"), noise()
    broken[1, 3, 3] = torch.nan
    with pytest.raises(BadParameter, match="map of image 2 has values that are not finite"):
        evaluate(name, Evidence(query, broken))
    with pytest.raises(BadParameter, match="maps have 10 × 12 pixels and their images 32 × 32"):
        evaluate(name, Evidence(query, torch.rand(2, 10, 12)))


def test_a_network_without_finite_scores_is_refused_with_a_sentence():
    class Contrast(nets.LinearNet):
        def forward(self, x):
            return super().forward(x / x.std((1, 2, 3), keepdim=True))

    with pytest.raises(Unsupported, match="not finite for perturbed copies"):
        evaluate("deletion_auc", Evidence(nets.query(nets.seeded(Contrast)), noise()))


@pytest.mark.parametrize("features", ["pixels", "patches", "segments"])
@pytest.mark.parametrize("name", ["deletion_curve", "insertion_curve"])
def test_the_network_gives_the_image_at_a_step_the_value_of_the_curve(name, features):
    query = tiled(2)
    maps = torch.cat([noise(1), blob(1)])  # of the second, some steps are computed incrementally
    settings = {"steps": STEPS, "fill": "black", "features": features}
    found = curve(query, maps, name, **settings)
    replacement = perturbation.replacement_of(name, settings)
    for step in range(STEPS + 1):
        images = module.replaced_at(Evidence(query, maps), replacement, step)
        chances = query.net(images).softmax(1).gather(1, query.targets.indices[:, None])[:, 0]
        assert chances.detach().numpy() == pytest.approx(found[:, step], abs=1e-6)
    first, last = (module.replaced_at(Evidence(query, maps), replacement, step) for step in (0, STEPS))
    whole, empty = (first, last) if name == "deletion_curve" else (last, first)
    assert torch.equal(whole, query.images)
    assert torch.equal(empty, baseline(query, "black").expand_as(whole))


def test_there_is_no_image_beyond_the_last_step():
    evidence = Evidence(nets.query("gap"), noise(1))
    for step in (-1, STEPS + 1):
        with pytest.raises(BadParameter, match="Choose 0 to 16"):
            module.replaced_at(evidence, module.Replacement("deletion", STEPS, "grey"), step)


def test_only_measures_of_curves_replace_anything():
    settings = {"steps": 4, "fill": "grey", "features": "pixels"}
    assert perturbation.replacement_of("insertion_auc", settings) == module.Replacement(
        "insertion", 4, "grey", "pixels"
    )
    assert [name for name in MEASURES if perturbation.replacement_of(name, settings)] == CURVES


@pytest.mark.parametrize("direction", ["deletion", "insertion"])
def test_the_area_of_a_curve_is_the_auc(direction):
    evidence = Evidence(nets.query("cnn", count=2), noise(2))
    areas = evaluate(f"{direction}_curve", evidence, {"steps": STEPS}).result.areas
    assert areas == pytest.approx(evaluate(f"{direction}_auc", evidence, {"steps": STEPS}).result, abs=1e-12)
