"""Training of a fully connected network on a table, in seconds, and its score on rows it was not trained on."""

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from numpy.typing import NDArray

from core.card import Card
from core.errors import BadParameter
from core.params import Knob, Numbers
from core.progress import Counted, Report, silent
from core.tables.table import Table

if TYPE_CHECKING:
    from torch import Tensor, nn

    from core.tables.network import Network

    Examples = tuple[Tensor, Tensor]

MOST_LAYERS = 4  # hidden ones


@dataclass(frozen=True, eq=False)
class Trained:
    """A network, the rows it was trained on, and its score on the others."""

    network: "Network"
    training: Table
    held_out: Table
    score: float  # on the rows held out: accuracy, or R²
    training_score: float  # the same on the rows of the training
    chance: float  # the score of the most frequent class, or of the mean, of the rows of the training
    losses: NDArray[np.float64]  # (epochs, 2) of training and held-out rows

    @property
    def measure(self) -> str:
        """What the scores are."""
        return "accuracy" if self.held_out.classes else "R²"

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95% interval of an accuracy (Clopper and Pearson 1934); None for a number."""
        from scipy.stats import binomtest

        if not self.held_out.classes:
            return None
        found = binomtest(round(self.score * len(self.held_out)), len(self.held_out)).proportion_ci()
        return float(found.low), float(found.high)

    @property
    def sentence(self) -> str:
        """The scores in words."""
        shown = "{:.1%}" if self.held_out.classes else "{:.2f}"
        own, trained, chance = (shown.format(one) for one in (self.score, self.training_score, self.chance))
        if self.interval:
            own += " (95% interval {:.1%} to {:.1%})".format(*self.interval)
        guess = "most frequent class" if self.held_out.classes else "mean"
        return (
            f"The {self.measure} is {own} on the {len(self.held_out):,} rows held out, where the {guess} has {chance}, "
            f"and {trained} on the {len(self.training):,} rows of the training."
        )


def train(
    table: Table,
    *,
    hidden: Annotated[Numbers, Knob("Units of each hidden layer, separated by commas.", 1, 1024, 1)] = (32, 16),
    epochs: Annotated[int, Knob("Passes over the rows.", 1, 5000)] = 60,
    rate: Annotated[float, Knob("Learning rate of Adam.", 1e-5, 1)] = 0.01,
    decay: Annotated[
        float, Knob("Weight decay, relative to the learning rate (Loshchilov and Hutter 2019).", 0, 10)
    ] = 1.0,
    batch: Annotated[int, Knob("Rows per step.", 1, 10_000)] = 64,
    held_out: Annotated[float, Knob("Share of the rows on which the network is not trained.", 0.05, 0.9, 0.05)] = 0.25,
    seed: Annotated[int, Knob("Random seed of weights, order and rows held out.", 0, 999_999_999)] = 0,
    report: Report = silent,
) -> Trained:
    """A small network with ReLUs, trained with Adam on standardised features.

    Classes are learnt by cross-entropy, a number by its squared error. All settings and the seed give the same weights.
    It is not stopped early, so that a table with few rows shows how a network overfits. Raises BadParameter for
    settings with which it diverges.
    """
    import torch

    from core.network.threads import single_threaded

    training, held = split(table, held_out, seed)
    net = _new((len(table.encoded_names), *map(int, hidden), len(table.classes) or 1), seed)
    network = _standardised(training, net)
    low, span = (0.0, 1.0) if table.classes else (training.answers.mean(), training.answers.std() or 1.0)
    own, others = _tensors(network, training, low, span), _tensors(network, held, low, span)
    losses = (
        single_threaded(torch.get_num_threads())
        .submit(
            _descend, net, own, others, epochs=epochs, rate=rate, decay=decay, batch=batch, seed=seed, report=report
        )
        .result()
    )
    for value in net.parameters():
        value.requires_grad_(False)
    _rescale(net, low, span)
    return Trained(
        network,
        training,
        held,
        score=score(network(held.values), held, training),
        training_score=score(network(training.values), training, training),
        chance=score(_guess(training, len(held)), held, training),
        losses=losses,
    )


def _descend(
    net: "nn.Sequential",
    training: "Examples",
    held_out: "Examples",
    *,
    epochs: int,
    rate: float,
    decay: float,
    batch: int,
    seed: int,
    report: Report,
) -> NDArray[np.float64]:
    """Trains a network, and returns the losses (epochs, 2) of training and held-out rows."""
    import torch

    from core.randomness import generator

    inputs, goals = training
    optimiser = torch.optim.AdamW(net.parameters(), rate, weight_decay=decay)
    losses = np.empty((epochs, 2))
    report(0.0, Counted("epochs", 0, epochs))
    for epoch in range(epochs):
        order = torch.randperm(len(inputs), generator=generator(seed, epoch + 1000))
        for start in range(0, len(order), batch):
            rows = order[start : start + batch]
            optimiser.zero_grad()
            _loss(net(inputs[rows]), goals[rows]).backward()
            optimiser.step()
            report((epoch + min(1, (start + batch) / len(order))) / epochs, Counted("epochs", epoch + 1, epochs))
        with torch.no_grad():
            losses[epoch] = [float(_loss(net(x), y)) for x, y in (training, held_out)]
        if not np.isfinite(losses[epoch]).all():
            message = f"The training diverged: its loss in epoch {epoch + 1:,} is not finite."
            raise BadParameter(message, "Choose a lower learning rate or weight decay.")
    return losses


def split(table: Table, share: float, seed: int = 0) -> tuple[Table, Table]:
    """The rows of the training and those held out, drawn by the seed; in both, classes are about as frequent.

    Each has at least two rows.
    """
    import torch

    from core.randomness import generator

    order = torch.randperm(len(table), generator=generator(seed, 0)).numpy()
    if table.classes:
        order = order[np.argsort(table.answers[order], kind="stable")]
    count = min(max(2, round(share * len(table))), len(table) - 2)
    held = np.zeros(len(table), bool)
    # Evenly spaced among the shuffled rows of one class after the other.
    held[order[((np.arange(count) + 0.5) * len(table) / count).astype(int)]] = True
    return table.rows(~held), table.rows(held)


def error(outputs: NDArray[np.float64], table: Table) -> float:
    """The share of wrong classes, or the mean squared error, of outputs (n, C) or (n, 1)."""
    if table.classes:
        return float((outputs.argmax(1) != table.answers).mean())
    return float(np.square(outputs[:, 0] - table.answers).mean())


def score(outputs: NDArray[np.float64], table: Table, training: Table) -> float:
    """The accuracy, or R²: the squared error saved in comparison with the mean of the rows of the training."""
    if table.classes:
        return 1 - error(outputs, table)
    mean = error(np.full((len(table), 1), training.answers.mean()), table)
    return 1 - error(outputs, table) / max(mean, np.finfo(float).tiny)


def _guess(training: Table, rows: int) -> NDArray[np.float64]:
    """What a model without features predicts: the most frequent class, or the mean."""
    if not training.classes:
        return np.full((rows, 1), training.answers.mean())
    counts = np.bincount(training.answers.astype(int), minlength=len(training.classes))
    return np.tile(counts / counts.sum(), (rows, 1))


def _new(sizes: tuple[int, ...], seed: int) -> "nn.Sequential":
    """Layers with weights drawn for this seed (He et al. 2015) and no biases."""
    from torch import nn

    from core.randomness import generator

    layers: list[nn.Module] = []
    for number, (inputs, outputs) in enumerate(pairwise(sizes), 1):
        linear = nn.utils.skip_init(nn.Linear, inputs, outputs)  # which would draw from the global generator
        nn.init.kaiming_normal_(linear.weight, nonlinearity="relu", generator=generator(seed, number))
        nn.init.zeros_(linear.bias)
        layers += [linear, nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def _standardised(training: Table, net: "nn.Sequential") -> "Network":
    """The network on features of mean zero and deviation one; constant ones are left at zero."""
    from core.tables.network import Network

    encoded = training.encoded()
    deviation = encoded.std(0)
    return Network(training, net, encoded.mean(0), np.where(deviation > 0, deviation, 1.0))


def _tensors(network: "Network", table: Table, low: float, span: float) -> "Examples":
    """Inputs (n, q) and what is to be learnt: classes (n,) or standardised numbers (n, 1)."""
    import torch

    inputs = torch.from_numpy((table.encoded() - network.mean) / network.scale).float()
    answers = torch.from_numpy((table.answers - low) / span)
    return inputs, answers.long() if table.classes else answers.float()[:, None]


def _loss(outputs: "Tensor", goals: "Tensor") -> "Tensor":
    from torch.nn import functional as F

    return F.mse_loss(outputs, goals) if goals.is_floating_point() else F.cross_entropy(outputs, goals)


def _rescale(net: "nn.Sequential", low: float, span: float) -> None:
    """Let the last layer give numbers in their own unit."""
    last: Any = net[-1]
    last.weight.mul_(span)
    last.bias.mul_(span).add_(low)


def _validate(settings: Any) -> None:
    hidden = settings["hidden"]
    if len(hidden) > MOST_LAYERS or any(size != int(size) for size in hidden):
        message = f"hidden cannot be {','.join(f'{size:g}' for size in hidden)}."
        raise BadParameter(message, f"Give up to {MOST_LAYERS} whole numbers, such as 32,16.")


NETWORK = Card.of(
    train,
    "Fully connected network",
    family="table",
    source="",
    formula="f(x) = W₃ ReLU(W₂ ReLU(W₁ x + b₁) + b₂) + b₃",
    caution="With few rows and many features it fits the rows of the training and predicts no others: compare its "
    "score with chance.",
    cost=lambda settings, side: 0,
    validate=_validate,
)
