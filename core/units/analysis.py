"""Analyses of units: functions of a subject, registered with their cards and called by `analyse`."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

import torch
from numpy.typing import NDArray
from torch import Tensor

from core.card import Budget, Card, Cost, Validate
from core.data.concepts import Concept
from core.data.masks.pictures import Mask
from core.errors import Unsupported
from core.models.model import Model
from core.network.hooks import observe
from core.network.inspection import Layer
from core.progress import Report, chunks, silent
from core.registry import Registry
from core.store.schema import Column, Values
from core.store.unit_tables import FORMAT

if TYPE_CHECKING:
    import pandas as pd

Need = Literal["images", "labels", "concepts"]
Arrays = Mapping[str, NDArray[Any]]
Part = Callable[[int, Report], Arrays]  # the work on one shard of an analysis, by its number

T = TypeVar("T")

SHARD = 32  # images; a crash loses at most the work of one


class ImageSet(Protocol):
    """Images as a model sees them, in a fixed order."""

    @property
    def names(self) -> Sequence[str]:
        """Their names."""

    @property
    def labels(self) -> Sequence[int]:
        """Their classes, indices of the model's; -1 where none is known."""

    @property
    def concepts(self) -> Sequence[Concept]:
        """The concepts whose masks are known; none without masks."""

    def input(self, row: int) -> Tensor:
        """An image as network input (C, H, W). Raises VitrineError for one that cannot be read any more."""

    def masks(self, row: int) -> Mapping[int, Mask]:
        """The masks (H, W) of the concepts that an image shows, by number of the concept."""


class Parts(Protocol):
    """The results of all shards of one round of an analysis."""

    def __len__(self) -> int: ...

    def array(self, shard: int, name: str) -> NDArray[Any]:
        """An array of a shard."""


class Mapper(Protocol):
    """What runs the shards of a round: in memory, or with results on disk that survive a crash."""

    def __call__(self, part: Part, count: int, report: Report) -> Parts:
        """Run the shards 0 … count - 1."""


@dataclass(frozen=True)
class _InMemory:
    results: Sequence[Arrays]

    def __len__(self) -> int:
        return len(self.results)

    def array(self, shard: int, name: str) -> NDArray[Any]:
        return self.results[shard][name]


def in_memory(part: Part, count: int, report: Report) -> Parts:
    """Run the shards one after another and keep their results in memory."""
    return _InMemory([part(span.start, silent) for span in chunks(count, 1, report, "units")])


@dataclass(frozen=True)
class Subject:
    """The input of an analysis: a model, some of its layers, and images with what is known of them."""

    model: Model
    layers: tuple[str, ...]  # each with positions
    images: ImageSet
    seed: int = 0
    batch: int = 16  # images per pass
    mapper: Mapper = in_memory
    report: Report = silent

    @property
    def facts(self) -> tuple[Layer, ...]:
        """The facts of the layers. Raises Unsupported for one without positions, UnknownName for one that is not."""
        found = [self.model.survey.layer(self.model.resolve_layer(name)) for name in self.layers]
        return tuple(layer for layer in found if layer)

    @property
    def units(self) -> list[tuple[int, int]]:
        """All units in order: number of the layer, and of the unit in it."""
        return [(number, unit) for number, layer in enumerate(self.facts) for unit in range(layer.units)]

    @property
    def shards(self) -> int:
        """The number of shards of a round over all images."""
        return -(-len(self.images.names) // SHARD)

    def rows(self, shard: int) -> range:
        """The images of a shard."""
        return range(shard * SHARD, min((shard + 1) * SHARD, len(self.images.names)))

    def reduced(
        self, rows: range, reduce: Callable[[Tensor], T], report: Report = silent
    ) -> Iterator[tuple[range, list[T], Tensor]]:
        """What `reduce` gives for the maps (B, K, h, w) of each layer, and the outputs (B, C): one forward per image.

        `reduce` must not keep its maps: they are not copied, and the network may overwrite them.
        """
        facts = self.facts
        for span in chunks(len(rows), self.batch, report, "activations"):
            batch, found = rows[span.start : span.stop], dict[str, T]()

            def see(layer: Layer, found: dict[str, T], output: Tensor) -> None:
                found[layer.name] = reduce(layer.maps(output))

            observers = {layer.name: partial(see, layer, found) for layer in facts}
            with torch.no_grad(), observe(self.model.net, observers):
                outputs = self.model.net(self.inputs(batch))
            yield batch, [found[name] for name in self.layers], outputs

    def inputs(self, rows: Sequence[int]) -> Tensor:
        """Some of the images as the model takes them, (B, C, H, W)."""
        # Contiguous, whatever order is fastest for the network alone: maps are reduced several times as fast then.
        return torch.stack([self.images.input(row) for row in rows]).to(self.model.device)


@dataclass(frozen=True)
class Findings:
    """The results of an analysis: tables and arrays about its units, as its card names them."""

    tables: Mapping[str, "pd.DataFrame"]
    arrays: Arrays = field(default_factory=dict)
    notes: tuple[str, ...] = ()  # what has to be known to read them, as sentences


AnalysisFunction = Callable[..., Findings]
A = TypeVar("A", bound=AnalysisFunction)


@dataclass(frozen=True)
class Analysis(Card):
    """An analysis of units: its card, the function that computes it, what that needs and what it finds."""

    run: AnalysisFunction
    needs: frozenset[Need]
    tables: Mapping[str, Mapping[str, Column]]  # its results; every analysis also has `images`, `layers` and `concepts`
    arrays: Mapping[str, Values]
    optional: Mapping[str, Values]  # arrays that stores of an earlier format lack
    version: int  # of the format of its stores
    rounds: int  # over the images: each has shards of its own
    layers: Callable[[Model], tuple[str, ...]]  # that it reads where none are named
    noun: str  # the name of its stored form: the manifest is the file of that name


ANALYSES: Registry[Analysis] = Registry("analysis of units")


def analysis(
    title: str,
    *,
    family: str,
    source: str,
    formula: str,
    caution: str,
    cost: Cost,
    needs: Sequence[Need],
    tables: Mapping[str, Mapping[str, Column]],
    arrays: Mapping[str, Values] | None = None,
    optional: Mapping[str, Values] | None = None,
    version: int = FORMAT,
    noun: str,
    rounds: int = 1,
    layers: Callable[[Model], tuple[str, ...]] = lambda model: (model.resolve_layer(),),
    budgets: Mapping[Budget, Mapping[str, Any]] | None = None,
    validate: Validate | None = None,
) -> Callable[[A], A]:
    """Register an analysis under its function's name; its settings are the `Knob`s of its signature.

    The function takes a `Subject` and its settings, and returns `Findings`. It computes what depends on images in
    shards, through `subject.mapper`, so that the same function serves a page and a resumable build.
    """

    def register(run: A) -> A:
        entry = Analysis.of(
            run, title, family=family, source=source, formula=formula, caution=caution, cost=cost, budgets=budgets,
            validate=validate, run=run, needs=frozenset(needs), tables=tables, arrays=arrays or {},
            optional=optional or {}, version=version, rounds=rounds, noun=noun, layers=layers,
        )  # fmt: skip
        ANALYSES.add(entry.name, entry)
        return run

    return register


def analyse(name: str, subject: Subject, settings: Mapping[str, object] | None = None) -> Findings:
    """Compute the analysis `name`, its settings checked.

    Raises UnknownName and BadParameter, and Unsupported where the subject lacks what it needs.
    """
    entry = ANALYSES[name]
    chosen = entry.chosen(settings or {}, subject.model)
    check_needs(entry, subject)
    return entry.run(subject, **chosen)


def check_needs(entry: Analysis, subject: Subject) -> None:
    """Raise Unsupported for a layer without positions, UnknownName for none, Unsupported for missing annotations."""
    for name in subject.layers:
        subject.model.resolve_layer(name)
    if "concepts" in entry.needs and not subject.images.concepts:
        message = f"{entry.title} needs masks of concepts, and none are known."
        raise Unsupported(message, "Name a folder with masks of concepts.")
    if "labels" in entry.needs and max(subject.images.labels, default=-1) < 0:
        message = f"{entry.title} needs images of known classes, and none of these has one."
        raise Unsupported(message, "Name a folder with one sub-folder per class of the model.")
