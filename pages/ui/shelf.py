"""The studies as pages see them: which one is open, its tables in memory, its patches as a gallery, ways to pages."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from core.errors import VitrineError
from core.explain import EXPLAINERS
from core.mining.average import contributing, weighted
from core.mining.catalogue import Catalogue, Order, Rows
from core.mining.rules import Mined, mine
from core.mining.settings import MiningConfig
from core.mining.transactions import Transactions
from core.models.sources import efficientnet_lite
from core.pipeline import config_of
from core.study import BUNDLED, Listed, Study, list_studies
from core.tags import Tags
from core.workbench import home
from pages.ui import frame, own, show, state
from pages.ui.gallery import Items, Picks
from pages.ui.run import once

SHOWN = 10_000  # patches a gallery takes at once
DEMANDS = ("label", "filters", "strongest", "outcome", "drop", "image", "tag")  # of the Patches page, as addresses say


def folder() -> Path:
    """Where this user's own studies are kept."""
    return home() / "studies"


def listed() -> dict[str, Listed]:
    """Every study there is by the name that pages and addresses use: bundled ones first."""
    found: dict[str, Listed] = {}
    for entry in [*list_studies(BUNDLED), *list_studies(folder())]:
        found[entry.path.name if entry.path.name not in found else f"{entry.path.name} (yours)"] = entry
    return found


def study() -> Study:
    """The open study, with the bar that says and changes which; without any, the page ends with the way to one."""
    entries = {name: entry.study for name, entry in listed().items() if entry.study}
    if not entries:
        st.info("There is no study yet. A study is mined once from a model and a folder of images, then explored here.")
        link("mine/studies", "Build a study")
        st.stop()
    fitting = [name for name, entry in entries.items() if entry.manifest["model"]["name"] == state.place().model]
    left, right = st.columns([1, 2.6], vertical_alignment="center", gap="medium")
    with left:
        chosen = own.choice("Study", list(entries), "study", default=(fitting or list(entries))[0])
        name = chosen.draw(st.selectbox, label_visibility="collapsed", help="Which study this page shows.")
    if st.session_state.setdefault("shelf", name) != name:
        st.session_state["shelf"] = name
        for row in ("image", "average"):  # these numbers mean something else in another study
            own.keep(row, "")
    right.caption(show.plain(summary(entries[name])))
    unstudied(entries.values())
    return entries[name]


def unstudied(studies: Iterable[Study]) -> None:
    """Say why the bundled classifier of photos comes without a study, and how to build one, until there is one."""
    known = {study.manifest["model"]["name"] for study in studies}
    if state.place().model == efficientnet_lite.NAME and efficientnet_lite.NAME not in known:
        build = f"vitrine study build --model {efficientnet_lite.NAME} --data PHOTOS --out STUDY"
        st.caption(
            f"No study of {efficientnet_lite.NAME.replace('_', '&#95;')} is bundled, since few photos may be "
            f"redistributed: build one from a folder of your own on the Studies page, or with `{build}`."
        )


def summary(study: Study) -> str:
    """A study in a line."""
    manifest = study.manifest
    model, data, method = manifest["model"], manifest["data"], manifest["config"]["explainer"]
    title = EXPLAINERS[method].title if method in EXPLAINERS else method
    patches = manifest["tables"]["patches"]["rows"]
    return (
        f"{short(model['name'])}, layer {model['layer']} with {model['filters']:,} filters · "
        f"{data['images']:,} images · {patches:,} patches of {manifest['window']} px chosen by {title}"
    )


def short(model: str) -> str:
    """A model's name; own weights by their file's name, without its folder."""
    architecture, colon, file = model.partition(":")
    return f"{architecture}{colon}{Path(file).name}" if colon else model


def catalogue(study: Study) -> Catalogue:
    """The study's patches in memory, shared by all sessions."""
    return _catalogue(key(study), study)


def table(study: Study, name: str) -> pd.DataFrame:
    """A table of the study, read once; not to be changed."""
    return _table((key(study), name), study)


def config(study: Study) -> MiningConfig:
    """The settings the study's own rules were mined with."""
    return config_of(study).mining


def mined(study: Study, config: MiningConfig) -> Mined:
    """What these settings find in the study's transactions; kept for every setting tried lately.

    Raises TooLarge where that is too much.
    """
    seed, wanted = study.manifest["seed"], (key(study), config)
    return once(_mined, wanted, "Mining rules", lambda report: mine(study, config, seed=seed, report=report))


def key(study: Study) -> str:
    """What names a study's content in caches."""
    return f"{study.manifest['digest']} {study.path}"


def averaged(study: Study, uniform: bool, top: int) -> tuple[np.ndarray, list[Rows], list[np.ndarray]]:
    """For each row of table `averages` its picture in [0, 1], its patches and their weights, heaviest first.

    `uniform` weighs all patches alike, `top` (0 for all) takes only the heaviest so many.
    """
    return _averaged((key(study), uniform, top), study, mined(study, config(study)))


# The first argument of each is the key of its cache; the others are not looked at.
@st.cache_resource(max_entries=4, show_spinner=False)
def _catalogue(key: str, _study: Study) -> Catalogue:  # noqa: ARG001
    return Catalogue(_study)


@st.cache_resource(max_entries=64, show_spinner=False)
def _table(key: tuple[str, str], _study: Study) -> pd.DataFrame:
    return _study.table(key[1])


@st.cache_resource(max_entries=64, show_spinner=False)
def _mined(key: tuple[str, MiningConfig], _found: Mined | None) -> Mined:
    if _found is None:
        raise LookupError(key)
    return _found


@st.cache_resource(max_entries=16, show_spinner=False)
def _averaged(
    key: tuple[str, bool, int], _study: Study, _found: Mined
) -> tuple[np.ndarray, list[Rows], list[np.ndarray]]:
    _, uniform, top = key
    patches, crops = catalogue(_study), _study.array("crops")
    transactions = Transactions(patches.items, patches.patches["label"].to_numpy(np.int64))
    pictures, rows, weights = [], [], []
    for label, number in columns(table(_study, "averages"), "label", "filter"):
        own_rows, weight = contributing(_found, transactions, patches.responses, label, number)
        own_rows, weight = own_rows[: top or None], weight[: top or None]
        pictures.append(weighted(crops[own_rows], np.ones(len(own_rows)) if uniform else weight).astype(np.float32))
        rows.append(own_rows)
        weights.append(weight)
    return np.stack(pictures), rows, weights


def tags(study: Study) -> Tags:
    """The words this user pinned to the study's patches."""
    return Tags(home() / "tags", study.manifest["digest"])


def unit(number: int) -> str:
    """A filter's short name."""
    return f"F{number}"


def units(numbers: Sequence[int], most: int = 100) -> str:
    """Several filters in a line; of more than `most` the first ones, and how many there are."""
    some = " + ".join(map(unit, numbers[:most]))
    return some if len(numbers) <= most else f"{some} … ({len(numbers)})"


def amount(value: float) -> str:
    """A number as people read it: three digits, thousands with commas."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def label(study: Study, number: int) -> str:
    """A class by name."""
    return study.labels[number] if 0 <= number < len(study.labels) else "unknown"


def go(page: str, **query: Any) -> None:
    """Show another page of this session with these parameters (and the open study)."""
    found = frame.page(page)
    query = {"study": st.session_state.get("study"), **query}
    if found is not None:
        own.forget(query)
        st.switch_page(found, query_params={name: str(value) for name, value in query.items() if value is not None})


def patches_of(**demands: Any) -> None:
    """Show the patches that meet these demands of the Patches page, and none that were made there before."""
    own.forget(DEMANDS)
    go("mine/patches", **demands)


def follow(study: Study, picks: Picks, number: int | None = None) -> None:
    """Go where a patch's buttons lead: to its strongest filter (or to `number`), or to all patches of its image."""
    if picks.action == "unit":
        go("units/unit", unit=int(catalogue(study).items[picks.opened, 0]) if number is None else number)
    if picks.action == "image":
        patches_of(image=int(catalogue(study).patches["image"].iloc[picks.opened]))


def link(page: str, label: str, **query: Any) -> None:
    """A link to another page of this session."""
    found = frame.page(page)
    query = {"study": st.session_state.get("study"), **query}
    if found is not None:
        wanted = {name: str(value) for name, value in query.items() if value is not None}
        st.page_link(found, label=label, query_params=wanted)


def faces(study: Study) -> dict[int, np.ndarray]:
    """A picture for each filter: its average patch, (w, w, 3) uint8, in the class where it weighs most."""
    averages = table(study, "averages").sort_values(["weight", "average"], ascending=[False, True])
    best = averages.drop_duplicates("filter")
    pixels = study.array("averages")
    return {number: as_pixels(pixels[row]) for row, number in columns(best, "average", "filter")}


def as_pixels(values: np.ndarray) -> np.ndarray:
    """Averages in [0, 1] as pictures."""
    return np.round(np.clip(values, 0, 1).astype(np.float32) * 255).astype(np.uint8)


def patches(
    study: Study,
    rows: Rows,
    *,
    noted: Order = "drop",
    filters: Sequence[int] = (),
    groups: Sequence[tuple[str, int]] | None = None,
    words: Mapping[int, Sequence[str]] | None = None,
) -> Callable[[], Items]:
    """The patches with these numbers for a gallery, made when asked for; where they are grouped (or of one class, with
    no groups at all) a tile need not name its class. `words` are the tags of patches that have any.
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
    shelf = catalogue(study)
    part = shelf.patches.iloc[rows]
    side = study.manifest["model"]["size"]
    numbers, images = np.unique(part["image"].to_numpy(), return_inverse=True)
    first = shelf.items[rows, 0].tolist()
    if noted in {"response", "image"}:  # sums over the window in the study, means on the page
        word, values = "response", shelf.response(rows, filters) / study.manifest["window"] ** 2
    else:
        word, values = noted, part[noted].to_numpy()
    notes = [f"{word} {amount(value)}" for value in values]
    said = [label(study, k) for k in part["label"]]
    held = [", ".join(unit(item) for item in row[:10] if item >= 0) for row in shelf.items[rows].tolist()]
    return Items(
        pixels=np.asarray(study.array("crops")[rows]),
        ids=rows.tolist(),
        titles=notes if grouped else said,
        notes=() if grouped else notes,
        facts=[
            ("Class", said),
            ("Image", part["path"].tolist()),
            ("True class", [label(study, k) for k in part["true"]]),
            ("Place", [f"{x}, {y} px, number {rank + 1}" for x, y, rank in columns(part, "x", "y", "rank")]),
            ("Heatmap", [f"{amount(score)} in the window" for score in part["score"]]),
            ("Covered", [f"{a:.0%} → {b:.0%}" for a, b in columns(part, "before", "after")]),
            ("Filters", held),
            *([("Tags", [", ".join(words.get(row, ())) or "none" for row in rows.tolist()])] if words else []),
        ],
        wholes=np.asarray(study.array("thumbnails")[numbers]),
        images=images.tolist(),
        boxes=[(x / side, y / side, s / side, s / side) for x, y, s in columns(part, "x", "y", "size")],
        windows=_windows(study, numbers),
        groups=groups,
        actions=[
            ("unit", [f"Open {unit(number)}" if number >= 0 else "No filter" for number in first]),
            ("image", ["Only this image"] * len(rows)),
        ],
    )


def _windows(study: Study, images: np.ndarray) -> list[list[tuple[float, float, float, float, int, bool]]]:
    """All candidate windows of these images in the order they were tried."""
    side, size = study.manifest["model"]["size"], study.manifest["window"] / study.manifest["model"]["size"]
    windows = table(study, "windows")
    windows = windows[windows["image"].isin(images)]
    found: dict[int, list[tuple[float, float, float, float, int, bool]]] = {int(image): [] for image in images}
    for image, rank, x, y, kept in columns(windows, "image", "rank", "x", "y", "kept"):
        found[image].append((round(x / side, 4), round(y / side, 4), size, size, rank + 1, bool(kept)))
    return [found[int(image)] for image in images]


@contextmanager
def refused() -> Iterator[None]:
    """Work whose refusal becomes a sentence in its place; inside a fragment the frame's own net is not there."""
    try:
        yield
    except VitrineError as error:
        st.error(show.plain(str(error)))


def columns(frame: pd.DataFrame, *names: str) -> Any:
    """The rows of some columns as tuples of plain values."""
    return zip(*(frame[name].tolist() for name in names), strict=True)
