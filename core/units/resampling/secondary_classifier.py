"""The secondary classifier: a small network that reads the class of an image from its patches alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from core.errors import BadParameter
from core.params import Knob
from core.progress import Report, chunks, silent
from core.units.resampling.patches import Box

SIDE = 64  # pixels of a resized patch
FILTERS = 64  # of each convolution


@dataclass(frozen=True)
class PatchAccuracy:
    """The accuracy of the secondary classifier on patches of images that it was not trained on."""

    accuracy: float
    chance: float  # accuracy of always saying the class most frequent in training
    trained: int  # patches
    tested: int
    trained_images: int
    tested_images: int


def crops(image: Tensor, boxes: Sequence[Box], side: int = SIDE) -> Tensor:
    """The patches of an image (3, H, W) in [0, 1], resized to (P, 3, side, side) as the paper does."""
    parts = [image[None, :, top : top + height, left : left + width] for top, left, height, width in boxes]
    resized = [
        F.interpolate(part, (side, side), mode="bilinear", align_corners=False, antialias=True) for part in parts
    ]
    return torch.cat(resized) if resized else image.new_zeros(0, len(image), side, side)


def secondary_classifier(
    patches: Tensor,
    images: Sequence[int],
    labels: Sequence[int],
    *,
    epochs: Annotated[int, Knob("Number of epochs.", 1, 200)] = 5,
    share: Annotated[float, Knob("Share of the images of each class that are trained on.", 0.1, 0.9)] = 0.6,
    batch: Annotated[int, Knob("Patches in a step.", 1, 256)] = 8,
    rate: Annotated[float, Knob("Learning rate.", 0, 1)] = 0.01,
    seed: Annotated[int, Knob("Seed of the split, the initial weights and the order.", 0)] = 0,
    report: Report = silent,
) -> PatchAccuracy:
    """Train a small network on patches (P, 3, S, S) in [0, 1] and measure it on the patches of other images.

    Three convolutions of 64 filters with pooling between them, global average pooling and a softmax (section 5.1 of
    Lengerich et al. 2017), trained by SGD with momentum 0.9. `images` and `labels` (P,) say which image a patch is of
    and the class of that image. The split is by image, within each class: patches of one image resemble each other.
    Raises BadParameter unless there are two classes with two images each.
    """
    of, classes = np.asarray(images), np.unique(labels)
    targets = np.searchsorted(classes, labels)
    trained = np.isin(of, _training_images(of, targets, share, seed))
    net = _network(len(classes), patches.shape[1], seed).to(patches.device)
    optimiser = torch.optim.SGD(net.parameters(), rate, momentum=0.9)
    rows, answers = np.flatnonzero(trained), torch.from_numpy(targets).to(patches.device)
    for span in chunks(epochs, 1, report, "epochs of the secondary classifier", counted=True):
        order = np.random.default_rng([seed, 1, span.start]).permutation(rows)
        for start in range(0, len(order), batch):
            chosen = torch.from_numpy(order[start : start + batch]).to(patches.device)
            with torch.enable_grad():
                loss = F.cross_entropy(net(patches[chosen] - 0.5), answers[chosen])
                optimiser.zero_grad()
                loss.backward()
            optimiser.step()
    tested = np.flatnonzero(~trained)
    with torch.no_grad():
        parts = [net(patches[part] - 0.5).argmax(1).numpy(force=True) for part in torch.from_numpy(tested).split(256)]
    usual = np.bincount(targets[trained]).argmax()
    return PatchAccuracy(
        accuracy=float((np.concatenate(parts) == targets[tested]).mean()),
        chance=float((targets[tested] == usual).mean()),
        trained=len(rows),
        tested=len(tested),
        trained_images=len(np.unique(of[trained])),
        tested_images=len(np.unique(of[tested])),
    )


def _training_images(
    images: NDArray[np.int64], targets: NDArray[np.int64], share: float, seed: int
) -> NDArray[np.int64]:
    """The images that are trained on: of each class the share, at least one and not all."""
    chosen: list[NDArray[np.int64]] = []
    groups = [np.unique(images[targets == label]) for label in np.unique(targets)]
    if len(groups) < 2 or min(map(len, groups)) < 2:
        fewest = min(map(len, groups), default=0)
        message = f"There are {len(groups)} classes, the smallest with patches of {fewest} image(s)."
        raise BadParameter(message, "Give two classes or more with two images each.")
    for label, group in enumerate(groups):
        count = min(max(round(share * len(group)), 1), len(group) - 1)
        chosen.append(np.random.default_rng([seed, 0, label]).permutation(group)[:count])
    return np.concatenate(chosen)


def _network(classes: int, channels: int, seed: int) -> nn.Sequential:
    """The untrained network, its weights drawn from the seed alone (He et al. 2015)."""
    with torch.random.fork_rng(devices=[]):  # layers draw weights from the global generator
        net = nn.Sequential(
            nn.Conv2d(channels, FILTERS, 3, padding=1), nn.ReLU(), nn.MaxPool2d(4, 2),
            nn.Conv2d(FILTERS, FILTERS, 3, padding=1), nn.ReLU(), nn.MaxPool2d(4, 2),
            nn.Conv2d(FILTERS, FILTERS, 3, padding=1), nn.ReLU(),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(FILTERS, classes),
        )  # fmt: skip
    generator = torch.Generator().manual_seed(seed)
    for module in net:
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=generator)
            nn.init.zeros_(module.bias)  # type: ignore[arg-type]
    return net
