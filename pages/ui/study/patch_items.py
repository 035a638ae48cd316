"""Patches, filters and averages of a study as items of a gallery, with their names."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from core.study import Study
from core.study.browse import Order, Rows
from pages.ui.session import navigation
from pages.ui.study.open_study import catalogue, columns, label, table
from pages.ui.widgets.gallery import Items, Picks

SHOWN = 10_000  # patches a gallery takes at once


def unit(number: int) -> str:
    """A filter's short name."""
    return f"F{number}"


def units(numbers: Sequence[int], most: int = 100) -> str:
    """Several filters in a line; of more than `most` the first ones, and how many there are."""
    some = " + ".join(map(unit, numbers[:most]))
    return some if len(numbers) <= most else f"{some} … ({len(numbers)})"


def amount(value: float) -> str:
    """A number with three digits and commas between thousands."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def patches(
    study: Study,
    rows: Rows,
    *,
    noted: Order = "drop",
    filters: Sequence[int] = (),
    groups: Sequence[tuple[str, int]] | None = None,
    words: Mapping[int, Sequence[str]] | None = None,
) -> Callable[[], Items]:
    """The patches with these indices for a gallery, as a function that makes the items on demand.

    If they are grouped (or of one class, without groups) tiles do not name the class. `words` are tags by patch.
    """
    return lambda: _items(
        study, rows[:SHOWN], noted, filters, grouped=groups is not None, groups=groups or (), words=words or {}
    )


def _items(
    study: Study,
    rows: Rows,
    noted: Order,
    filters: Sequence[int],
    *,
    grouped: bool,
    groups: Sequence[tuple[str, int]],
    words: Mapping[int, Sequence[str]],
) -> Items:
    patch_catalogue = catalogue(study)
    shown = patch_catalogue.patches.iloc[rows]
    height, width = study.manifest.model.view
    most = study.manifest.settings.patches.count
    # of several labels of an image, each has windows of its own
    sources, images = np.unique([shown["image"], shown["rank"] // most], axis=1, return_inverse=True)
    first = patch_catalogue.items[rows, 0].tolist()
    if noted in {"response", "image"}:  # the study stores sums over the window, the page shows means
        word, values = "response", patch_catalogue.response(rows, filters) / study.manifest.window**2
    else:
        word, values = noted, shown[noted].to_numpy()
    notes = [f"{word} {amount(value)}" for value in values]
    names = [label(study, k) for k in shown["label"]]
    held = [", ".join(unit(item) for item in row[:10] if item >= 0) for row in patch_catalogue.items[rows].tolist()]
    return Items(
        pixels=np.asarray(study.array("crops")[rows]),
        ids=rows.tolist(),
        titles=notes if grouped else names,
        notes=() if grouped else notes,
        facts=[
            ("Class", names),
            ("Image", shown["path"].tolist()),
            ("True class", [label(study, k) for k in shown["true"]]),
            ("Position", [f"({x}, {y}), rank {rank % most + 1}" for x, y, rank in columns(shown, "x", "y", "rank")]),
            ("Heatmap", [f"{amount(score)} within the window" for score in shown["score"]]),
            (
                f"Confidence{watched(study)} when masked",
                [f"{a:.0%} → {b:.0%}" for a, b in columns(shown, "before", "after")],
            ),
            ("Filters", held),
            *([("Tags", [", ".join(words.get(row, ())) or "none" for row in rows.tolist()])] if words else []),
        ],
        wholes=np.asarray(study.array("thumbnails")[sources[0]]),
        images=images.tolist(),
        boxes=[(x / width, y / height, s / width, s / height) for x, y, s in columns(shown, "x", "y", "size")],
        windows=_windows(study, sources, most),
        groups=groups,
        actions=[
            ("unit", [f"Open {unit(number)}" if number >= 0 else "No filter" for number in first]),
            ("image", ["Filter to this image"] * len(rows)),
        ],
    )


def watched(study: Study) -> str:
    """Whose score was watched while patches were masked, in words."""
    several = study.manifest.model.output == "multilabel"  # each label's own score is watched
    return " of the true class" if study.config["patches"].get("watched") == "label" and not several else ""


def _windows(study: Study, sources: np.ndarray, most: int) -> list[list[tuple[float, float, float, float, int, bool]]]:
    """All candidate windows of these images (and places of their labels, (2, n)) in the order they were masked.

    Of each label there are at most `most`.
    """
    height, width = study.manifest.model.view
    sides = study.manifest.window / width, study.manifest.window / height
    windows = table(study, "windows")
    windows = windows[windows["image"].isin(sources[0])]
    found: dict[tuple[int, int], list[tuple[float, float, float, float, int, bool]]] = {}
    for image, rank, x, y, selected in columns(windows, "image", "rank", "x", "y", "kept"):
        place, order = divmod(rank, most)
        window = round(x / width, 4), round(y / height, 4), *sides, order + 1, bool(selected)
        found.setdefault((image, place), []).append(window)
    return [found[image, place] for image, place in sources.T.tolist()]


def faces(study: Study) -> dict[int, np.ndarray]:
    """A picture for each filter: its average patch, (w, w, 3) uint8, in the class where it weighs most."""
    averages = table(study, "averages").sort_values(["weight", "average"], ascending=[False, True])
    best = averages.drop_duplicates("filter")
    pixels = study.array("averages")
    return {number: as_pixels(pixels[row]) for row, number in columns(best, "average", "filter")}


def as_pixels(values: np.ndarray) -> np.ndarray:
    """Averages in [0, 1] as pictures."""
    return np.round(np.clip(values, 0, 1).astype(np.float32) * 255).astype(np.uint8)


def follow(study: Study, picks: Picks, number: int | None = None) -> None:
    """Handle a patch's buttons: open its strongest filter (or `number`), or all patches of its image."""
    if picks.action == "unit":
        navigation.go("units/unit", unit=int(catalogue(study).items[picks.opened, 0]) if number is None else number)
    if picks.action == "image":
        navigation.patches_of(image=int(catalogue(study).patches["image"].iloc[picks.opened]))
