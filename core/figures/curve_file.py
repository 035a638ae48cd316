"""Curves of measures as a file: PNG, or PDF and SVG with text as text."""

from collections.abc import Mapping, Sequence

from core.figures.curves import area_text, band, is_share, looks, mean_curve, step_names
from core.figures.sheet import DPI, Kind, drawing, font, printable, saved
from core.measure.intervals import Interval
from core.measure.measure import Curve

_WIDTH, _HEIGHT, _LINE = 900, 480, 26  # pixels: of the file, of the axes with their labels, of a line of the legend
_LARGE, _SMALL = 18, 14  # font sizes
_DASHES = {
    "solid": (0, ()), "dash": (0, (5, 2)), "dot": (0, (1, 1.5)), "dashdot": (0, (5, 2, 1, 2)), "longdash": (0, (9, 3)),
    "longdashdot": (0, (9, 3, 1.5, 3)),
}  # fmt: skip
_MARKERS = {
    "circle": "o", "square": "s", "diamond": "D", "triangle-up": "^", "cross": "P", "x": "X", "star": "*",
    "triangle-down": "v",
}  # fmt: skip


def curves_file(
    curves: Mapping[str, Curve],
    *,
    title: str,
    intervals: Mapping[str, Sequence[Interval]] | None = None,
    kind: Kind = "png",
) -> bytes:
    """The file of the curves that `curves_figure` shows, with the same colours; the same curves give the same bytes."""
    from matplotlib.figure import Figure

    lines = -(-len(curves) // 2)
    height = _HEIGHT + _LINE * lines
    with drawing():
        figure = Figure((_WIDTH / DPI, height / DPI), DPI, facecolor="white")
        axes = figure.add_axes((0.09, (70 + _LINE * lines) / height, 0.88, (_HEIGHT - 130) / height))
        for (name, curve), (colour, dash, marker) in zip(curves.items(), looks(), strict=False):
            mean = mean_curve(curve)
            if outline := band((intervals or {}).get(name, ())):
                axes.fill([*curve.x, *curve.x[::-1]], outline, color=colour, alpha=0.18, linewidth=0)
            axes.plot(
                [] if mean is None else curve.x, [] if mean is None else mean, color=colour, linestyle=_DASHES[dash],
                marker=_MARKERS[marker], markersize=5, linewidth=2, label=printable(f"{name} · {area_text(curve)}"),
            )  # fmt: skip
        first = next(iter(curves.values()), None)
        if first is not None:
            texts = [axes.set_xlabel(printable(first.x_name)), axes.set_ylabel(printable(first.y_name))]
            texts += [axes.set_title(printable(title), loc="left", pad=12)]
            if first.steps:
                axes.set_xticks(first.x, [printable(one) for one in step_names(first)], rotation=20, ha="right")
            elif is_share(first):
                axes.xaxis.set_major_formatter("{x:.0%}")
            legend = axes.legend(
                loc="upper left", bbox_to_anchor=(0, -62 / (_HEIGHT - 130)), ncols=2, frameon=False, handlelength=4,
                prop=font(_SMALL), borderaxespad=0,
            )  # fmt: skip
            for text in (*texts, *legend.get_texts(), *axes.get_xticklabels(), *axes.get_yticklabels()):
                text.set_parse_math(False)
                text.set_fontproperties(font(_LARGE if text is texts[2] else _SMALL, bold=text is texts[2]))
        axes.set_ylim(bottom=min(0, axes.get_ylim()[0]))
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
        return saved(figure, kind, printable(title))
