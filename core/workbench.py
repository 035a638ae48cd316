"""What pages and commands work with: one model, one cache, and everything asked about a picture computed once."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from reprlib import repr as short
from typing import Any, get_args

import torch
from torch import Tensor

from core.cache import TensorCache
from core.capture import capture
from core.config import digest
from core.errors import BadParameter, StudyError, Unavailable, VitrineError
from core.explain import EXPLAINERS, Explanation, Query, explain
from core.explain.explainer import BUDGETS, Budget, passes
from core.explain.query import Precision
from core.explain.rectified import Kind
from core.explain.run import Watch, unwatched
from core.images import Picture, Pixels
from core.mining.ablation import from_images
from core.models.model import Model
from core.models.pace import batch_of, seconds_of
from core.params import checked, expanded, whole
from core.progress import Report, part, silent
from core.study import BUNDLED, Study
from core.survey import grid

MOST_SEED = 999_999_999


def home() -> Path:
    """The user's own folder for studies and downloads: VITRINE_HOME, or ~/.vitrine."""
    found = expanded(os.environ.get("VITRINE_HOME") or "~/.vitrine")
    if found.parts[:1] == ("~",):
        raise Unavailable("This user has no folder of their own.", "Set VITRINE_HOME to a folder to write into.")
    return found


def device() -> torch.device:
    """Where models run: VITRINE_DEVICE, else CUDA where there is one, else the CPU."""
    wanted = os.environ.get("VITRINE_DEVICE") or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        found = torch.zeros(1, device=wanted)
        float(found)  # "meta" keeps no values
        return found.device
    except (RuntimeError, AssertionError):
        raise BadParameter(f"VITRINE_DEVICE names {wanted!r}, which this machine lacks.", "Use cpu or cuda.") from None


def seed(value: str | int) -> int:
    """A seed as forms, addresses and command lines give it; BadParameter for what is none."""
    number = whole(str(value))
    if number is None or number > MOST_SEED:
        raise BadParameter(f"The seed cannot be {short(value)}.", f"Give a whole number from 0 to {MOST_SEED:,}.")
    return number


def precision() -> Precision:
    """How methods compute that put many scores together: VITRINE_PRECISION, or half on a GPU and full elsewhere."""
    wanted = os.environ.get("VITRINE_PRECISION") or ("half" if device().type == "cuda" else "full")
    for known in get_args(Precision):
        if wanted == known:
            return known
    raise BadParameter(f"VITRINE_PRECISION is {wanted!r}.", "Use full or half.")


def budget() -> int:
    """Bytes that one session's cache may hold: VITRINE_CACHE_MB, or 512 MB (2,048 on a GPU)."""
    default = "2048" if device().type == "cuda" else "512"
    text = os.environ.get("VITRINE_CACHE_MB") or default
    megabytes = whole(text)
    if megabytes is None or megabytes >= 10**9:
        raise BadParameter(f"VITRINE_CACHE_MB is {short(text)}.", "Give a whole number of megabytes.")
    return megabytes << 20


def find_study(name: str | Path) -> Study:
    """The study at a path, or else one of the user's or the bundled ones by its name. Raises StudyError."""
    places = [expanded(name), home() / "studies" / name, BUNDLED / name]
    try:
        return Study(next((place for place in places if place.exists()), places[0]))
    except OSError as error:  # a name that no file system takes, a folder that may not be read
        what = short(str(name))
        raise StudyError(f"{what} cannot be opened ({error.strerror}).", "Give the folder of a study.") from None


@dataclass(frozen=True)
class Ask:
    """One tile of a comparison: a method, the class it explains and the settings that differ from the defaults."""

    name: str
    target: int
    settings: Mapping[str, Any] = field(default_factory=dict)
    settle: bool = False  # finish as soon as the map has settled

    @property
    def key(self) -> str:
        """A short text that is equal exactly for equal asks."""
        return digest(self)[:16]


@dataclass(frozen=True)
class Plan:
    """What a method would do on a model: why it cannot work, or else where it reads and what it costs."""

    reason: str = ""
    place: str = ""  # the layer or layers it reads unless another is asked for; "" is the image
    passes: Mapping[Budget, float] = field(default_factory=dict)
    seconds: Mapping[Budget, float] = field(default_factory=dict)


Answer = Explanation | VitrineError


class Workbench:
    """A model seen by one session: predictions, explanations and estimates, kept in the session's cache.

    The model is shared with other sessions and never changed; the cache is this session's own.
    """

    def __init__(self, model: Model, cache: TensorCache | None = None) -> None:
        self.model = model
        self.cache = TensorCache(budget()) if cache is None else cache  # an empty one counts as False

    def view(self, picture: Picture) -> Pixels:
        """The part of the picture the model sees, (H, W, 3)."""
        return self.model.preprocess.view(picture.pixels)

    def probabilities(self, picture: Picture) -> Tensor:
        """The model's softmax over its classes, (C,)."""
        return self._query(picture, 0, batch=1).clean_logits()[0].softmax(0).cpu()

    def top(self, picture: Picture, count: int = 5) -> list[tuple[int, str, float]]:
        """The most probable classes as (index, label, probability), highest first."""
        values, indices = self.probabilities(picture).topk(min(count, len(self.model.labels)))
        pairs = zip(indices.tolist(), values.tolist(), strict=True)
        return [(i, self.model.labels[i], p) for i, p in pairs]

    def activations(self, picture: Picture, layer: str) -> Tensor:
        """What a layer's filters answer to the picture, (D, h, w). Raises UnknownName for a layer there is not."""
        return self.cache.get((self.model.sha, picture.sha, "activations", layer), lambda: self._seen(picture, layer))

    def without(self, picture: Picture, layer: str, filters: Sequence[int]) -> Tensor:
        """The model's softmax over its classes with these filters of a layer silenced, (C,)."""
        kept = torch.ones(1, self.activations(picture, layer).shape[0], device=self.model.device)
        kept[:, sorted(set(filters))] = 0
        return from_images(self.model, layer, shortcut=False)(self._tensor(picture), kept)[0, 0].softmax(0).cpu()

    def target(self, picture: Picture, wanted: str | int = "predicted") -> int:
        """A class index from "predicted", an index or a label."""
        return self.top(picture, 1)[0][0] if wanted == "predicted" else self.model.target(wanted)

    def usable(self) -> dict[str, str]:
        """Every method with the reason why it cannot work on this model; "" where it can."""
        return {name: method.unmet(self.model) for name, method in EXPLAINERS.items()}

    def plans(self) -> dict[str, Plan]:
        """What every method would do on this model, before any of them runs."""
        return {name: self._plan(name, reason) for name, reason in self.usable().items()}

    def passes(self, asks: Sequence[Ask]) -> float:
        """Forward passes that these tiles need together beyond the prediction itself, a backward counted as two."""
        methods = [(EXPLAINERS[ask.name], ask) for ask in asks]
        asked = [(method, checked(method.params, ask.settings, ask.name), ask.target) for method, ask in methods]
        return passes(asked, self.model.preprocess.crop)

    def estimate(self, asks: Sequence[Ask]) -> float:
        """Seconds that these tiles will take: their passes times the measured time of one."""
        return self.passes(asks) * pass_seconds(self.model)

    def known(self, picture: Picture, ask: Ask, seed: int = 0, layer: str = "") -> Explanation | None:
        """The finished explanation if this session still holds it, without a model pass."""
        found = self.cache.peek(self._key(picture, ask, seed, layer))
        return found if isinstance(found, Explanation) else None

    def explain(
        self,
        picture: Picture,
        ask: Ask,
        *,
        seed: int = 0,
        layer: str = "",
        report: Report = silent,
        watch: Watch = unwatched,
        also: tuple[int, ...] = (),
        ahead: tuple[Kind, ...] = (),
    ) -> Explanation:
        """The answer to one ask; a finished one is kept. Raises what `core.explain.explain` raises.

        `also` names classes that will be asked about next, `ahead` kinds of slopes: they share the forward where a
        method allows it.
        """
        if found := self.known(picture, ask, seed, layer):
            report(1.0, EXPLAINERS[ask.name].title)
            return found
        query = self._query(picture, ask.target, also=also, ahead=ahead, seed=seed, layer=layer, report=report)
        result = explain(ask.name, query, ask.settings, watch, settle=ask.settle)
        if result.finished:
            self.cache.put(self._key(picture, ask, seed, layer), result)
        return result

    def compare(
        self,
        picture: Picture,
        asks: Sequence[Ask],
        done: Callable[[Ask, Answer], None],
        *,
        seed: int = 0,
        layer: str = "",
        report: Report = silent,
        watch: Callable[[Ask], Watch] = lambda ask: unwatched,
    ) -> None:
        """Answer the asks, cheap ones first, handing each to `done` as it finishes; one that fails stops no other."""
        weights = {id(ask): self.passes([ask]) for ask in asks}
        new = [ask for ask in asks if not self.known(picture, ask, seed, layer)]
        targets = tuple(dict.fromkeys(ask.target for ask in new))
        needed = {work.name for ask in new for work in EXPLAINERS[ask.name].shares}
        ahead = tuple(kind for kind in get_args(Kind) if kind in needed)
        total, before = sum(weights.values()) or 1.0, 0.0
        for ask in sorted(asks, key=lambda ask: weights[id(ask)]):
            after = before + weights[id(ask)]
            try:
                share = part(report, before / total, after / total)
                answer: Answer = self.explain(
                    picture, ask, seed=seed, layer=layer, report=share, watch=watch(ask), also=targets, ahead=ahead
                )
            except VitrineError as error:
                answer = error
            before = after
            done(ask, answer)

    def _plan(self, name: str, reason: str) -> Plan:
        if reason:
            return Plan(reason)
        method = EXPLAINERS[name]
        asks = {budget: Ask(name, 0, method.budget(budget)) for budget in BUDGETS}
        place = method.place(self.model.survey, "", checked(method.params, {}, name))
        needed = {budget: self.passes([ask]) for budget, ask in asks.items()}
        second = pass_seconds(self.model)
        return Plan("", place, needed, {budget: count * second for budget, count in needed.items()})

    def _key(self, picture: Picture, ask: Ask, seed: int, layer: str) -> tuple[object, ...]:
        method = EXPLAINERS[ask.name]
        settings = digest(checked(method.params, ask.settings, ask.name))
        own = (ask.name, ask.target, settings, ask.settle)
        return (self.model.sha, picture.sha, *own, seed, layer or self.model.survey.default)

    def _tensor(self, picture: Picture) -> Tensor:
        def make() -> Tensor:
            return self.model.preprocess.tensor(self.view(picture))[None].to(self.model.device)

        return self.cache.get((self.model.sha, picture.sha, "tensor"), make)

    def _query(self, picture: Picture, target: int, batch: int = 0, **rest: Any) -> Query:
        return Query(
            self.model,
            self._tensor(picture),
            torch.tensor([target], device=self.model.device),
            watched=self.model.survey.stages[1:],  # whatever reads layers by default finds them on the first tape
            content=picture.sha,
            batch=batch or batch_of(self.model, home() / "pace"),
            precision=precision(),
            cache=self.cache,
            **rest,
        )

    @torch.no_grad()
    def _seen(self, picture: Picture, layer: str) -> Tensor:
        with capture(self.model.net, layer) as seen:
            self.model.net(self._tensor(picture))
        facts = self.model.survey.layer(layer)
        return (grid(seen[layer], facts.layout) if facts else seen[layer])[0].cpu()


def pass_seconds(model: Model) -> float:
    """Seconds of one image's forward on this model's device, in the batches that suit it."""
    return seconds_of(model, home() / "pace")
