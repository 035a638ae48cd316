"""A chart of the confusions of a model: its true against its predicted classes."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from core.errors import brief
from core.figures.charts import BLUE, ORANGE, escaped, laid

_LARGEST, _LEAST = 26, 5  # pixels across a marker
_MARGIN = 0.03  # of an axis, before the first class and after the last one: half a marker
_ROW, _MOST = 26, 900  # pixels of a class, and of the chart
_NAMED = 40  # classes whose names fit at the axes
_LONGEST = 20  # characters of a name at an axis
_SLANTED = 8  # names below that are slanted: more of them would overlap in a narrow window, and stand upright


def confusions(
    counts: NDArray[np.int64], classes: Sequence[int], names: Sequence[str], chosen: tuple[int, int] | None = None
) -> go.Figure:
    """A marker for each pair of classes that occurs, its area the number of images: blue circles right, orange wrong.

    `counts` (K, K) has a row for each true class; `classes` (K) are their numbers, `names` (K) their names, and
    `chosen` is a pair of numbers that is framed. Markers have their true and predicted class as `customdata`.
    """
    titles = _distinct(names)
    names = [escaped(name) for name in names]
    present = np.flatnonzero(counts.sum(1)), np.flatnonzero(counts.sum(0))  # classes of images, and predicted ones
    counts = counts[np.ix_(*present)]
    rows, columns = np.nonzero(counts)
    images = counts[rows, columns]
    true, predicted = present[0][rows], present[1][columns]
    largest = max(int(images.max(initial=1)), 1)
    figure = go.Figure()
    for name, right, colour, symbol in (("right", True, BLUE, "circle"), ("wrong", False, ORANGE, "square")):
        some = (true == predicted) == right
        pairs = [(classes[t], classes[p]) for t, p in zip(true[some], predicted[some], strict=True)]
        figure.add_scatter(
            x=[titles[p] for p in predicted[some]], y=[titles[t] for t in true[some]], mode="markers", name=name,
            customdata=pairs,
            text=[
                f"{names[t]} as {names[p]}: {count:,}"
                for t, p, count in zip(true[some], predicted[some], images[some], strict=True)
            ],
            hovertemplate="%{text}<extra></extra>",
            marker={
                "symbol": symbol, "color": colour,
                "size": np.maximum(_LARGEST * np.sqrt(images[some] / largest), _LEAST),
                "line": {"width": [3 if pair == chosen else 0 for pair in pairs], "color": "#777777"},
            },
        )  # fmt: skip
    for axis, name, classes_of in (
        (figure.update_yaxes, "True", present[0]),
        (figure.update_xaxes, "Predicted", present[1]),
    ):
        texts = [titles[one] for one in classes_of]
        room = max(0.7, _MARGIN * len(texts))
        axis(
            title=name, type="category", categoryarray=texts, showticklabels=len(texts) <= _NAMED,
            range=[-room, len(texts) - 1 + room], zeroline=False,
        )  # fmt: skip
    # Of the names of categories, unlike those of numbers, the browser leaves out as many as do not fit side by side.
    figure.update_xaxes(tickangle=-45 if len(present[1]) <= _SLANTED else -90)
    figure.update_yaxes(autorange="reversed")
    figure.update_layout(clickmode="event+select")
    return laid(figure, min(_MOST, 190 + _ROW * len(present[0])))


def _distinct(names: Sequence[str]) -> list[str]:
    """Short names for an axis, made distinct by spaces without a width, as categories of the same name are one."""
    seen, found = Counter[str](), list[str]()
    for name in names:
        short = escaped(brief(name, _LONGEST))
        found.append(short + "\u200b" * seen[short])
        seen[short] += 1
    return found
