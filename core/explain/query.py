"""Queries: a question to a model, and all access to the model that a method needs."""

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
from core.network.inspection import RELUS
from core.progress import Report, chunks, item
from core.randomness import generator

TOLERANCE = 0.01  # of a probability: a network that half precision changes more is run in full precision
_STRENGTHS = (1.0, 0.75, 0.5, 0.25)  # contrasts of the images on which precision is tested
_LIFT = 2.0**12  # keeps gradients in the range of float16
_ROUNDING = 1e-5  # of an image's largest value: what replaces a pixel may differ by so much and mean the same


@dataclass(frozen=True)
class Query:
    """A question to a model (why these scores for these images?), and how it is run.

    Images are network inputs on the model's device; randomness comes from `rng(index)` alone, so neither batch size
    nor order can change a result. `dataclasses.replace` gives another query with its own log; `with_targets`, `subset`
    and similar methods give queries that belong to the same run and are counted in the same log.
    """

    model: Model
    images: Tensor  # (B, C, H, W)
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
        """The same query for other targets, in the same run."""
        return self._in_this_run(targets=targets)

    def subset(self, rows: slice, report: Report) -> "Query":
        """The same query for some of the images, in the same run; `report` receives the progress of this part."""
        execution = self.execution.changed(report=report)
        return self._in_this_run(images=self.images[rows], targets=self.targets[rows], content="", execution=execution)

    def with_prefetch(self, prefetch: Prefetch) -> "Query":
        """The same query in the same run, with more to prefetch."""
        return self._in_this_run(execution=self.execution.changed(prefetch=self.execution.prefetch + prefetch))

    def with_report(self, report: Report) -> "Query":
        """The same query in the same run, with progress reported elsewhere."""
        return self._in_this_run(execution=self.execution.changed(report=report))

    def identified(self) -> "Query":
        """The same query in the same run, with the hash of its images computed."""
        return self._in_this_run(content=self.content or self._hash)

    def counted_in(self, log: RunLog) -> "Query":
        """The same query in the run that this log belongs to."""
        return self._in_this_run(log=log)

    def run_with(self, **settings: Any) -> "Query":
        """The same query in a new run, with these settings of `Execution` changed."""
        return replace(self, execution=self.execution.changed(**settings))

    def fresh(self) -> "Query":
        """The same query in a new run with an empty cache."""
        return self.run_with(cache=TensorCache(self.cache.budget))

    def _in_this_run(self, *, log: RunLog | None = None, **changes: Any) -> "Query":
        other = replace(self, **changes)
        object.__setattr__(other, "log", self.log if log is None else log)
        return other

    @property
    def batch(self) -> int:
        """Images in one pass; on a CPU twice as many of half the size."""
        # Eight images' activations stay near a CPU's cache: 32 took up to twice as long per image.
        on_cpu = self.images.device.type == "cpu"
        return self.execution.batch * (2 if on_cpu and self.half_precision else 1) or (8 if on_cpu else 64)

    @property
    def cache(self) -> TensorCache:
        """The cache of everything that is computed once."""
        return self.execution.cache

    @property
    def report(self) -> Report:
        """The report of progress, which may also cancel the run."""
        return self.execution.report

    @property
    def half_precision(self) -> bool:
        """Whether passes run in half precision."""
        return self.execution.half_precision

    @property
    def half_type(self) -> torch.dtype:
        """The numbers of half precision: CPUs multiply only bfloat16 fast."""
        return torch.bfloat16 if self.images.device.type == "cpu" else torch.float16

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
        """The same query in half precision, if that is allowed and probabilities change by at most TOLERANCE.

        For methods that combine many scores. Passes then run in float16, on a CPU in bfloat16; scores are returned in
        float32. A remark says how much probabilities differed in a test with these images at several contrasts.
        """
        if self.execution.precision == "full":
            return self
        half = self._in_this_run(execution=self.execution.changed(half_precision=True))
        off = self.cache.get((self._logits_key, "off"), lambda: self._difference(half))
        if off > TOLERANCE:
            self.log.remarks["precision"] = f"full, as half would be off by {off:.1g}"
            return self
        self.log.remarks["precision"] = f"half ({str(self.half_type).removeprefix('torch.')}), probabilities ±{off:.1g}"
        return half

    def logits(self, images: Tensor, *, watched: bool = True) -> Tensor:
        """The model's outputs (N, C) for these images, counted as passes.

        Where nothing inside the network is `watched`, its copy for inference is used: the same to rounding, but
        faster. Not for gradients, as rounding may switch a ReLU.
        """
        self.log.forwards += len(images)
        patched, graded = isinstance(images, PatchedImages), torch.is_grad_enabled() and images.requires_grad
        ordered = images if patched else images.contiguous(memory_format=self.model.order)
        inside = watched or graded
        if self.half_precision:
            net = self.net if inside else self.model.inference_in_half
            with torch.autocast(images.device.type, self.half_type):
                outputs = net(ordered).float()
            if bool(outputs.isfinite().all()):  # the largest float16 is 65,504
                return outputs
        return (self.net if inside else self.model.inference)(ordered)

    def score(self, images: Tensor, targets: Target, kind: Score = "logit") -> Tensor:
        """The explained score (N,) of a target for other images, counted as passes."""
        if not targets.layer:
            return targets.score(self.logits(images, watched=False), kind, self.model.output)
        with capture(self.net, targets.layer) as outputs:
            self.logits(images)
        return self.score_of(outputs[targets.layer], targets, kind)

    def score_of(self, outputs: Tensor, targets: Target, kind: Score = "logit") -> Tensor:
        """The explained score (N,), from the logits or from the output of the targets' layer."""
        if not targets.layer:
            return targets.score(outputs, kind, self.model.output)
        return targets.score(self.maps_at(outputs.float() if self.half_precision else outputs, targets.layer), kind)

    def clean_scores(self, kind: Score = "logit") -> Tensor:
        """The score (B,) of the unmodified images, cached. Raises as `clean_logits`."""
        if not self.targets.layer:
            return self.targets.score(self.clean_logits(), kind, self.model.output)
        return self._numbers(self.cache.get((*self.key, "score"), lambda: self._over_images(self.score)))

    def class_indices(self, title: str) -> Tensor:
        """The explained classes (B,). Raises Unsupported, naming the method, if the targets are not single classes."""
        if isinstance(self.targets, Classes):
            return self.targets.indices
        message = f"{title} explains single classes, not units, groups or differences."
        raise Unsupported(message, "Choose another method.")

    def clean_logits(self) -> Tensor:
        """The model's outputs (B, C) for the unmodified images, cached.

        Raises Unsupported if not all of them are finite numbers.
        """
        logits = self.cache.get(self._logits_key, lambda: self._over_images(lambda images, _: self.logits(images)))
        return self._numbers(logits)

    def chunks(self, total: int, unit: str) -> Iterator[range]:
        """Split `range(total)` into ranges of at most `batch`; reports how many are done and can be cancelled at each.

        `unit` is what is counted, in the plural.
        """
        several = total > 1
        return chunks(total, self.batch, self.report, unit if several else "", counted=several)

    def rng(self, index: int = 0) -> torch.Generator:
        """A CPU generator that depends on the seed and `index` alone."""
        return generator(self.seed, index)

    def gradient(self, images: Tensor, targets: Target, kind: Score = "logit") -> Tensor:
        """The gradient of the score at these images, (N, C, H, W)."""
        with torch.enable_grad():
            leaf = images.detach().requires_grad_()
            total = self.score(leaf, targets, kind).sum()
            self.log.backwards += len(images)
            lift = _LIFT if self.half_precision else 1
            (lifted,) = torch.autograd.grad(total * lift, leaf)
            gradient = lifted / lift
        if self.half_precision and not bool(gradient.isfinite().all()):
            full = self._in_this_run(execution=self.execution.changed(half_precision=False))
            return full.gradient(images, targets, kind)
        return gradient

    @torch.no_grad()
    def windows(
        self,
        boxes: Tensor,
        fill: Tensor,
        kind: Score = "logit",
        inside: Tensor | None = None,
        unit: str = "windows occluded",
    ) -> Tensor:
        """Scores (B, P) of each image with each box replaced by the same region of `fill`, exact to rounding.

        `boxes` are (P, 4) or (B, P, 4) of top, left, height and width; `fill` holds images (B or 1, C, H, W). Where
        `inside` (P, H, W) is given, a box changes only there. On the CPU only what a box influences is computed. A box
        that changes no pixel by more than rounding has the clean score. `unit` names the boxes in reports.
        """
        boxes = boxes.expand(len(self.images), -1, -1).cpu()
        scores = torch.empty(boxes.shape[:2], device=self.images.device)
        for row, (image, filler) in enumerate(zip(self.images, fill.expand_as(self.images), strict=True)):
            clean_pass = CleanPass(image[None], self.model.order)
            effective = _effective(boxes[row], image, filler, inside)
            if not effective.all():
                scores[row] = self.clean_scores(kind)[row]
            # The boxes of one chunk are enlarged to the same size.
            order = boxes[row, :, 2:].amax(1).argsort(stable=True)
            order = order[effective[order]]
            report = item(self.report, row, len(scores), "image")
            for span in chunks(len(order), self.batch, report, unit, counted=True):
                chosen = order[span.start : span.stop]
                masks = None if inside is None else inside[chosen]
                changed = clean_pass.filled(boxes[row, chosen], filler, masks)
                images = changed if self.images.device.type == "cpu" else changed.whole()
                scores[row, chosen] = self.score(images, self.targets.repeated(row, len(chosen)), kind).to(scores.dtype)
        return scores

    def forward_backward(self, *layers: str) -> ForwardBackward:
        """Activations and gradients at the input, at the query's layer and at `layers`: one forward and one backward.

        Cached, so that all maps that read it cost as much as one. What `prefetch` lists is computed from the same
        forward.
        """
        cached = self._cached(self.targets)
        if cached and self._layers(layers) <= cached.values.keys():
            return cached
        return self._record("plain", layers)["plain"]

    def rectified(self, rule: ReluRule) -> Tensor:
        """The gradient of the score at the images (B, C, H, W) under another backward rule of ReLU, cached too.

        Raises Unsupported if there is no ReLU between images and score.
        """
        cached = self.cache.peek((*self.key, rule))
        if isinstance(cached, Tensor):
            return cached
        recording = self._record(rule).get(rule)
        if recording is None:
            message = f"{self.model.display} uses no ReLU to compute this score."
            raise Unsupported(message, "Choose another method.")
        return recording.slopes[""]

    def remember(self, recording: ForwardBackward, rule: ReluRule = "plain") -> None:
        """Cache a recording of these images and targets; of one without gradients only the logits."""
        if rule != "plain":
            self.cache.put((*self.key, rule), recording.slopes[""])
        elif recording.slopes:
            self.cache.put((*self.key, "recording"), recording)
        self.cache.get(self._logits_key, lambda: recording.logits)  # never replaces logits cached earlier

    def maps_at(self, values: Tensor, layer: str) -> Tensor:
        """An output of `layer` as maps (B, K, h, w), whatever its layout."""
        facts = self.model.survey.layer(layer)
        return facts.maps(values) if facts else values

    @property
    def key(self) -> tuple[Hashable, ...]:
        """The cache key: everything that the outputs for this query depend on: weights, images, targets, precision."""
        return self._key_of(self.targets)

    def _key_of(self, targets: Target) -> tuple[Hashable, ...]:
        return (self.model.key, self.content or self._hash, targets.key, self.half_precision)

    @property
    def _logits_key(self) -> tuple[Hashable, ...]:
        return (self.model.key, self.content or self._hash, "logits", self.half_precision)

    @cached_property
    def _hash(self) -> str:
        return images_sha(self.images)

    @torch.no_grad()
    def _difference(self, other: "Query") -> float:
        """The largest difference of any probability between two queries, for the images at several strengths."""
        trials = [self.images * strength for strength in _STRENGTHS]
        pairs = [
            [self.model.probabilities(query.logits(one, watched=False)) for query in (self, other)] for one in trials
        ]
        return max(float((one - two).abs().max()) for one, two in pairs)

    def _numbers(self, scores: Tensor) -> Tensor:
        if bool(scores.isfinite().all()):
            return scores
        message = f"{self.model.display} gives scores that are not finite for this image."
        raise Unsupported(message, "Check the model's weights, or choose another image.")

    def _cached(self, targets: Target) -> ForwardBackward | None:
        cached = self.cache.peek((*self._key_of(targets), "recording"))
        return cached if isinstance(cached, ForwardBackward) else None

    @torch.no_grad()
    def _over_images(self, function: Callable[[Tensor, Target], Tensor]) -> Tensor:
        """A function of some images and their targets, over all images in batches."""
        # One pass per image: it can be cancelled, but reports no progress.
        spans = chunks(len(self.images), self.batch, lambda _, note: self.report(0.0, note))
        slices = (slice(span.start, span.stop) for span in spans)
        return torch.cat([function(self.images[rows], self.targets[rows]) for rows in slices])

    def _layers(self, layers: Iterable[str]) -> set[str]:
        """The layers that a recording reads: the requested ones, the prefetched ones, and the query's own."""
        own_layer = self.layer or self.model.survey.default
        return {*layers, *self.execution.prefetch.layers, *([own_layer] if own_layer else [])}

    def _record(self, rule: ReluRule, layers: Iterable[str] = ()) -> dict[ReluRule, ForwardBackward]:
        """Record this ReLU rule for the targets, and what the prefetch lists and the cache lacks; caches all of it."""
        prefetch, rules = self.execution.prefetch, [rule]
        if not RELUS & self.model.survey.overwrites.keys():  # an in-place ReLU allows only one rule per forward
            ahead = dict.fromkeys(prefetch.relu_rules)
            rules += [one for one in ahead if one != rule and not self._knows(one, self.targets)]
        others = {target.key: target for target in prefetch.targets if target.key != self.targets.key}
        targets = [
            self.targets,
            *(other for other in others.values() if not all(self._knows(one, other) for one in rules)),
        ]
        layers = self._layers(layers) if "plain" in rules else set[str]()
        if "plain" in rules and (cached := self._cached(self.targets)):
            layers |= cached.values.keys() - {""}
        # One pass per image: it can be cancelled, but reports no progress.
        spans = chunks(len(self.images), self.batch, lambda _, note: self.report(self.log.fraction, note))
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


def _effective(boxes: Tensor, image: Tensor, fill: Tensor, inside: Tensor | None) -> Tensor:
    """Which boxes (P,) change any pixel by more than rounding when they are replaced by the same region of `fill`."""
    differs = ((fill - image).abs().amax(0) > _ROUNDING * image.abs().max()).cpu()
    spans = [(slice(top, top + height), slice(left, left + width)) for top, left, height, width in boxes.tolist()]
    masks = [None] * len(spans) if inside is None else inside.cpu()
    return torch.tensor([
        bool((differs[span] if mask is None else differs[span] & mask[span]).any())
        for span, mask in zip(spans, masks, strict=True)
    ])  # fmt: skip


def images_sha(images: Tensor) -> str:
    """A hash of the images' content."""
    return hashlib.sha256(images.detach().cpu().contiguous().numpy().tobytes()).hexdigest()[:16]
