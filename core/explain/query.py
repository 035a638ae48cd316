"""A query: one question to a model, and everything a method may ask of the model to answer it."""

import hashlib
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from core.cache import TensorCache
from core.errors import Unsupported
from core.explain.execution import Execution, Prefetch, RunLog
from core.explain.forward_backward import ForwardBackward, joined, recorded
from core.explain.relu_rules import ReluRule
from core.explain.targets import Classes, Score, Target
from core.models.model import Model
from core.network.hooks import capture
from core.network.incremental import CleanPass, PatchedImages
from core.network.inspection import RELUS, grid
from core.progress import Report, chunks, subrange

TOLERANCE = 0.01  # of a probability: a network that half precision moves further is run in full precision
_STRENGTHS = (1.0, 0.75, 0.5, 0.25)  # of the images that precision is tried on
_LIFT = 2.0**12  # keeps gradients in the range of float16


@dataclass(frozen=True)
class Query:
    """A question to a model, why these scores for these images, and how it is run.

    Images are network inputs on the model's device; randomness comes from `rng(index)` alone, so neither batch size
    nor order can change a result. `dataclasses.replace` makes another question with a log of its own; what belongs to
    the same run, and is counted in the same log, comes from `with_targets`, `subset` and the like.
    """

    model: Model
    images: Tensor  # (B, 3, H, W)
    targets: Target  # of each image; a tensor (B,) stands for Classes
    layer: str = ""  # where activations are read; "" is the surveyed default
    seed: int = 0
    content: str = ""  # identifies the images, where the caller knows them; else their hash
    execution: Execution = field(default_factory=Execution)
    log: RunLog = field(init=False, repr=False, default_factory=RunLog)

    def __post_init__(self) -> None:
        if isinstance(self.targets, Tensor):
            object.__setattr__(self, "targets", Classes(self.targets))

    def with_targets(self, targets: Target) -> "Query":
        """The same question about other targets, in the same run."""
        return self._in_this_run(targets=targets)

    def subset(self, rows: slice, report: Report) -> "Query":
        """The same question about some of the images, in the same run; `report` gets the progress of this part."""
        execution = self.execution.changed(report=report)
        return self._in_this_run(images=self.images[rows], targets=self.targets[rows], content="", execution=execution)

    def with_prefetch(self, prefetch: Prefetch) -> "Query":
        """The same question in the same run, announcing more that will be asked next."""
        return self._in_this_run(execution=self.execution.changed(prefetch=self.execution.prefetch + prefetch))

    def with_report(self, report: Report) -> "Query":
        """The same question in the same run, with progress reported elsewhere."""
        return self._in_this_run(execution=self.execution.changed(report=report))

    def identified(self) -> "Query":
        """The same question in the same run, with the hash of its images computed."""
        return self._in_this_run(content=self.content or self._hash)

    def counted_in(self, log: RunLog) -> "Query":
        """The same question in the run that this log belongs to."""
        return self._in_this_run(log=log)

    def run_with(self, **settings: Any) -> "Query":
        """The same question in a run of its own, with these settings of `Execution` changed."""
        return replace(self, execution=self.execution.changed(**settings))

    def fresh(self) -> "Query":
        """The same question in a run of its own, of which nothing is cached yet."""
        return self.run_with(cache=TensorCache(self.cache.budget))

    def _in_this_run(self, *, log: RunLog | None = None, **changes: Any) -> "Query":
        other = replace(self, **changes)
        object.__setattr__(other, "log", self.log if log is None else log)
        return other

    @property
    def batch(self) -> int:
        """Images in one pass."""
        # Eight images' activations stay near a CPU's cache: 32 took up to twice as long per image.
        return self.execution.batch or (8 if self.images.device.type == "cpu" else 64)

    @property
    def cache(self) -> TensorCache:
        """What is computed once."""
        return self.execution.cache

    @property
    def report(self) -> Report:
        """Where progress goes, and where the run is cancelled."""
        return self.execution.report

    @property
    def half_precision(self) -> bool:
        """Whether passes run in float16."""
        return self.execution.half_precision

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
        """The same question in half precision, where that is allowed and probabilities change by TOLERANCE at most.

        For methods that combine many scores. Passes then run in float16, scores come back in float32; a remark says by
        how much probabilities differed in a trial with these images at several strengths.
        """
        if self.execution.precision == "full":
            return self
        half = self._in_this_run(execution=self.execution.changed(half_precision=True))
        off = self.cache.get((self._logits_key, "off"), lambda: self._difference(half))
        if off > TOLERANCE:
            self.log.remarks["precision"] = f"full, as half would be off by {off:.1g}"
            return self
        self.log.remarks["precision"] = f"half, probabilities ±{off:.1g}"
        return half

    def logits(self, images: Tensor) -> Tensor:
        """The model's outputs (N, C) for these images, counted as passes."""
        self.log.forwards += len(images)
        ordered = images if isinstance(images, PatchedImages) else images.contiguous(memory_format=self.model.order)
        if self.half_precision:
            with torch.autocast(images.device.type, torch.float16):
                outputs = self.net(ordered).float()
            if bool(outputs.isfinite().all()):  # float16 ends at 65,504
                return outputs
        return self.net(ordered)

    def score(self, images: Tensor, targets: Target, kind: Score = "logit") -> Tensor:
        """The number being explained, (N,), for other images: a target's score, counted as passes."""
        if not targets.layer:
            return targets.score(self.logits(images), kind)
        with capture(self.net, targets.layer) as seen:
            self.logits(images)
        return self.score_of(seen[targets.layer], targets, kind)

    def score_of(self, outputs: Tensor, targets: Target, kind: Score = "logit") -> Tensor:
        """The number being explained, (N,), out of the logits, or out of the output of the targets' layer."""
        if not targets.layer:
            return targets.score(outputs, kind)
        return targets.score(self.maps_at(outputs.float() if self.half_precision else outputs, targets.layer), kind)

    def clean_scores(self, kind: Score = "logit") -> Tensor:
        """The score (B,) of the images themselves, computed once and kept in the cache. Raises as `clean_logits`."""
        if not self.targets.layer:
            return self.targets.score(self.clean_logits(), kind)
        return self._numbers(self.cache.get((*self.key, "score"), lambda: self._over_images(self.score)))

    def class_indices(self, title: str) -> Tensor:
        """The explained classes (B,). Raises Unsupported, naming the method, where something else is explained."""
        if isinstance(self.targets, Classes):
            return self.targets.indices
        message = f"{title} explains classes, not units of a layer or differences."
        raise Unsupported(message, "Choose another method.")

    def clean_logits(self) -> Tensor:
        """The model's outputs (B, C) for the images themselves, computed once and kept in the cache.

        Raises Unsupported where not all of them are finite numbers.
        """
        logits = self.cache.get(self._logits_key, lambda: self._over_images(lambda images, _: self.logits(images)))
        return self._numbers(logits)

    def chunks(self, total: int, note: str = "") -> Iterator[range]:
        """Ranges of at most `batch` that cover `range(total)`; progress and cancelling happen here."""
        return chunks(total, self.batch, self.report, note, counted=total > 1)

    def rng(self, index: int = 0) -> torch.Generator:
        """A CPU generator that depends on the seed and `index` alone."""
        word = hashlib.blake2b(f"{self.seed}:{index}".encode(), digest_size=8).digest()
        return torch.Generator().manual_seed(int.from_bytes(word, "big") >> 1)

    def gradient(self, images: Tensor, targets: Target, kind: Score = "logit") -> Tensor:
        """The gradient of the score at these images, (N, 3, H, W)."""
        with torch.enable_grad():
            leaf = images.detach().requires_grad_()
            total = self.score(leaf, targets, kind).sum()
            self.log.backwards += len(images)
            lift = _LIFT if self.half_precision else 1
            gradient = torch.autograd.grad(total * lift, leaf)[0] / lift
        if self.half_precision and not bool(gradient.isfinite().all()):
            full = self._in_this_run(execution=self.execution.changed(half_precision=False))
            return full.gradient(images, targets, kind)
        return gradient

    @torch.no_grad()
    def windows(self, boxes: Tensor, fill: Tensor, kind: Score = "logit", inside: Tensor | None = None) -> Tensor:
        """Scores (B, P) of each image with each box replaced by the same region of `fill`, exact to rounding.

        `boxes` are (P, 4) or (B, P, 4) of top, left, height and width; `fill` holds images (B or 1, 3, H, W). Where
        `inside` (P, H, W) is given, a box changes only there. On the CPU only what a box influences is computed.
        """
        boxes = boxes.expand(len(self.images), -1, -1).cpu()
        scores = torch.empty(boxes.shape[:2], device=self.images.device)
        report = self.report
        for row, (image, filler) in enumerate(zip(self.images, fill.expand_as(self.images), strict=True)):
            clean_pass = CleanPass(image[None], self.model.order)
            order = boxes[row, :, 2:].amax(1).argsort(stable=True)  # those of one chunk become equally large
            share = subrange(report, row / len(scores), (row + 1) / len(scores))
            for span in chunks(len(order), self.batch, share, "windows occluded", counted=True):
                chosen = order[span.start : span.stop]
                masks = None if inside is None else inside[chosen]
                changed = clean_pass.filled(boxes[row, chosen], filler, masks)
                images = changed if self.images.device.type == "cpu" else changed.whole()
                scores[row, chosen] = self.score(images, self.targets.repeated(row, len(chosen)), kind).to(scores.dtype)
        return scores

    def forward_backward(self, *layers: str) -> ForwardBackward:
        """Activations and gradients at the input, at the query's layer and at `layers`: one forward and one backward.

        Cached, so that all maps that read it cost together what one costs. What the `prefetch` announces is computed
        from the same forward.
        """
        known = self._cached(self.targets)
        if known and self._layers(layers) <= known.values.keys():
            return known
        return self._record("plain", layers)["plain"]

    def rectified(self, rule: ReluRule) -> Tensor:
        """The gradient of the score at the images (B, 3, H, W) under another backward rule of ReLU, cached too.

        Raises Unsupported where no ReLU lies between images and score.
        """
        known = self.cache.peek((*self.key, rule))
        if isinstance(known, Tensor):
            return known
        recording = self._record(rule).get(rule)
        if recording is None:
            message = f"{self.model.name} uses no ReLU to compute this score."
            raise Unsupported(message, "Choose another method.")
        return recording.slopes[""]

    def remember(self, recording: ForwardBackward, rule: ReluRule = "plain") -> None:
        """Cache a recording of these images and targets; of one without gradients only the logits."""
        if rule != "plain":
            self.cache.put((*self.key, rule), recording.slopes[""])
        elif recording.slopes:
            self.cache.put((*self.key, "recording"), recording)
        self.cache.get(self._logits_key, lambda: recording.logits)  # logits cached earlier stay

    def maps_at(self, values: Tensor, layer: str) -> Tensor:
        """An output of `layer` as maps (B, K, h, w), whatever its layout."""
        facts = self.model.survey.layer(layer)
        return grid(values, facts.layout) if facts else values

    @property
    def key(self) -> tuple[Hashable, ...]:
        """Everything that decides what the model says about this query: weights, images, targets, precision."""
        return self._key_of(self.targets)

    def _key_of(self, targets: Target) -> tuple[Hashable, ...]:
        return (self.model.sha, self.content or self._hash, targets.key, self.half_precision)

    @property
    def _logits_key(self) -> tuple[Hashable, ...]:
        return (self.model.sha, self.content or self._hash, "logits", self.half_precision)

    @cached_property
    def _hash(self) -> str:
        return images_sha(self.images)

    @torch.no_grad()
    def _difference(self, other: "Query") -> float:
        """The largest difference of any probability between two queries, for the images at several strengths."""
        trials = [self.images * strength for strength in _STRENGTHS]
        pairs = [(self.logits(images).softmax(1), other.logits(images).softmax(1)) for images in trials]
        return max(float((one - two).abs().max()) for one, two in pairs)

    def _numbers(self, scores: Tensor) -> Tensor:
        if bool(scores.isfinite().all()):
            return scores
        message = f"{self.model.name} gives scores that are not finite for this image."
        raise Unsupported(message, "Check the model's weights, or choose another image.")

    def _cached(self, targets: Target) -> ForwardBackward | None:
        known = self.cache.peek((*self._key_of(targets), "recording"))
        return known if isinstance(known, ForwardBackward) else None

    @torch.no_grad()
    def _over_images(self, function: Callable[[Tensor, Target], Tensor]) -> Tensor:
        """A function of some images and their targets, over all images in batches."""
        # One pass per image: it can be cancelled, but is no progress.
        spans = chunks(len(self.images), self.batch, lambda _, note: self.report(0.0, note))
        slices = (slice(span.start, span.stop) for span in spans)
        return torch.cat([function(self.images[rows], self.targets[rows]) for rows in slices])

    def _layers(self, layers: Iterable[str]) -> set[str]:
        """The layers that a recording reads: those asked for now, those announced, and the query's own."""
        own = self.layer or self.model.survey.default
        return {*layers, *self.execution.prefetch.layers, *([own] if own else [])}

    def _record(self, rule: ReluRule, layers: Iterable[str] = ()) -> dict[ReluRule, ForwardBackward]:
        """Records this rule of the targets, and what the prefetch announces and the cache lacks; caches all of it."""
        prefetch, rules = self.execution.prefetch, [rule]
        if not RELUS & self.model.survey.overwrites.keys():  # a ReLU that works in place may serve one rule only
            ahead = dict.fromkeys(prefetch.relu_rules)
            rules += [one for one in ahead if one != rule and not self._knows(one, self.targets)]
        others = {target.key: target for target in prefetch.targets if target.key != self.targets.key}
        targets = [
            self.targets,
            *(other for other in others.values() if not all(self._knows(one, other) for one in rules)),
        ]
        layers = self._layers(layers) if "plain" in rules else set[str]()
        if "plain" in rules and (known := self._cached(self.targets)):
            layers |= known.values.keys() - {""}
        # One pass per image: it can be cancelled, but is no progress.
        spans = chunks(len(self.images), self.batch, lambda _, note: self.report(self.log.fraction, note), "gradients")
        parts = [self._recorded(slice(span.start, span.stop), sorted(layers), targets, rules) for span in spans]
        recordings = [
            {one: joined([part[number][one] for part in parts]) for one in parts[0][number]}
            for number in range(len(targets))
        ]
        for target, by_rule in zip(targets, recordings, strict=True):
            for one, recording in by_rule.items():
                self.with_targets(target).remember(recording, one)
        return recordings[0]

    def _knows(self, rule: ReluRule, targets: Target) -> bool:
        if rule == "plain":
            return self._cached(targets) is not None
        return self.cache.peek((*self._key_of(targets), rule)) is not None

    def _recorded(
        self, rows: slice, layers: list[str], targets: list[Target], rules: list[ReluRule]
    ) -> list[dict[ReluRule, ForwardBackward]]:
        def score_of(target: Target) -> Callable[[Tensor, Mapping[str, Tensor]], Tensor]:
            return lambda logits, seen: self.score_of(seen[target.layer] if target.layer else logits, target)

        images = self.images[rows]
        read = [*layers, *(target.layer for target in targets if target.layer)]
        recordings = recorded(self.net, images, read, [score_of(target[rows]) for target in targets], rules)
        self.log.forwards += len(images)
        self.log.backwards += len(images) * sum(map(len, recordings))
        return recordings


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
        one = query.subset(slice(row, row + 1), subrange(query.report, row / len(maps), (row + 1) / len(maps)))
        query.log.remarks = {}
        own.append(query.log.remarks)
        try:
            for maps[row] in run(one.in_half_precision() if in_half_precision else one):
                whole.update(_combined(own))
                query.log.remarks = whole
                yield maps.clone()
                query.log.remarks = own[row]
        finally:
            query.log.remarks = whole


def _combined(remarks: list[dict[str, float | str]]) -> dict[str, float | str]:
    """The remarks about several images: one that is equal for all as it is, others as a list."""
    combined = {}
    for name in dict.fromkeys(name for one in remarks for name in one):
        values = [one[name] for one in remarks if name in one]
        words = [f"{value:.4g}" if isinstance(value, float) else value for value in values]
        combined[name] = values[0] if len(set(values)) == 1 else "; ".join(words)
    return combined
