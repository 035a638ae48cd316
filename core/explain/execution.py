"""The execution of a query: batch, precision, progress, cache, prefetch, and a log of its cost."""

from dataclasses import dataclass, field, replace

from core.cache import TensorCache
from core.environment import Precision
from core.explain.relu_rules import ReluRule
from core.explain.targets import Target
from core.progress import Report, silent


class RunLog:
    """What an explanation cost and what its method remarks about it; filled while the method runs."""

    def __init__(self) -> None:
        self.forwards = 0  # images pushed through the model
        self.backwards = 0  # images whose gradient was taken
        self.fraction = 0.0  # of the work done, as last reported
        self.remarks: dict[str, float | str] = {}


@dataclass(frozen=True)
class Prefetch:
    """What will be asked next about the same images; it is computed from the same forward pass."""

    targets: tuple[Target, ...] = ()
    relu_rules: tuple[ReluRule, ...] = ()  # gradients under these rules
    layers: tuple[str, ...] = ()  # activations and gradients at these layers

    def __add__(self, other: "Prefetch") -> "Prefetch":
        """All that either announces."""
        return Prefetch(
            (*self.targets, *other.targets),
            (*self.relu_rules, *other.relu_rules),
            tuple(dict.fromkeys((*self.layers, *other.layers))),
        )


NOTHING = Prefetch()


@dataclass(frozen=True)
class Execution:
    """How a query is run. None of it changes what the answer means."""

    batch: int = 0  # images in one pass; 0 is what suits the device
    precision: Precision = "full"  # "half" lets methods that combine many scores compute them in half precision
    half_precision: bool = False  # passes run in float16
    report: Report = silent
    cache: TensorCache = field(default_factory=lambda: TensorCache(1 << 30))
    prefetch: Prefetch = NOTHING

    def changed(self, **settings: object) -> "Execution":
        """The same but for these settings."""
        return replace(self, **settings)  # type: ignore[arg-type]
