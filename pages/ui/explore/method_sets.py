"""Presets: sets of methods for a comparison."""

from collections.abc import Callable, Mapping

from core.comparison import affordable
from core.explain import EXPLAINERS
from core.explain.target_name import TargetName
from core.workbench import Request, Workbench
from pages.ui.explore.comparison import AT_ONCE
from pages.ui.session import location, state

FIRST = ("grad_cam", "saliency", "guided_backprop", "occlusion", "rise", "random")  # and one that ignores the model
# The methods that section 3.3 of Song & Zhang's review compares on three photographs in its figure 4.
REVIEW = (
    "saliency", "deconvnet", "guided_backprop", "grad_cam", "excitation_bp", "contrastive_ebp", "rise",
    "extremal_perturbation",
)  # fmt: skip


def _family(name: str) -> list[str]:
    return [method for method, facts in EXPLAINERS.items() if facts.family == name]


def _quick(bench: Workbench) -> list[str]:
    works = [Request(name, TargetName((0,))) for name in _works(bench)]
    return [request.name for request in affordable(bench, works, AT_ONCE)]


def _works(bench: Workbench) -> list[str]:
    return [name for name, reason in bench.usable().items() if not reason]


SETS: Mapping[str, Callable[[Workbench], list[str]]] = {
    "First look": lambda bench: list(FIRST),
    "CAM family": lambda bench: _family("cam"),
    "Figure 4 of Song & Zhang's review": lambda bench: list(REVIEW),
    "All under 10 s": _quick,
    "All supported": _works,
    "Controls": lambda bench: _family("control"),
}


def take(name: str) -> None:
    """Select the methods of a set in the registry's order; a notice lists those that do not work on the model.

    If none of them works, nothing changes.
    """
    bench = location.bench()
    usable, wanted = bench.usable(), set(SETS[name](bench))
    found = tuple(method for method in EXPLAINERS if method in wanted and not usable[method])
    if lacking := [EXPLAINERS[method].title for method in EXPLAINERS if method in wanted and usable[method]]:
        state.add_notice("info", f"{name}: left out, not supported by {bench.model.display}: {', '.join(lacking)}.")
    if found:
        location.go(methods=found)
