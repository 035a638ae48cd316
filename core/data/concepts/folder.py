"""Folders of images whose concepts are masked, in any of the layouts that are read."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from core.data.concepts.broden import broden, is_broden
from core.data.concepts.concept import Concept
from core.data.concepts.tables import table_rows
from core.data.image_folder import ImageFolder, beside, scan
from core.data.masks.drawing import resized_mask
from core.data.masks.pictures import Mask, mask_picture
from core.errors import Unavailable
from core.images import Preprocess, shown
from core.params import expanded
from core.progress import Report, silent

_BACKGROUND = "background"  # label 0: everything that is no concept
_HINT = "Put the masks of each concept into masks/CONCEPT beside the images, or name a data set of flowers or Broden."


@dataclass(frozen=True)
class ConceptFolder:
    """Images and the masks of their concepts, found and not yet read."""

    images: ImageFolder
    concepts: tuple[Concept, ...]
    read: Callable[[str], Mapping[int, Mask]]  # path of an image -> masks by number of the concept, of any size

    def masks(self, path: str, size: tuple[int, int], preprocess: Preprocess) -> dict[int, Mask]:
        """The concepts in an image whose picture has this height and width, as a model sees them.

        By number of the concept, without those that the model does not see. Raises BadImage for a mask that cannot be
        read.
        """
        seen = {number: preprocess.mask(resized_mask(mask, size)) for number, mask in self.read(path).items()}
        return {number: mask for number, mask in sorted(seen.items()) if mask.any()}


def concept_folder(root: str | Path, report: Report = silent) -> ConceptFolder:
    """The images and masks of concepts under `root`; the package says in which layouts.

    Raises Unavailable if there are no images or no masks of concepts, and as `scan`.
    """
    root = expanded(root)
    if is_broden(root):
        return ConceptFolder(*broden(root))
    images = scan(root, report)
    if (images.base / "concepts").is_dir():
        return _flowers(images)
    return _pictures(images)


def _flowers(images: ImageFolder) -> ConceptFolder:
    manifest = images.manifest()
    named = {"part": manifest.get("parts"), "colour": manifest.get("colours")}
    kinds = {kind: names for kind, names in named.items() if isinstance(names, list) and names}
    if len(kinds) < len(named):
        message = f"{shown(str(images.base))} has concepts, and no manifest.json that names them."
        raise Unavailable(message, "Write the data set again with `vitrine flowers`.")
    concepts = tuple(
        Concept(str(name), kind) for kind, names in kinds.items() for name in names if name not in (_BACKGROUND, "none")
    )
    rows = {path: row for row, path in enumerate(images.paths)}
    return ConceptFolder(images, concepts, partial(_of_flower, images, rows, concepts))


def _of_flower(images: ImageFolder, rows: Mapping[str, int], concepts: Sequence[Concept], path: str) -> dict[int, Mask]:
    masks = images.concepts(rows[path])
    return {number: masks[one.name] for number, one in enumerate(concepts) if one.name in masks}


def _pictures(images: ImageFolder) -> ConceptFolder:
    root = images.base / "masks"
    names = sorted(path.name for path in root.iterdir() if path.is_dir()) if root.is_dir() else []
    folders = {
        name: {_stem(path, root / name) for path in (root / name).rglob("*") if path.is_file()} for name in names
    }
    known = {_stem(images.root / path, images.root) for path in images.paths}
    used = [name for name in names if folders[name] & known]
    if not used:
        raise Unavailable(f"{shown(str(images.base))} has no masks of concepts.", _HINT)
    categories = {row.get("concept", ""): row.get("category", "") for row in table_rows(root / "categories.csv")}
    concepts = tuple(Concept(name, categories.get(name) or "concept") for name in used)
    return ConceptFolder(images, concepts, partial(_of_pictures, root, used))


def _of_pictures(root: Path, names: Sequence[str], path: str) -> dict[int, Mask]:
    files = {number: beside(root / name / path) for number, name in enumerate(names)}
    return {number: mask_picture(file, file.name)[0] for number, file in files.items() if file}


def _stem(path: Path, root: Path) -> str:
    """The path below `root` without its suffix."""
    return path.relative_to(root).with_suffix("").as_posix()
