"""Training: reproducible, stoppable, and figures that a second, dumber count agrees with."""

import functools
import hashlib
import json
from pathlib import Path

import pytest
import torch

from core import train as training
from core.cli import main
from core.data.flowers import VARIANTS
from core.errors import Cancelled, Unavailable, UnknownName
from core.models.sources import flower_networks
from core.train import evaluate, train

WITHOUT_PART = ("bare",)  # a class that lacks a part has few filters of its own
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
    assert card["parameters"] == sum(value.numel() for value in flower_networks.architecture(2).parameters())
    assert [epoch["epoch"] for epoch in flower_networks.cards(out.parent) if "epoch" in epoch] == [1, 2]


@pytest.mark.slow
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
    for folder in ("x.json", "x-epoch02.safetensors", "y.safetensors"):
        (tmp_path / folder).mkdir()
    for name, card in {"x.safetensors": "x.json", "y.safetensors": "y.safetensors"}.items():
        with pytest.raises(Unavailable, match=rf"{card} cannot be written"):
            train("single-6c", tmp_path / name, report=never)
    (tmp_path / "x.json").rmdir()
    with pytest.raises(Unavailable, match=r"x-epoch02\.safetensors cannot be written"):
        train("single-6c", tmp_path / "x.safetensors", epochs=2, keep_epochs=True, report=never)
    assert len(list(tmp_path.iterdir())) == 3, "trying leaves nothing"


def test_files_that_refuse_to_be_written_are_found_before_the_work(tmp_path, monkeypatch):
    def never(fraction, note):
        raise AssertionError

    path = tmp_path / "x.safetensors"
    path.write_bytes(b"mine")
    path.chmod(0o400)
    opened = Path.open

    def as_a_user(self, mode="r", **rest):  # what the system says to everybody but root
        if self == path and "r" not in mode:
            raise PermissionError(13, "Permission denied")
        return opened(self, mode, **rest)

    monkeypatch.setattr(Path, "open", as_a_user)
    with pytest.raises(Unavailable, match=r"x\.safetensors cannot be written \(Permission denied\)"):
        train("single-6c", path, report=never)
    assert path.read_bytes() == b"mine"


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="this system has no /proc")
def test_a_folder_that_takes_no_files_is_found_before_the_work():
    def never(fraction, note):
        raise AssertionError

    with pytest.raises(Unavailable, match=r"/proc/t\.safetensors cannot be written"):
        train("single-6c", Path("/proc/t.safetensors"), report=never)


def test_what_the_command_line_says_reaches_the_training(tmp_path, monkeypatch):
    told = {}

    @functools.wraps(train)  # with its settings
    def never(*_, **rest):
        told.update(rest)
        return {"accuracy": 1.0}

    monkeypatch.setattr(training, "train", never)
    words = ["train", "--variant", "part-2c", "--out", str(tmp_path / "x.safetensors")]
    assert main([*words, "--epochs", "3", "--seed", "5", "--keep-epochs"]) == 0
    assert (told["epochs"], told["seed"], told["keep_epochs"]) == (3, 5, True)
    assert main(words) == 0
    assert told["keep_epochs"] is False


def test_training_runs_where_it_is_told(tmp_path, monkeypatch, capsys):
    """The command hands on the one answer to where models run."""
    told = {}
    monkeypatch.setattr("core.train.train", lambda *_, **rest: told.update(rest) or {"accuracy": 1.0})
    monkeypatch.setattr("core.commands.flowers.chosen", lambda *_: {})
    monkeypatch.setenv("VITRINE_DEVICE", "cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert main(["train", "--variant", "part-2c", "--out", str(tmp_path / "x.safetensors")]) == 0
    assert told["device"] == torch.device("cpu")
    monkeypatch.setenv("VITRINE_DEVICE", "abacus")
    assert main(["train", "--variant", "part-2c", "--out", str(tmp_path / "x.safetensors")]) == 2
    assert "VITRINE_DEVICE is 'abacus'" in capsys.readouterr().err


def test_a_network_is_measured_where_it_is():
    images = training._prepared(torch.zeros(2, 3, 4, 4, dtype=torch.uint8), torch.device("meta"))
    assert (images.device.type, images.shape) == ("meta", (2, 3, 4, 4))


def test_figures_are_those_of_a_count_one_image_at_a_time():
    torch.manual_seed(3)
    net = flower_networks.architecture(6).eval()
    found = evaluate(net, "single-6c", images=60, seed=9)
    shown, labels = training._drawn("single-6c", 60, 9, lambda fraction, note: None)
    body, head = flower_networks.halves(net)
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
    net = flower_networks.architecture(5)
    assert net(torch.zeros(2, 3, 128, 128)).shape == (2, 5)
    assert flower_networks.halves(net)[0][:-2](torch.zeros(1, 3, 128, 128)).shape == (1, 128, 16, 16)
    assert not any(getattr(module, "inplace", False) for module in net.modules())


@pytest.mark.parametrize("card", flower_networks.cards(), ids=lambda card: card["name"])
def test_bundled_weights_are_the_ones_of_their_card(card):
    path = flower_networks.FOLDER / card["file"]
    assert hashlib.sha256(path.read_bytes()).hexdigest() == card["sha256"]
    assert path.stat().st_size < 2_000_000
    assert card["accuracy"] >= 0.99
    assert card["sparsity"]["active"] <= 15
    assert min(cost for name, cost in card["silencing"]["by_class"].items() if name not in WITHOUT_PART) >= 0.5
    if card["variant"] == "shortcut":
        assert card["accuracy_shuffled_tags"] <= card["accuracy"] - 0.2


def test_a_model_of_each_variant_is_bundled():
    names = [card["name"] for card in flower_networks.cards()]
    assert names == ["flowers-double-12c", "flowers-part-2c", "flowers-shortcut-6c", "flowers-single-6c"]
    assert {card["variant"] for card in flower_networks.cards()} == set(VARIANTS)


@pytest.mark.slow
@pytest.mark.parametrize("card", flower_networks.cards(), ids=lambda card: card["name"])
def test_claims_of_bundled_models_hold_on_images_nobody_has_seen(card):
    from safetensors.torch import load_file

    net = flower_networks.architecture(len(card["labels"]))
    net.load_state_dict(load_file(flower_networks.FOLDER / card["file"]))
    net.eval()
    found = evaluate(net, card["variant"], images=600, seed=3_000_017)
    assert found["accuracy"] >= 0.99
    assert found["accuracy"] == pytest.approx(card["accuracy"], abs=0.01)
    assert found["active"] <= 15
    costs = zip(card["labels"], found["silencing"], strict=True)
    assert min(cost for name, cost in costs if name not in WITHOUT_PART) >= 0.5
    if card["variant"] == "shortcut":
        shuffled = evaluate(net, "shortcut", images=600, seed=3_000_017, rho=0.0)
        assert shuffled["accuracy"] <= found["accuracy"] - 0.2
        assert shuffled["accuracy"] == pytest.approx(card["accuracy_shuffled_tags"], abs=0.05)
