"""One method across many images: which images, their predictions, and a page of maps."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import streamlit as st

from core.comparison import Comparison, Tile
from core.errors import VitrineError
from core.explain import EXPLAINERS
from core.explain.methods.relevant_filters import RELEVANCE
from core.explain.target_name import TargetName, linked_target
from core.images import Picture
from core.params import whole
from core.progress import Report, chunks
from core.serialization import digest
from core.workbench import Workbench
from pages.ui.explore import class_choice, comparison, folders, trust, uploads
from pages.ui.explore.other_targets import Choices
from pages.ui.session import jobs, location, parameters, state
from pages.ui.widgets import comparison_grid
from pages.ui.widgets.text import plain

PAGE = 24  # tiles at a time
PRESENTED = 6  # tiles at a time in a presentation
LISTED = 60  # images that can be chosen one by one
GROUPS = {"folder": "Folder", "uploads": "Uploads", "examples": "Examples"}


@dataclass(frozen=True)
class Source:
    """An image that can be chosen: a key that no other has, its name, and how its picture is read."""

    key: str
    name: str
    read: Callable[[], Picture]


@dataclass(frozen=True)
class Page:
    """A page of images with their predictions: for each a picture and the class to explain, or why it has none."""

    sources: Sequence[Source]
    read: Mapping[str, tuple[Picture, TargetName] | VitrineError]  # by key of the source
    method: str
    span: str  # the numbers of its images, of how many


def active() -> bool:
    """Whether the current page shows many images; also before it is drawn."""
    return bool(parameters.shown("by", st.query_params.get("by")) == "images")


def sources() -> dict[str, list[Source]]:
    """The images of this session by group, without empty groups."""
    session, model = state.session(), location.current().model
    found: dict[str, list[Source]] = {"folder": [], "uploads": [], "examples": []}
    if folder := session.folder:
        paths = enumerate(folder.folder.paths)
        found["folder"] = [Source(folder.item(n), path, partial(folder.picture, n)) for n, path in paths]
    found["uploads"] = [Source(sha, name, partial(session.deferred, sha)) for sha, name in session.uploads().items()]
    for name, one in location.examples().items():
        if state.suits(one, model):
            found["examples"].append(Source(name, name, partial(state.sample, one.path)))
    return {group: images for group, images in found.items() if images}


def chosen() -> list[Source]:
    """A button that opens the choice of images; returns those chosen."""
    every = sources()
    with st.popover("Images", icon=":material/photo_library:"):
        groups = _groups(every)
        found = [source for group in groups for source in every[group]]
        words = st.text_input("Name contains", key="gallery.words").casefold().split()
        found = [source for source in found if all(word in source.name.casefold() for word in words)]
        if 1 < len(found) <= LISTED:
            found = _one_by_one(found)
        st.caption(f"{len(found):,} image{'s' * (len(found) != 1)} chosen")
        uploads.uploader()
        folders.chooser()
    return found


def _groups(every: Mapping[str, Sequence[Source]]) -> list[str]:
    """The choice of groups: by default the folder, else the uploads, else the examples."""
    default, latest = list(every)[:1], st.session_state.pop("gallery.next", "")
    text = latest if latest in every else parameters.text("of")
    # A widget whose value is set from here may be drawn too late and set it back: another value is another widget.
    if text != st.session_state.get("gallery.of"):
        st.session_state["gallery.version"] = st.session_state.get("gallery.version", 0) + 1
    given = st.segmented_control(
        "Images of", list(every), selection_mode="multi", key=f"gallery.of.{st.session_state['gallery.version']}",
        default=[group for group in text.split(",") if group in every] or default,
        format_func=lambda group: f"{GROUPS[group]} · {len(every[group]):,}",
    )  # fmt: skip
    chosen = [group for group in every if group in given] or default
    text = "" if chosen == default else ",".join(chosen)
    st.session_state["gallery.of"] = text
    parameters.keep("of", text)
    return chosen


def _one_by_one(found: Sequence[Source]) -> list[Source]:
    names = {source.key: source.name for source in found}
    left_out: set[str] = st.session_state.setdefault("gallery.left_out", set())
    st.session_state["gallery.chosen"] = [key for key in names if key not in left_out]

    def store() -> None:
        left_out.difference_update(names)
        left_out.update(set(names) - set(st.session_state["gallery.chosen"]))

    st.pills(
        "Chosen", list(names), selection_mode="multi", key="gallery.chosen", format_func=lambda key: plain(names[key]),
        on_change=store, help="Click an image to leave it out or to add it again.",
    )  # fmt: skip
    return [source for source in found if source.key not in left_out]


def method(bench: Workbench, first: str) -> str:
    """The choice of the method among those that work on the model, or will once relevance is stored."""
    needs = {name: one.unmet_need(bench.model) for name, one in EXPLAINERS.items()}
    names = [name for name, need in needs.items() if need in (None, RELEVANCE)]
    default = first if first in names else names[0]
    choice = parameters.choice("Method", names, "method", default=default)
    return choice.draw(st.selectbox, format_func=lambda name: EXPLAINERS[name].title, width=240)


def target(bench: Workbench) -> TargetName | None:
    """The choice of the target: None for the class predicted for each image, or one for all images."""
    model, names = bench.model, class_choice.named(bench.model.labels)
    order = sorted(names, key=lambda index: names[index].casefold())
    parameter = parameters.Parameter[TargetName | None](
        "Class", "class", None, lambda text: linked_target(text, model), lambda one: str(one or ""),
        lambda one: one if one and one.known(model) else None,
    )  # fmt: skip
    chosen = parameter.value()
    others = [one for one in (*location.selected(bench), chosen) if one and one.index is None]
    chosen = parameter.draw(
        st.selectbox, options=[None, *dict.fromkeys(others), *(TargetName((index,)) for index in order)],
        format_func=lambda one: _name(one, names, model.labels), width=260, filter_mode="contains",
        placeholder=_name(None, names, model.labels),  # Streamlit shows None as if nothing were chosen
    )  # fmt: skip
    made = Choices(bench, order, names, [chosen] if chosen else [], "Explain", partial(parameters.put, "class"))
    if kinds := made.kinds():
        with st.popover("Other target…", icon=":material/add:"):
            kinds[st.segmented_control("Explain", list(kinds), default=next(iter(kinds)), required=True)]()
    return chosen


def _name(target: TargetName | None, names: Mapping[int, str], labels: Sequence[str]) -> str:
    if target is None:
        return "Predicted for each image"
    return target.title(labels) if target.index is None else names[target.index]


def drawn(bench: Workbench, images: Sequence[Source], name: str, wanted: TargetName | None) -> None:
    """A page of the images, each with the map of one method, computed in the background."""
    if not images:
        st.info("No image is chosen. Choose some under Images, upload them, or open a folder.")
        return
    pages = -(-len(images) // PAGE)
    key, number = _page(images, pages)
    start, most = (number - 1) * PAGE, PAGE
    presented = location.current().present
    if presented:
        start, most = _presented(len(images), start), PRESENTED
        number = start // PAGE + 1  # the page that is shown afterwards
        st.session_state[key] = number
    else:
        _forget_presented()
    parameters.keep("page", str(number), "1")
    on_page = images[start : start + most]
    with st.container(key="vitrine-reading"):  # of a progress bar; also without one, so that the grid keeps its place
        read = pictures_of(bench, on_page)
    span = f"{start + 1:,}–{start + len(on_page):,} of {len(images):,}"
    page = Page(on_page, {key: explained(one, wanted) for key, one in read.items()}, name, span)
    st.session_state["gallery.page"] = page
    tiles = {tile.key: tile for source in on_page if (tile := _tile(bench, page, source))}
    shown = comparison.current(bench, list(tiles.values()), predicted=wanted is None)
    comparison.drawn(shown, "gallery", _grid)
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        if pages > 1 and not presented:
            st.pagination(pages, default=number, key=key, width=min(120 + 44 * pages, 420))
            st.caption(f"Images {page.span}")
        if known := location.true_classes(bench, pictures := shown.pictures):
            right = sum(
                bench.model.right(bench.logits(one), known[one.sha]) or 0 for one in pictures if one.sha in known
            )
            st.caption(f"Predictions right: {right} of {len(known)} shown with a known true class")


def _page(images: Sequence[Source], pages: int) -> tuple[str, int]:
    """The key of the choice of the page, and the page; other images begin with their first page."""
    key = f"gallery.page.{digest([len(images), pages, images[0].key, images[-1].key])[:8]}"
    known = st.session_state.get("gallery.pages", key)
    st.session_state["gallery.pages"] = key
    number = st.session_state.get(key) or (whole(parameters.text("page")) if known == key else None) or 1
    return key, min(max(number, 1), pages)


def _presented(count: int, start: int) -> int:
    """The first of the images that are presented: those of the page or of a link at first, then those leafed to."""
    number = st.session_state.get("gallery.leaf")
    if number is None:
        number = (whole(parameters.text("leaf")) or start // PRESENTED + 1) - 1
    number %= -(-count // PRESENTED)
    st.session_state["gallery.leaf"] = number
    parameters.keep("leaf", str(number + 1))
    return int(number) * PRESENTED


def _forget_presented() -> None:
    st.session_state.pop("gallery.leaf", None)
    parameters.keep("leaf", "")


def leafed(by: object) -> None:
    """Present later images or, if negative, earlier ones; from the last ones on again the first."""
    if isinstance(by, int) and "gallery.leaf" in st.session_state:
        st.session_state["gallery.leaf"] += by


def pictures_of(bench: Workbench, images: Sequence[Source]) -> dict[str, tuple[Picture, TargetName] | VitrineError]:
    """The pictures with their predicted classes, each read once, with a progress bar."""
    known: dict[tuple[object, ...], tuple[Picture, TargetName] | VitrineError] = st.session_state.setdefault(
        "pictures", {}
    )
    missing = [source for source in images if (bench.model.key, source.key) not in known]

    def work(report: Report) -> None:
        for span in chunks(len(missing), 1, report, "images read", counted=True):
            source = missing[span.start]
            known[(bench.model.key, source.key)] = _predicted(bench, source)

    if missing:
        jobs.working("Reading images", work)
    return {source.key: known[(bench.model.key, source.key)] for source in images}


def _predicted(bench: Workbench, source: Source) -> tuple[Picture, TargetName] | VitrineError:
    try:
        picture = source.read()
        found = picture, bench.target(picture)
        comparison_grid.photo_of(bench, picture)  # while it is decoded
    except VitrineError as error:
        return error
    return found


def explained(
    read: tuple[Picture, TargetName] | VitrineError, wanted: TargetName | None
) -> tuple[Picture, TargetName] | VitrineError:
    return read if isinstance(read, VitrineError) or wanted is None else (read[0], wanted)


def _tile(bench: Workbench, page: Page, source: Source) -> Tile | None:
    """The tile of an image; None for one that cannot be read."""
    one = page.read[source.key]
    if isinstance(one, VitrineError):
        return None
    picture, target = one
    return Tile(picture, location.requests(bench, [page.method], [target])[0])


def _judged(bench: Workbench, tile: Tile) -> dict[str, str]:
    """The mark of the explained class, and the label of the true one where it is known and another."""
    marks = class_choice.marks(bench, tile.picture)
    explained = tile.request.target.index
    other = next((index for index, mark in marks.items() if mark != "wrong" and index != explained), None)
    return {
        "mark": "" if explained is None else marks.get(explained, ""),
        "true": "" if other is None else bench.model.labels[other],
    }


def _grid(shown: Comparison) -> None:
    """The tiles of the page in their current state."""
    page: Page | None = st.session_state.get("gallery.page")
    if page is None:
        return
    title = EXPLAINERS[page.method].title
    messages: dict[str, comparison_grid.Message] = {}
    rows: list[dict[str, Any]] = []
    cells: list[str] = []
    for number, source in enumerate(page.sources):
        one = page.read[source.key]
        tile = _tile(shown.bench, page, source)
        if isinstance(one, VitrineError) or tile is None:
            error: Any = one
            name = f"unread-{number}"
            rows.append({"photo": "", "picture": source.name, "target": "", "label": "", "chance": ""})
            header = {"title": title, "label": "", "phase": "failed", "error": error.message, "hint": error.hint}
            messages[name] = {**header, "ask": name}, b""
            cells.append(name)
            continue
        row = comparison_grid.row(shown.bench, tile.picture, tile.request.target)
        messages[row["photo"]] = {}, comparison_grid.photo_of(shown.bench, tile.picture)
        name = comparison_grid.tile_id(shown, tile)
        messages[name] = comparison_grid.tile(shown, tile)
        rows.append({**row, "picture": source.name, **_judged(shown.bench, tile)})
        cells.append(name)
    messages |= comparison_grid.strips(trust.strips(shown))
    cells_of_rows = [[name] for name in cells]
    columns = [comparison_grid.column(page.method)]
    comparison_grid.grid(messages, rows, columns, cells_of_rows, "gallery", clicked=trust.clicked, gallery=page.span)
