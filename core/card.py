"""Cards: title, settings, cost and source of a method or measure, read from its signature and docstring."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self, get_args

from core.errors import BadParameter
from core.params import HasLayers, Param, checked, params_of

Budget = Literal["quick", "standard", "paper"]
BUDGETS: tuple[Budget, ...] = get_args(Budget)
Validate = Callable[[Mapping[str, Any]], object]


@dataclass(frozen=True)
class Passes:
    """Passes of images through a network: what methods cost, and what maps took."""

    forward: float = 0
    backward: float = 0
    beside: float = 0  # other work, in the time of a forward

    @property
    def weight(self) -> float:
        """Their time in that of a forward; a backward takes as long as two."""
        return self.forward + 2 * self.backward + self.beside

    def __add__(self, other: "Passes") -> "Passes":
        return Passes(self.forward + other.forward, self.backward + other.backward, self.beside + other.beside)

    def __sub__(self, other: "Passes") -> "Passes":
        return self + other * -1

    def __mul__(self, count: float) -> "Passes":
        return Passes(self.forward * count, self.backward * count, self.beside * count)

    def __bool__(self) -> bool:
        return self.weight != 0

    def __str__(self) -> str:
        """As in "1 forward + 2 backward", the only way in which passes are told."""
        counts = {"forward": self.forward, "backward": self.backward}
        return " + ".join(f"{count:,.0f} {name}" for name, count in counts.items() if count) or "no passes"


Cost = Callable[[Mapping[str, Any], int], Passes | float]  # (settings, side of the image); a number is of forwards


@dataclass(frozen=True)
class Card:
    """The description of a method, measure or other function with settings, for forms, command line, pages and docs.

    Kinds of cards (`Explainer`, `Measure`) add fields of their own.
    """

    name: str
    title: str
    family: str
    summary: str  # first sentence of the docstring
    about: str  # its remaining text, one plain paragraph
    source: str  # the paper that introduced it
    formula: str
    caution: str  # when it is misleading
    params: tuple[Param, ...]
    cost: Cost  # of one image
    budgets: Mapping[Budget, Mapping[str, Any]]  # settings that differ from the defaults
    validate: Validate  # raises BadParameter for incompatible settings

    @classmethod
    def of(
        cls,
        function: Callable[..., object],
        title: str,
        *,
        family: str,
        source: str,
        formula: str,
        caution: str,
        cost: Cost,
        budgets: Mapping[Budget, Mapping[str, Any]] | None = None,
        validate: Validate | None = None,
        **own: Any,
    ) -> Self:
        """The card of a function: settings are the `Knob`s of its signature, texts come from its docstring.

        `own` are the additional fields of the kind of card. A setting of an unsupported type is a TypeError.
        """
        summary, _, about = (function.__doc__ or "").strip().partition("\n")
        return cls(
            name=getattr(function, "__name__", title),
            title=title,
            family=family,
            summary=summary,
            about=" ".join(about.split()),
            source=source,
            formula=formula,
            caution=caution,
            params=params_of(function),
            cost=cost,
            budgets=budgets or {},
            validate=validate or (lambda settings: None),
            **own,
        )

    def passes(self, settings: Mapping[str, Any], side: int) -> Passes:
        """The passes for an image of `side` pixels."""
        cost = self.cost(settings, side)
        return cost if isinstance(cost, Passes) else Passes(cost)

    @property
    def defaults(self) -> dict[str, Any]:
        """All settings at their defaults."""
        return {param.name: param.default for param in self.params}

    def budget(self, name: str) -> dict[str, Any]:
        """The settings of the budget "quick", "standard" (the defaults) or "paper"; BadParameter for another name."""
        if name not in BUDGETS:
            raise BadParameter(f"There is no budget called {name!r}.", f"Choose one of {', '.join(BUDGETS)}.")
        return dict(self.budgets.get(name, {}))

    def chosen(self, given: Mapping[str, object], model: HasLayers | None = None) -> dict[str, Any]:
        """All settings, the given ones checked alone and together; layers and units are looked up in `model`.

        Raises UnknownName and BadParameter, and what `model` raises.
        """
        settings = checked(self.params, given, self.name, model=model)
        self.validate(settings)
        return settings
