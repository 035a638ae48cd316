"""Training of the small network on flowers with few filters per class, and measurement of how few suffice."""

import platform
from pathlib import Path
from typing import Annotated, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core.data.flowers import VARIANTS, draw
from core.models.sources import flower_networks
from core.params import Knob
from core.progress import Report, chunks, silent, subrange

OWN_SEED = 1_000_000  # added to the seed of training images, so that images a user draws are new to the network
FRESH_SEED = 2_000_000  # added to the seed of the images on which a card's numbers are measured
BATCH = 60
ACTIVE = 0.05  # a filter is active in an image if its average exceeds this fraction of the largest one
ABLATED = 10


def train(
    variant: str,
    out: Path,
    *,
    epochs: Annotated[int, Knob("Number of epochs.", 1, 200)] = 10,
    images: Annotated[int, Knob("Number of training images.", 60, 100_000)] = 3600,
    activity: Annotated[float, Knob("L1 penalty on the activations of the last layer's filters.", 0, 10)] = 0.1,
    weights: Annotated[float, Knob("Penalty on the weights of the last layer.", 0, 1)] = 0.015,
    seed: Annotated[int, Knob("Random seed of images, initial weights and order.", 0, 999_999)] = 0,
    fresh: Annotated[int, Knob("Number of images generated for evaluation.", 60, 100_000)] = 1200,
    keep_epochs: Annotated[bool, Knob("Save the weights of every epoch in separate files.")] = False,
    device: torch.device | str = "cpu",
    report: Report = silent,
) -> dict[str, Any]:
    """Train on `images` new flowers of a variant, write weights and card to `out`, and return the card.

    Both penalties are L1 norms, increased from zero to full strength in the middle third of the training: first the
    network learns, then unnecessary filters are suppressed. The head has no bias, so that without evidence no class is
    preferred. Raises UnknownName for a variant that does not exist, Unavailable if `out` cannot be written.
    """
    classes = len(VARIANTS[variant].classes)
    epoch_files = [out.with_name(f"{out.stem}-epoch{epoch + 1:02d}{out.suffix}") for epoch in range(epochs)]
    for file in (out, *(epoch_files if keep_epochs else ())):
        flower_networks.writable(file)
    pixels, labels = _drawn(variant, images, OWN_SEED + seed, subrange(report, 0.0, 0.2))
    net = _new(classes, seed).to(device)
    body, head = flower_networks.halves(net)
    how = _how(epochs, images, activity, weights, seed) | {"device": str(device)}
    facts = _facts(variant) | {"trained": how}
    optimiser = torch.optim.AdamW([value for value in net.parameters() if value.requires_grad], weight_decay=1e-4)
    steps = epochs * -(-images // BATCH)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, total_steps=steps, pct_start=0.25)
    for epoch in range(epochs):
        order = torch.randperm(images, generator=torch.Generator().manual_seed(seed + epoch * 1_000_003))
        epoch_report = subrange(report, 0.2 + 0.6 * epoch / epochs, 0.2 + 0.6 * (epoch + 1) / epochs)
        for span in chunks(images, BATCH, epoch_report, f"epoch {epoch + 1} of {epochs}"):
            rows = order[span.start : span.stop]
            pooled = body(_prepared(pixels[rows], head.weight.device))
            loss = F.cross_entropy(head(pooled), labels[rows].to(pooled.device))
            penalty = activity * pooled.abs().sum(1).mean() + weights * head.weight.abs().sum()
            strength = min(1.0, max(0.0, ((epoch + span.start / images) / epochs - 0.35) / 0.35))
            optimiser.zero_grad()
            (loss + strength * penalty).backward()
            optimiser.step()
            rate.step()
        if keep_epochs:
            flower_networks.write(net, epoch_files[epoch], facts | {"epoch": epoch + 1})
    measured = _measured(net.eval(), variant, fresh, FRESH_SEED + seed, subrange(report, 0.8, 1.0))
    return flower_networks.write(net, out, facts | measured)


def evaluate(
    net: nn.Sequential,
    variant: str,
    *,
    images: int = 1200,
    seed: int = FRESH_SEED,
    rho: float = 1.0,
    tagged: bool = True,
    report: Report = silent,
) -> dict[str, Any]:
    """Evaluate a flower network on new flowers: accuracy, active filters, and the accuracy lost by ablation.

    The ablation sets the ten filters to zero that contribute most to a class, on average over its images, and measures
    the loss of that class's accuracy (in units of 1).
    """
    shown, labels = _drawn(variant, images, seed, subrange(report, 0.0, 0.8), rho=rho, tagged=tagged)
    body, head = flower_networks.halves(net)
    with torch.no_grad():
        spans = chunks(images, 100, subrange(report, 0.8, 1.0), "measuring")
        where = head.weight.device
        pooled = torch.cat([body(_prepared(shown[span.start : span.stop], where)).cpu() for span in spans])
        weight, bias = head.weight.cpu(), head.bias.cpu()
        right = ((pooled @ weight.T + bias).argmax(1) == labels).float()
        costs = []
        for label in range(len(bias)):
            class_rows = pooled[labels == label].clone()
            class_rows[:, (class_rows.mean(0) * weight[label]).topk(ABLATED).indices] = 0
            ablated = ((class_rows @ weight.T + bias).argmax(1) == label).float()
            costs.append(float(right[labels == label].mean() - ablated.mean()))
        active = (pooled > ACTIVE * pooled.amax(1, keepdim=True)).sum(1).float()
    return {"accuracy": float(right.mean()), "active": float(active.mean()), "silencing": costs}


def _measured(net: nn.Sequential, variant: str, images: int, seed: int, report: Report) -> dict[str, Any]:
    """The numbers of a card, measured on images that were not trained on."""
    kind = VARIANTS[variant]
    shortcut = variant == "shortcut"
    numbers = evaluate(net, variant, images=images, seed=seed, report=subrange(report, 0.0, 0.34 if shortcut else 1.0))
    facts: dict[str, Any] = {
        "accuracy": round(numbers["accuracy"], 4),
        "measured": {"images": images, "seed": seed},
        "sparsity": {
            "active": round(numbers["active"], 2),
            "definition": f"filters per image whose average exceeds {ACTIVE:.0%} of that image's largest",
        },
        "silencing": {
            "filters": ABLATED,
            "mean": round(sum(numbers["silencing"]) / len(kind.classes), 4),
            "by_class": {name: round(cost, 4) for name, cost in zip(kind.classes, numbers["silencing"], strict=True)},
            "definition": f"accuracy lost on a class without the {ABLATED} filters that add most to it",
        },
    }
    if shortcut:
        shuffled = evaluate(net, variant, images=images, seed=seed, rho=0.0, report=subrange(report, 0.34, 0.67))
        without = evaluate(net, variant, images=images, seed=seed, tagged=False, report=subrange(report, 0.67, 1.0))
        facts["accuracy_shuffled_tags"] = round(shuffled["accuracy"], 4)
        facts["accuracy_without_tags"] = round(without["accuracy"], 4)
    return facts


def _drawn(
    variant: str, images: int, seed: int, report: Report, *, rho: float = 1.0, tagged: bool = True
) -> tuple[Tensor, Tensor]:
    """The first `images` flowers of a seed, with alternating classes: (N, 3, 128, 128) uint8 and (N,) labels."""
    classes = len(VARIANTS[variant].classes)
    labels = torch.arange(images) % classes
    shown = torch.empty(images, flower_networks.SIZE, flower_networks.SIZE, 3, dtype=torch.uint8)
    for span in chunks(images, 50, report, "generating flowers"):
        for index in span:
            flower = draw(variant, index % classes, index, seed=seed, size=flower_networks.SIZE, rho=rho, tagged=tagged)
            shown[index] = torch.from_numpy(flower.image)
    return shown.permute(0, 3, 1, 2), labels


def _new(classes: int, seed: int) -> nn.Sequential:
    """A network with initial weights from a seed, its head without bias."""
    with torch.random.fork_rng(devices=[]):  # layers draw their initial weights from the global generator
        torch.default_generator.manual_seed(seed)
        net = flower_networks.architecture(classes)
    bias = flower_networks.halves(net)[1].bias
    nn.init.zeros_(bias)
    bias.requires_grad_(False)
    return net.to(memory_format=torch.channels_last)


def _prepared(images: Tensor, device: torch.device) -> Tensor:
    """Bytes as network inputs, on the device."""
    mean, std = (
        torch.tensor(values, device=device).view(3, 1, 1) for values in (flower_networks.MEAN, flower_networks.STD)
    )
    return (images.to(device).float() / 255 - mean) / std


def _facts(variant: str) -> dict[str, Any]:
    """The facts in a card that depend on the variant only."""
    kind = VARIANTS[variant]
    name = "flowers-shortcut-6c" if variant == "shortcut" else f"flowers-{variant}"
    return {
        "name": name,
        "title": f"Flowers: {kind.title.lower()}",
        "note": f"{kind.summary} Trained on synthetic flowers so that few filters carry a class.",
        "variant": variant,
        "labels": list(kind.classes),
    }


def _how(epochs: int, images: int, activity: float, weights: float, seed: int) -> dict[str, Any]:
    return {
        "epochs": epochs,
        "images": images,
        "image_seed": OWN_SEED + seed,
        "activity": activity,
        "weights": weights,
        "seed": seed,
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
    }
