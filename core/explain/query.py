"""A query: one question to a model, and everything a method may ask of the model to answer it."""

import hashlib
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor, nn

from core.cache import TensorCache
from core.environment import Precision
from core.errors import Unsupported
from core.explain.forward_backward import ForwardBackward, joined, recorded
from core.explain.relu_rules import ReluRule
from core.models.model import Model
from core.network.hooks import capture
from core.network.incremental import Changed, Reference
from core.network.inspection import RELUS, grid
from core.progress import Report, chunks, silent, subrange

Score = Literal["logit", "prob", "logprob", "margin"]
TOLERANCE = 0.01  # of a probability: a network whose answers half precision moves further is asked in full
_STRENGTHS = (1.0, 0.75, 0.5, 0.25)  # of the images on trial
_LIFT = 2.0**12  # keeps slopes in the range of float16


class RunLog:
    """What an explanation cost and what its method remarks about it; filled while the method runs."""

    def __init__(self) -> None:
        self.forwards = 0  # images pushed through the model
        self.backwards = 0  # images whose gradient was taken
        self.fraction = 0.0  # of the work done, as last reported
        self.remarks: dict[str, float | str] = {}


@dataclass(frozen=True)
class Query:
    """One question to a model: why these scores for these images?

    Images are network inputs on the model's device; randomness comes from `rng(index)` alone, so neither batch size
    nor order can change a result.
    """

    model: Model
    images: Tensor  # (B, 3, H, W)
    targets: Tensor  # (B,) class indices, or unit indices where `unit_layer` is given
    layer: str = ""  # where activations are read; "" is the surveyed default
    unit_layer: str = ""
    also: tuple[int, ...] = ()  # further classes that will be asked about: they share the forward
    ahead: tuple[ReluRule, ...] = ()  # kinds of slopes that will be asked for: they share the forward, too
    watched: tuple[str, ...] = ()  # further layers that will be asked for: tapes hold them on the way
    content: str = ""  # decides the images, where the asker knows; else their hash
    seed: int = 0
    batch: int = 0  # images in one pass; 0 is what suits the device
    precision: Precision = "full"  # "half" allows methods that put many scores together to compute them roughly
    coarse: bool = False  # this question is answered so
    report: Report = silent
    log: RunLog = field(default_factory=RunLog)
    cache: TensorCache = field(default_factory=lambda: TensorCache(1 << 30))

    def __post_init__(self) -> None:
        if not self.batch:
            # Eight images' activations stay near a CPU's cache: 32 took up to twice as long per image.
            object.__setattr__(self, "batch", 8 if self.images.device.type == "cpu" else 64)

    @property
    def net(self) -> nn.Module:
        """The frozen network."""
        return self.model.net

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the images."""
        return self.images.shape[-2], self.images.shape[-1]

    @property
    def at(self) -> str:
        """The layer where activations are read. Raises UnknownName or Unsupported as `Model.resolve_layer`."""
        return self.model.resolve_layer(self.layer)

    def in_half_precision(self) -> "Query":
        """The same question in half precision, where the asker allows it and the answers stay within TOLERANCE.

        For methods that put many scores together. Passes then run in float16, scores come back in float32; the map
        says by how much probabilities were off on trial, for these images at several strengths.
        """
        if self.precision == "full":
            return self
        coarse = replace(self, coarse=True)
        off = self.cache.get((self._logits_key, "off"), lambda: self._difference(coarse))
        if off > TOLERANCE:
            self.log.remarks["precision"] = f"full, as half would be off by {off:.1g}"
            return self
        self.log.remarks["precision"] = f"half, probabilities ±{off:.1g}"
        return coarse

    def logits(self, images: Tensor) -> Tensor:
        """The model's outputs (N, C) for these images, counted as passes."""
        self.log.forwards += len(images)
        ordered = images if isinstance(images, Changed) else images.contiguous(memory_format=self.model.order)
        if self.coarse:
            with torch.autocast(images.device.type, torch.float16):
                found = self.net(ordered).float()
            if bool(found.isfinite().all()):  # float16 ends at 65,504
                return found
        return self.net(ordered)

    def score(self, images: Tensor, targets: Tensor, kind: Score = "logit") -> Tensor:
        """The number being explained, (N,): a class's logit, lead or (log-)probability, or a unit's mean response."""
        if self.unit_layer:
            with capture(self.net, self.unit_layer) as seen:
                self.logits(images)
            return self._unit_score(seen[self.unit_layer], targets)
        return scored(self.logits(images), targets, kind)

    def clean_scores(self, kind: Score = "logit") -> Tensor:
        """The score (B,) of the images themselves, computed once and kept in the cache. Raises as `clean_logits`."""
        if self.unit_layer:
            return self._numbers(self.cache.get((*self.key, "score"), lambda: self._over_images(self.score)))
        return scored(self.clean_logits(), self.targets, kind)

    def clean_logits(self) -> Tensor:
        """The model's outputs (B, C) for the images themselves, computed once and kept in the cache.

        Raises Unsupported where not all of them are finite numbers.
        """
        found = self.cache.get(self._logits_key, lambda: self._over_images(lambda images, _: self.logits(images)))
        return self._numbers(found)

    def chunks(self, total: int, note: str = "") -> Iterator[range]:
        """Ranges of at most `batch` that cover `range(total)`; progress and cancelling happen here."""
        return chunks(total, self.batch, self.report, note)

    def rng(self, index: int = 0) -> torch.Generator:
        """A CPU generator that depends on the seed and `index` alone."""
        word = hashlib.blake2b(f"{self.seed}:{index}".encode(), digest_size=8).digest()
        return torch.Generator().manual_seed(int.from_bytes(word, "big") >> 1)

    def gradient(self, images: Tensor, targets: Tensor, kind: Score = "logit") -> Tensor:
        """The slope of the score at these images (N, 3, H, W)."""
        with torch.enable_grad():
            leaf = images.detach().requires_grad_()
            total = self.score(leaf, targets, kind).sum()
            self.log.backwards += len(images)
            lift = _LIFT if self.coarse else 1
            slope = torch.autograd.grad(total * lift, leaf)[0] / lift
        if self.coarse and not bool(slope.isfinite().all()):
            return replace(self, coarse=False).gradient(images, targets, kind)
        return slope

    @torch.no_grad()
    def windows(self, boxes: Tensor, fill: Tensor, kind: Score = "logit", inside: Tensor | None = None) -> Tensor:
        """Scores (B, P) of each image with each box replaced by that part of `fill`, exact to rounding.

        `boxes` are (P, 4) or (B, P, 4) of top, left, height and width; `fill` holds images (B or 1, 3, H, W). Where
        `inside` (P, H, W) is given, a box changes only there. On the CPU only what a box reaches is computed.
        """
        boxes = boxes.expand(len(self.images), -1, -1).cpu()
        scores = torch.empty(boxes.shape[:2], device=self.images.device)
        report = self.report
        for row, (image, filler) in enumerate(zip(self.images, fill.expand_as(self.images), strict=True)):
            scene = Reference(image[None], self.model.order)
            order = boxes[row, :, 2:].amax(1).argsort(stable=True)  # those of one chunk become equally large
            share = subrange(report, row / len(scores), (row + 1) / len(scores))
            for span in chunks(len(order), self.batch, share, "windows occluded"):
                chosen = order[span.start : span.stop]
                masks = None if inside is None else inside[chosen]
                changed = scene.filled(boxes[row, chosen], filler, masks)
                images = changed if self.images.device.type == "cpu" else changed.whole()
                scores[row, chosen] = self.score(images, self.targets[row].expand(len(chosen)), kind).to(scores.dtype)
        return scores

    def forward_backward(self, *layers: str) -> ForwardBackward:
        """One forward and one backward of all images, watched at the input, at the query's layer and at `layers`.

        Kept as long as the query's cache keeps it: the maps that read a tape cost together what one costs. Further
        classes in `also`, and further kinds of slopes in `ahead`, share the forward.
        """
        known = self._known_tape(self.targets)
        if known and self._layers(layers) <= known.values.keys():
            return known
        return self._record("plain", layers)["plain"]

    def rectified(self, kind: ReluRule) -> Tensor:
        """The slope of the score at the images (B, 3, H, W) where ReLUs hand back by another rule, kept like a tape.

        Raises Unsupported where the score passes no ReLU.
        """
        known = self.cache.peek((*self.key, kind))
        if isinstance(known, Tensor):
            return known
        found = self._record(kind).get(kind)
        if found is None:
            message = f"{self.model.name} uses no ReLU to compute this score."
            raise Unsupported(message, "Choose another method.")
        return found.slopes[""]

    def remember(self, recording: ForwardBackward, kind: ReluRule = "plain") -> None:
        """Keep a tape of these images and targets for whoever asks next; one without slopes only tells the outputs."""
        if kind != "plain":
            self.cache.put((*self.key, kind), recording.slopes[""])
        elif recording.slopes:
            self.cache.put((*self.key, "tape"), recording)
        self.cache.get(self._logits_key, lambda: recording.logits)  # what was told first stays

    def maps_at(self, values: Tensor, layer: str) -> Tensor:
        """An output of `layer` as maps (B, K, h, w), whatever order the network keeps its positions in."""
        facts = self.model.survey.layer(layer)
        return grid(values, facts.layout) if facts else values

    @property
    def key(self) -> tuple[Hashable, ...]:
        """Everything that decides what the model says about this query: weights, images, targets, unit."""
        return self.key_of(self.targets)

    def key_of(self, targets: Tensor) -> tuple[Hashable, ...]:
        """The key of the same question about other targets."""
        asked = (tuple(targets.tolist()), self.unit_layer, self.coarse)
        return (self.model.sha, self.content or self._hash, *asked)

    @property
    def _logits_key(self) -> tuple[Hashable, ...]:
        return (self.model.sha, self.content or self._hash, "logits", self.coarse)

    @cached_property
    def _hash(self) -> str:
        return images_sha(self.images)

    @torch.no_grad()
    def _difference(self, other: "Query") -> float:
        """By how much two ways to ask differ in any probability, for these images at several strengths."""
        trials = [self.images * strength for strength in _STRENGTHS]
        pairs = [(self.logits(images).softmax(1), other.logits(images).softmax(1)) for images in trials]
        return max(float((one - two).abs().max()) for one, two in pairs)

    def _numbers(self, scores: Tensor) -> Tensor:
        if bool(scores.isfinite().all()):
            return scores
        message = f"{self.model.name} gives scores that are not finite for this image."
        raise Unsupported(message, "Check the model's weights, or choose another image.")

    def _known_tape(self, targets: Tensor) -> ForwardBackward | None:
        known = self.cache.peek((*self.key_of(targets), "tape"))
        return known if isinstance(known, ForwardBackward) else None

    @torch.no_grad()
    def _over_images(self, told: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        """What some images and their targets tell, for all images in batches."""
        # One pass per image: it can be cancelled, but is no progress.
        spans = chunks(len(self.images), self.batch, lambda _, note: self.report(0.0, note))
        return torch.cat([told(self.images[s.start : s.stop], self.targets[s.start : s.stop]) for s in spans])

    def _layers(self, layers: Iterable[str]) -> set[str]:
        """The layers a tape has to watch: those asked for now, those announced, and the query's own."""
        own = self.layer or self.model.survey.default
        return {*layers, *self.watched, *([own] if own else [])}

    def _record(self, kind: ReluRule, layers: Iterable[str] = ()) -> dict[ReluRule, ForwardBackward]:
        """The tapes of the targets, of this kind and of those ahead that are not known yet; all are kept."""
        kinds: list[ReluRule] = [kind]
        if not RELUS & self.model.survey.overwrites.keys():  # one written in place may serve one kind only
            kinds += [one for one in dict.fromkeys(self.ahead) if one != kind and not self._knows(one, self.targets)]
        others = [torch.full_like(self.targets, index) for index in self.also]
        others = [t for t in others if not torch.equal(t, self.targets) and not all(self._knows(k, t) for k in kinds)]
        watched = self._layers(layers) if "plain" in kinds else set[str]()
        if "plain" in kinds and (known := self._known_tape(self.targets)):
            watched |= known.values.keys() - {""}
        # One pass per image: it can be cancelled, but is no progress.
        spans = chunks(len(self.images), self.batch, lambda _, note: self.report(self.log.fraction, note), "tape")
        asked = [self.targets, *others]
        parts = [self._tapes(slice(span.start, span.stop), sorted(watched), asked, kinds) for span in spans]
        found = [{k: joined([one[place][k] for one in parts]) for k in parts[0][place]} for place in range(len(asked))]
        for targets, recordings in zip(asked, found, strict=True):
            for one, recording in recordings.items():
                replace(self, targets=targets).remember(recording, one)
        return found[0]

    def _knows(self, kind: ReluRule, targets: Tensor) -> bool:
        if kind == "plain":
            return self._known_tape(targets) is not None
        return self.cache.peek((*self.key_of(targets), kind)) is not None

    def _tapes(
        self, part: slice, layers: list[str], asked: list[Tensor], kinds: list[ReluRule]
    ) -> list[dict[ReluRule, ForwardBackward]]:
        def score_of(targets: Tensor) -> Callable[[Tensor, Mapping[str, Tensor]], Tensor]:
            if self.unit_layer:
                return lambda logits, seen: self._unit_score(seen[self.unit_layer], targets)
            return lambda logits, seen: scored(logits, targets, "logit")

        images = self.images[part]
        units = [self.unit_layer] if self.unit_layer else []
        scores = [score_of(targets[part]) for targets in asked]
        found = recorded(self.net, images, [*layers, *units], scores, kinds)
        self.log.forwards += len(images)
        self.log.backwards += len(images) * sum(map(len, found))
        return found

    def _unit_score(self, values: Tensor, targets: Tensor) -> Tensor:
        values = values.float() if self.coarse else values
        return self.maps_at(values, self.unit_layer).flatten(2).mean(2).gather(1, targets[:, None])[:, 0]


def scored(logits: Tensor, targets: Tensor, kind: Score) -> Tensor:
    """The score (N,) of each row's target: the logit, its lead over the best other one, its (log-)probability."""
    if kind == "margin":
        others = logits.scatter(1, targets[:, None], -torch.inf).amax(1)
        return logits.gather(1, targets[:, None])[:, 0] - others
    if kind == "prob":
        logits = logits.softmax(1)
    elif kind == "logprob":
        logits = logits.log_softmax(1)
    return logits.gather(1, targets[:, None])[:, 0]


def images_sha(images: Tensor) -> str:
    """A hash of the images' content."""
    return hashlib.sha256(images.detach().cpu().contiguous().numpy().tobytes()).hexdigest()[:16]


def per_image(
    query: Query, run: Callable[[Query], Iterator[Tensor]], *, in_half_precision: bool = False
) -> Iterator[Tensor]:
    """Running maps (B, H, W) of a method that works on one image at a time; those not yet begun are zero.

    With `in_half_precision` each image is computed in half precision where that is allowed. The method's remarks are
    listed per image, in their order.
    """
    maps, whole = torch.zeros(len(query.images), *query.size), query.log.remarks
    own: list[dict[str, float | str]] = []
    for row in range(len(maps)):
        share = subrange(query.report, row / len(maps), (row + 1) / len(maps))
        chosen = slice(row, row + 1)
        one = replace(query, images=query.images[chosen], targets=query.targets[chosen], report=share, content="")
        query.log.remarks = {}
        own.append(query.log.remarks)
        try:
            for maps[row] in run(one.in_half_precision() if in_half_precision else one):
                whole.update(_together(own))
                query.log.remarks = whole
                yield maps.clone()
                query.log.remarks = own[row]
        finally:
            query.log.remarks = whole


def _together(remarks: list[dict[str, float | str]]) -> dict[str, float | str]:
    """The remarks about several images: one that is the same for all as it is, others one after the other."""
    found = {}
    for name in dict.fromkeys(name for one in remarks for name in one):
        values = [one[name] for one in remarks if name in one]
        words = [f"{value:.4g}" if isinstance(value, float) else value for value in values]
        found[name] = values[0] if len(set(values)) == 1 else "; ".join(words)
    return found
