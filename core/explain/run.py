"""Running of queries: the only function that calls a method, and the explanation it returns."""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from core.card import Passes
from core.errors import Cancelled, TooLarge, Unsupported
from core.explain.convergence import Convergence
from core.explain.execution import RunLog
from core.explain.method import EXPLAINERS, Explainer
from core.explain.query import Query
from core.explain.targets import Target
from core.images import resized
from core.network.cancellation import RepeatedReport
from core.network.inspection import Survey
from core.progress import Report, silent


@dataclass(frozen=True)
class Explanation:
    """The maps of one method for the images of one query, raw, at the size of the images."""

    name: str
    maps: Tensor  # (B, H, W) float32 on the CPU
    scores: Tensor  # (B,) the explained logits
    targets: Target  # of the B images, on the CPU
    settings: Mapping[str, Any]
    layer: str
    seed: int
    seconds: float
    forwards: int
    backwards: int
    signed: bool
    offset: bool  # values are defined up to a constant
    finished: bool  # False: stopped early, with the map so far
    remarks: Mapping[str, float | str]
    behind: bool = False  # the layer that is read lies behind that of the explained units, which do not depend on it
    grid: Tensor | None = None  # (B, h, w) the maps before they were resized, where they are smaller than the images

    @property
    def passes(self) -> Passes:
        """The passes made for these maps."""
        return Passes(self.forwards, self.backwards)

    @property
    def reused(self) -> bool:
        """Whether passes made earlier, for other maps, were all that these maps needed."""
        side = min(self.maps.shape[-2:])
        return not self.passes and bool(EXPLAINERS[self.name].passes(self.settings, side))

    def cost(self) -> str:
        """The passes made for these maps, such as "1 forward + 2 backward"; "reused" if earlier ones served."""
        return "reused" if self.reused else str(self.passes)

    def note(self, index: int = 0) -> str:
        """Why a map is blank, as one sentence; "" for a map with something to see."""
        one = self.maps[index]
        if not bool((one != 0).any()) and self.behind:
            return (
                f"No evidence: the unit's layer {self.targets.layer} lies before the layer {self.layer} that the "
                "method reads; choose the unit's layer or an earlier one."
            )
        if not bool((one != 0).any()):
            return "No evidence: the map is zero everywhere."
        if not self.signed and float(one.max()) <= 0:
            return "No positive evidence for this target."
        if float(one.max()) == float(one.min()):
            return "The map has the same value everywhere."
        return ""


@dataclass(frozen=True)
class Snapshot:
    """A running map, available while its method is still running."""

    maps: Tensor  # (B, H, W)
    fraction: float
    passes: Passes  # so far
    settled: float | None  # rank correlation with the map after half of the passes; None while unknown


Watch = Callable[[Snapshot], bool]


def never_stop(snapshot: Snapshot) -> bool:
    """Never stops early."""
    return False


def explain(
    name: str,
    query: Query,
    settings: Mapping[str, object] | None = None,
    watch: Watch = never_stop,
    *,
    settle: bool = False,
    halve: bool = True,
) -> Explanation:
    """Run the method `name` on a query: check settings and needs, retry when memory runs out, check and resize maps.

    `watch` receives each running map, where a method yields them, and stops the method by returning True; a method
    stopped or cancelled returns its last map as unfinished. With `settle` a method is finished as soon as its map has
    converged. Without `halve`, for callers whose results depend on the batch, torch's out-of-memory error is raised.
    Raises UnknownName, BadParameter, Unsupported, TooLarge.
    """
    method = EXPLAINERS[name]
    chosen = method.chosen(settings or {})
    method.check(query.model)
    while True:
        try:
            return _answered(method, query, chosen, watch, settle)
        except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
            if not halve or not is_memory(error):
                raise
            if query.batch == 1:
                message = f"{method.title} does not fit into memory even one image at a time."
                raise TooLarge(message, "Use a smaller image or model, or clear cached results.") from None
            # No result depends on the batch size, so a smaller one is always valid.
            query = query.run_with(batch=query.batch // 2)
            query.cache.clear()


def _answered(method: Explainer, query: Query, settings: Mapping[str, Any], watch: Watch, settle: bool) -> Explanation:
    start = time.perf_counter()
    with RepeatedReport(query.report) as repeated:
        query = query.identified().with_report(_monotonic(query.log, repeated.report))
        one = method.passes(settings, min(query.size)).weight
        planned = one * len(query.images) if settle else math.inf
        outcome = method.run(query, **settings)
        if isinstance(outcome, Tensor):
            maps, finished = outcome, True
        else:
            query.clean_scores()  # before the first map, so that a cancelled one needs no further pass
            maps, finished = _driven(query, outcome, watch, planned, repeated)
    # From here on no report is repeated: it may cancel once more, and what there is would be lost.
    maps = _sound(method, query, maps.detach())
    if finished:
        query.report(1.0, "")
    scores = query.with_report(silent).clean_scores()
    signed = method.signed or bool((maps < 0).any())  # a setting may give negative values that the default does not
    layer = method.layers_read(query.model.survey, query.layer, settings)
    large = resized(maps, query.size)
    return Explanation(
        name=method.name,
        maps=large.cpu(),
        scores=scores.cpu(),
        targets=query.targets.to("cpu"),
        settings=dict(settings),
        layer=layer,
        seed=query.seed,
        seconds=time.perf_counter() - start,
        forwards=query.log.forwards,
        backwards=query.log.backwards,
        signed=signed,
        offset=method.offset and not signed,
        finished=finished,
        remarks=dict(query.log.remarks),
        behind=_is_behind(query.model.survey, layer, query.targets.layer),
        grid=maps.cpu() if maps.numel() < large.numel() else None,
    )


def _is_behind(survey: Survey, layer: str, of_units: str) -> bool:
    """Whether a layer is computed after that of the explained units; False for targets that are no units."""
    order = [one.name for one in survey.layers]
    return layer in order and of_units in order and order.index(layer) > order.index(of_units)


def _monotonic(log: RunLog, report: Report) -> Report:
    """A report that never decreases and stores the last one in the log."""

    def keep(fraction: float, note: str) -> None:
        log.fraction, log.note = max(log.fraction, fraction), note
        report(log.fraction, note)

    return keep


def _driven(
    query: Query, snapshots: Iterator[Tensor], watch: Watch, planned: float, repeated: RepeatedReport
) -> tuple[Tensor, bool]:
    """The last map of a generator, and whether it ran to its end or converged before its `planned` passes."""
    last: Tensor | None = None
    convergence = Convergence()
    try:
        for last in snapshots:
            maps = resized(last.detach().float(), query.size).cpu()
            correlation = convergence.correlation(query.log.forwards, maps)
            if correlation is not None:
                query.log.remarks["settled"] = correlation
            if watch(Snapshot(maps, query.log.fraction, query.log.passes, correlation)):
                return last, False
            if convergence.enough(query.log.passes.weight / planned):
                query.report(1.0, "converged early")
                return last, True
    except Cancelled:
        if last is None:
            raise
        return last, False
    finally:
        repeated.end()
        getattr(snapshots, "close", lambda: None)()
    if last is None:
        raise RuntimeError("a method yielded no map")
    return last, True


def _sound(method: Explainer, query: Query, maps: Tensor) -> Tensor:
    if maps.dim() != 3 or len(maps) != len(query.images):
        raise RuntimeError(f"{method.name} returned {tuple(maps.shape)} instead of (B, h, w)")
    if not bool(torch.isfinite(maps).all()):
        message = f"{method.title} gave values that are not finite on this image."
        raise Unsupported(message, "Check the model's weights, or choose another method.")
    return maps.float()


def is_memory(error: BaseException) -> bool:
    """Whether an error means that memory ran out."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)
