"""Training: reproducible, stoppable, and figures that a second, dumber count agrees with."""

import hashlib
import json

import pytest
import torch

from core import train as training
from core.errors import Cancelled, Unavailable, UnknownName
from core.models import bundled
from core.train import evaluate, train

QUICK = {"epochs": 2, "images": 60, "fresh": 60}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    out = tmp_path_factory.mktemp("models") / "small.safetensors"
    state = torch.random.get_rng_state()
    seen = []
    card = train("part-2c", out, keep_epochs=True, report=lambda fraction, note: seen.append(fraction), **QUICK)
    assert torch.equal(torch.random.get_rng_state(), state)
    return out, card, seen


def test_card_tells_what_was_written(trained):
    out, card, _ = trained
    assert json.loads(out.with_suffix(".json").read_text()) == json.loads(json.dumps(card))
    assert card["sha256"] == hashlib.sha256(out.read_bytes()).hexdigest()
    assert card["labels"] == ["bare", "leafy"]
    assert card["parameters"] == sum(value.numel() for value in bundled.architecture(2).parameters())
    assert [epoch["epoch"] for epoch in bundled.cards(out.parent) if "epoch" in epoch] == [1, 2]


def test_same_seed_same_weights(trained, tmp_path):
    again = train("part-2c", tmp_path / "again.safetensors", **QUICK)
    assert again["sha256"] == trained[1]["sha256"]
    other = train("part-2c", tmp_path / "other.safetensors", seed=1, **QUICK)
    assert other["sha256"] != trained[1]["sha256"]


def test_progress_rises_to_one(trained):
    seen = trained[2]
    assert seen == sorted(seen)
    assert seen[-1] == pytest.approx(1)


def test_cancelling_writes_nothing(tmp_path):
    def stop(fraction, note):
        if "epoch" in note:
            raise Cancelled

    with pytest.raises(Cancelled):
        train("part-2c", tmp_path / "x.safetensors", report=stop, **QUICK)
    assert list(tmp_path.iterdir()) == []


def test_wrong_requests_get_a_sentence_before_any_work(tmp_path):
    def never(fraction, note):
        raise AssertionError

    with pytest.raises(UnknownName, match="single-6c"):
        train("single6c", tmp_path / "x.safetensors", report=never)
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable, match="cannot be written"):
        train("single-6c", tmp_path / "file" / "x.safetensors", report=never)
    with pytest.raises(Unavailable, match=r"end in \.safetensors"):
        train("single-6c", tmp_path / "card.json", report=never)


def test_figures_are_those_of_a_count_one_image_at_a_time():
    torch.manual_seed(3)
    net = bundled.architecture(6).eval()
    found = evaluate(net, "single-6c", images=60, seed=9)
    shown, labels = training._drawn("single-6c", 60, 9, lambda fraction, note: None)
    body, head = bundled.halves(net)
    with torch.no_grad():
        images = (shown / 255 - 0.5) / 0.25
        right = [int(net(image[None]).argmax()) == int(label) for image, label in zip(images, labels, strict=True)]
        pooled = body(images)
        active = [sum(v > 0.05 * max(row) for v in row) for row in pooled.tolist()]
        costs = []
        for label in range(6):
            rows = [i for i in range(60) if labels[i] == label]
            added = sum(pooled[i] * head.weight[label] for i in rows)
            silent = sorted(range(128), key=lambda k: -float(added[k]))[:10]
            keep = torch.tensor([0.0 if k in silent else 1.0 for k in range(128)])
            left = [int(head(pooled[i] * keep).argmax()) == label for i in rows]
            costs.append(sum(right[i] for i in rows) / len(rows) - sum(left) / len(rows))
    assert found["accuracy"] == pytest.approx(sum(right) / 60)
    assert found["active"] == pytest.approx(sum(active) / 60)
    assert found["silencing"] == pytest.approx(costs)


def test_architecture_is_plain():
    net = bundled.architecture(5)
    assert net(torch.zeros(2, 3, 128, 128)).shape == (2, 5)
    assert bundled.halves(net)[0][:-2](torch.zeros(1, 3, 128, 128)).shape == (1, 128, 16, 16)
    assert not any(getattr(module, "inplace", False) for module in net.modules())


@pytest.mark.parametrize("card", bundled.cards(), ids=lambda card: card["name"])
def test_bundled_weights_are_the_ones_of_their_card(card):
    path = bundled.FOLDER / card["file"]
    assert hashlib.sha256(path.read_bytes()).hexdigest() == card["sha256"]
    assert path.stat().st_size < 2_000_000
    assert card["accuracy"] >= 0.99
    assert card["sparsity"]["active"] <= 15
    assert min(card["silencing"]["by_class"].values()) >= 0.5


def test_all_three_models_are_bundled():
    names = [card["name"] for card in bundled.cards()]
    assert names == ["flowers-double-12c", "flowers-shortcut-6c", "flowers-single-6c"]


@pytest.mark.slow
@pytest.mark.parametrize("card", bundled.cards(), ids=lambda card: card["name"])
def test_claims_of_bundled_models_hold_on_images_nobody_has_seen(card):
    from safetensors.torch import load_file

    net = bundled.architecture(len(card["labels"]))
    net.load_state_dict(load_file(bundled.FOLDER / card["file"]))
    net.eval()
    found = evaluate(net, card["variant"], seed=3_000_017)
    assert found["accuracy"] >= 0.99
    assert found["accuracy"] == pytest.approx(card["accuracy"], abs=0.01)
    assert found["active"] <= 15
    assert min(found["silencing"]) >= 0.5
    if card["variant"] == "shortcut":
        shuffled = evaluate(net, "shortcut", seed=3_000_017, rho=0.0)
        assert shuffled["accuracy"] <= found["accuracy"] - 0.2
        assert shuffled["accuracy"] == pytest.approx(card["accuracy_shuffled_tags"], abs=0.05)
