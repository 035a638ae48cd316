"""The execution of a query: batch, precision, progress, cache, prefetch, and a log of its cost."""

from dataclasses import dataclass, field, replace

from core.cache import TensorCache
from core.card import Passes
from core.environment import Precision
from core.explain.relu_rules import ReluRule
from core.explain.targets import Target
from core.progress import Report, silent


class RunLog:
    """The cost of an explanation and its method's remarks; filled while the method runs."""

    def __init__(self) -> None:
        self.forwards = 0  # images pushed through the model
        self.backwards = 0  # images whose gradient was taken
        self.fraction = 0.0  # of the work that is done, as last reported
        self.note = ""  # of that report
        self.remarks: dict[str, float | str] = {}

    @property
    def passes(self) -> Passes:
        """The passes so far."""
        return Passes(self.forwards, self.backwards)


@dataclass(frozen=True)
class Prefetch:
    """What later queries about the same images will need; it is computed from the same forward pass."""

    targets: tuple[Target, ...] = ()
    relu_rules: tuple[ReluRule, ...] = ()  # gradients under these rules
    layers: tuple[str, ...] = ()  # activations and gradients at these layers

    def __add__(self, other: "Prefetch") -> "Prefetch":
        """The union of two prefetches."""
        return Prefetch(
            (*self.targets, *other.targets),
            (*self.relu_rules, *other.relu_rules),
            tuple(dict.fromkeys((*self.layers, *other.layers))),
        )


NOTHING = Prefetch()


@dataclass(frozen=True)
class Execution:
    """How a query is run. None of these settings changes the meaning of the result."""

    batch: int = 0  # images per pass; 0 chooses by device
    precision: Precision = "full"  # allowed for methods that combine many scores
    half_precision: bool = False  # passes run in it now
    report: Report = silent
    cache: TensorCache = field(default_factory=lambda: TensorCache(1 << 30))
    prefetch: Prefetch = NOTHING

    def changed(self, **settings: object) -> "Execution":
        """A copy with these settings changed."""
        return replace(self, **settings)  # type: ignore[arg-type]
