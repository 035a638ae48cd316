"""Layouts of image folders: class folders at any of the usual places, a zip archive, a table of labels."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from core.data.archive import UNUSABLE, unpacked
from core.data.label_table import label_table
from core.data.listing import BESIDE, LOOPS, LeftOut, head, images_in, leads_up, listed
from core.errors import BadParameter, Unavailable
from core.images import shown
from core.images.formats import other
from core.progress import Report, silent

UNKNOWN = -1

_SPLITS = frozenset({"train", "training", "val", "valid", "validation", "test", "testing", "dev", "eval"})
_LEVELS = 4  # folders that may lie above the class folders


@dataclass
class Layout:
    """The images of a folder, by class folder, and what was assumed about them."""

    base: Path  # contains `images`, `masks`, `concepts` and `boxes.json`, or equals root
    root: Path  # the images lie below it
    images: list[tuple[Path, int]] = field(default_factory=list)  # with the index of the class folder, or UNKNOWN
    names: tuple[str, ...] = ()  # of the classes
    notes: list[str] = field(default_factory=list)  # what was assumed, as sentences


def layout(root: Path, left_out: LeftOut, report: Report = silent) -> Layout:
    """The layout of a folder or zip archive.

    Class folders may lie in a folder `images`, or in the only sub-folder. Raises OSError for a folder that cannot be
    opened, Unavailable for an archive that cannot be unpacked, BadParameter if there are several sets of class folders.
    """
    found = Layout(root, root)
    if root.is_file():
        _unpack(found, root, left_out, report)
    above: list[Path] = []  # the folders that lie above the images
    for _ in range(_LEVELS):
        above.append(found.base)
        found.root = found.base / "images" if (found.base / "images").is_dir() else found.base
        loose, folders = listed(found.root, LeftOut(report))
        archives = [] if loose or folders else _archives(found.root)
        if len(archives) == 1:
            _unpack(found, archives[0], left_out, report)
        elif not loose and len(folders) == 1 and _above_classes(folders[0]):
            found.base = folders[0]
            found.notes.append(f"The class folders are taken from {shown(str(folders[0]))}.")
        else:
            break
    _ask_for_split(found.root, folders)
    _read(found, loose, folders, above, left_out)
    return found


def _read(
    found: Layout, loose: Sequence[Path], folders: Sequence[Path], above: Sequence[Path], left_out: LeftOut
) -> None:
    """Fill in the images and their classes; a table of labels may lie in the folders `above`, too."""
    inside = LeftOut(left_out.report)
    for number, folder in enumerate(folders):
        if leads_up(folder):
            inside.add(LOOPS)
        else:
            found.images += [(path, number) for path in images_in(folder, inside)]
    used = {number for _, number in found.images}
    if len(used) <= 1 and (found.images or loose):
        table_images = [*loose, *(path for path, _ in found.images)]
        if _by_table(found, table_images, [found.root, *above]):
            _merge(left_out, inside)
            return
    if found.images:
        found.names = tuple(folder.name for folder in folders)
        if loose:
            left_out.add(BESIDE, loose[0].name, len(loose))
    else:
        listed(found.root, inside)  # counts what is beside the images
        found.images = [(path, UNKNOWN) for path in loose]
    _merge(left_out, inside)


def _by_table(found: Layout, images: Sequence[Path], folders: Sequence[Path]) -> bool:
    """Take the classes from a table of labels, if there is one."""
    paths = [path.relative_to(found.root).as_posix() for path in images]
    table = label_table(list(dict.fromkeys(folders)), paths)
    if table is None:
        return False
    found.names = tuple(sorted(set(table.labels) - {""}))
    numbers = {name: number for number, name in enumerate(found.names)}
    found.images = [(path, numbers.get(label, UNKNOWN)) for path, label in zip(images, table.labels, strict=True)]
    found.notes.append(f"The classes are taken from {shown(table.name)}.")
    if unnamed := sum(not label for label in table.labels):
        found.notes.append(f"It has no label for {unnamed:,} of the images.")
    if table.missing:
        found.notes.append(f"{table.missing:,} of its rows name no image.")
    return True


def _unpack(found: Layout, path: Path, left_out: LeftOut, report: Report) -> None:
    """Go on in the folder to which a zip archive is unpacked."""
    start = head(path) or b""
    if not start.startswith((b"PK\3\4", b"PK\5\6")):
        what = other(start, path.name)[0] or "a file"
        raise Unavailable(f"{shown(path.name)} is {what}, not a folder.", "Name a folder of images or a zip archive.")
    found.base, lost = unpacked(path, report)
    found.notes.append(f"{shown(path.name)} is unpacked in {found.base}.")
    if lost > 0:
        left_out.add(UNUSABLE, count=lost)


def _archives(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.iterdir()) if (head(path) or b"").startswith(b"PK\3\4")]


def _above_classes(folder: Path) -> bool:
    """Whether a folder has no image of its own but folders with images, or an archive."""
    try:
        loose, folders = listed(folder, LeftOut())
    except OSError:
        return False
    return not loose and not leads_up(folder) and any(next(images_in(one, LeftOut()), None) for one in folders)


def _ask_for_split(root: Path, folders: Sequence[Path]) -> None:
    """Raise BadParameter if the folders are splits of a data set, each with class folders."""
    splits = [folder for folder in folders if folder.name.casefold() in _SPLITS]
    if not splits or not any(_above_classes(folder) for folder in splits):
        return
    names = [folder.name for folder in splits]
    listing = f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else names[0]
    message = f"{shown(str(root))} contains {listing}, each with its own class folders."
    raise BadParameter(message, f"Choose one of them, such as --data {root / names[0]}.")


def _merge(left_out: LeftOut, inside: LeftOut) -> None:
    """Add the files that one count left out to another."""
    for reason, count in inside.counts.items():
        left_out.add(reason, count=count)
        left_out.names[reason] = inside.names.get(reason, [])
