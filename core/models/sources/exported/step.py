"""One operation of a graph of ONNX."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple


class Value(NamedTuple):
    """A reference to the result of a step, or to a constant that the network holds."""

    name: str


@dataclass(frozen=True)
class Step:
    """One operation of a graph: a layer of the network, or a function without weights."""

    operator: str  # as ONNX names it
    name: str  # of its layer
    function: Callable[..., Any]
    arguments: tuple[Any, ...]  # Value, Tensor, or None where an input is left out
    results: tuple[str, ...]
    several: bool  # it returns a tuple, of which the results are the first
    is_layer: bool

    @property
    def reads(self) -> set[str]:
        """The results among its arguments."""
        return {one.name for one in self.arguments if isinstance(one, Value)}

    def run(self, values: dict[str, Any], function: Callable[..., Any]) -> None:
        """Add its results to the values, computed by a function: its own, or what replaced its layer."""
        given = function(*(values[one.name] if isinstance(one, Value) else one for one in self.arguments))
        values.update(zip(self.results, given if self.several else (given,), strict=False))
