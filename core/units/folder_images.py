"""Images of a folder as analyses of units take them, with the masks of their concepts where these are needed."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

from torch import Tensor

from core.data.concepts import Concept, ConceptFolder, concept_folder
from core.data.concepts.broden import broden, is_broden
from core.data.image_folder import ImageFolder, scan
from core.data.masks.pictures import Mask
from core.errors import BadImage, StoreError, Unavailable
from core.images import read_picture, shown
from core.models.model import Model
from core.params import expanded
from core.progress import Report, chunks, silent
from core.serialization import digest
from core.units.analysis import ImageSet

_UNUSABLE = "images whose file or masks cannot be used"
_TOLD = 3  # of them whose problem is a note


class FolderImages(ImageSet):
    """The images of a folder; those that cannot be read, alone or with their masks, are left out and counted.

    All are read once, so that later changes are noticed. Raises Unavailable for a folder without images or without the
    masks that are needed.
    """

    def __init__(
        self, data: str, model: Model, *, concepts: bool = False, limit: int = 0, report: Report = silent
    ) -> None:
        root = expanded(data)
        self.model = model
        self._masks: ConceptFolder | None = concept_folder(root) if concepts else None
        every = self._masks.images if self._masks else (broden(root)[0] if is_broden(root) else scan(root))
        every = every.limited(limit).matched(model.labels)
        self._shas, self._sizes = dict[str, str](), dict[str, tuple[int, int]]()
        self._mask_shas = dict[str, str]()
        problems = self._read(every, report)
        usable = [row for row, path in enumerate(every.paths) if path not in problems]
        if not usable:
            message = f"No image of {shown(data)} can be used. {next(iter(problems.values()))}"
            raise Unavailable(message, "Correct the images, or choose another folder.")
        self.folder: ImageFolder = replace(
            every,
            paths=tuple(every.paths[row] for row in usable),
            labels=tuple(every.labels[row] for row in usable),
        )
        self.left_out = {**every.skipped, **({_UNUSABLE: len(problems)} if problems else {})}
        self.notes = (*every.notes, *[problems[path] for path in [*problems][:_TOLD]])

    @property
    def names(self) -> Sequence[str]:
        """Their paths within the folder."""
        return self.folder.paths

    @property
    def labels(self) -> Sequence[int]:
        """Their classes by sub-folder; -1 where the model has no such class."""
        return self.folder.labels

    @property
    def concepts(self) -> Sequence[Concept]:
        """The concepts whose masks are known."""
        return self._masks.concepts if self._masks else ()

    @cached_property
    def identity(self) -> Any:
        """Paths, content and classes of the images, and the masks as the model sees them, as JSON."""
        masks = [self._mask_shas[path] for path in self.names] if self._masks else []
        named = [[one.name, one.category] for one in self.concepts]
        return [list(self.names), [self._shas[path] for path in self.names], list(self.labels), named, masks]

    def input(self, row: int) -> Tensor:
        """An image as network input (C, H, W). Raises BadImage, and StoreError for one that has changed."""
        path = self.names[row]
        picture = read_picture(self.folder.root, path)
        if picture.sha != self._shas[path]:
            raise _changed(path)
        return self.model.preprocess.tensor(self.model.preprocess.seen(picture))

    def masks(self, row: int) -> Mapping[int, Mask]:
        """The concepts that an image shows, as the model sees them. Raises as `input`."""
        path = self.names[row]
        masks = self._seen(path)
        if self._masks and _sha(masks) != self._mask_shas[path]:
            raise _changed(path)
        return masks

    def _seen(self, path: str) -> Mapping[int, Mask]:
        return self._masks.masks(path, self._sizes[path], self.model.preprocess) if self._masks else {}

    def _read(self, folder: ImageFolder, report: Report) -> dict[str, str]:
        """Read all images and masks once; why some cannot be used, by path."""
        problems = dict[str, str]()
        for span in chunks(len(folder), 1, report, "images", counted=True):
            path = folder.paths[span.start]
            try:
                path.encode()
                picture = read_picture(folder.root, path)
                self._shas[path] = picture.sha
                self._sizes[path] = (picture.pixels.shape[0], picture.pixels.shape[1])
                self._mask_shas[path] = _sha(self._seen(path)) if self._masks else ""
            except UnicodeEncodeError:
                problems[path] = f"The name of {shown(path)} is not UTF-8."
            except BadImage as error:
                problems[path] = error.message
        return problems


def _sha(masks: Mapping[int, Mask]) -> str:
    return digest([[number, hashlib.sha256(mask.tobytes()).hexdigest()] for number, mask in masks.items()])


def _changed(path: str) -> StoreError:
    return StoreError(f"{shown(path)} or its masks changed while the analysis was running.", "Start it again.")
