"""A folder of images opened in a session: its images are read only when they are needed."""

import os
from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from itertools import count
from pathlib import Path

from core.cache import TensorCache
from core.data.image_folder import ImageFolder, scan
from core.data.labels import folder_classes
from core.data.layout import UNKNOWN
from core.errors import BadImage, VitrineError
from core.figures import encoding
from core.images import DeferredPicture, Picture, Window, deferred, read_picture
from core.params import whole
from core.progress import Report
from pages.ui.session import visitors

PAGE = 24  # images of the strip at a time

_openings = count(1)  # a folder that is opened again may hold other images under the same numbers


class OpenFolder:
    """The images of a folder by their number, and the page of them that the strip shows.

    Decoded pictures and thumbnails are in the session's cache, so that a folder of any size takes little memory.
    """

    def __init__(self, folder: ImageFolder, cache: TensorCache, name: str, total: int) -> None:
        self.folder = folder
        self.name = name
        self.total = total  # images on disk; more than in `folder` where there is a limit
        self.page = 0
        self._prefix = f"folder-{next(_openings)}-"
        self._cache = cache
        self._shas: dict[int, str] = {}  # of the images read so far

    def __len__(self) -> int:
        return len(self.folder)

    @property
    def pages(self) -> int:
        """The number of pages of the strip."""
        return -(-len(self) // PAGE)

    def numbers(self) -> range:
        """The numbers of the images on the page of the strip."""
        return range(self.page * PAGE, min((self.page + 1) * PAGE, len(self)))

    def turn(self, pages: int) -> None:
        """Show an earlier or later page in the strip, from the last one again the first."""
        self.page = (self.page + pages) % self.pages

    def path(self, number: int) -> str:
        """The path of an image in the folder."""
        return self.folder.paths[number]

    def item(self, number: int) -> str:
        """The name of an image in the strip, unlike those of other folders."""
        return f"{self._prefix}{number}"

    def number(self, item: str) -> int | None:
        """The number of an image by that name."""
        number = whole(item.removeprefix(self._prefix)) if item.startswith(self._prefix) else None
        return number if number is not None and number < len(self) else None

    def number_of(self, sha: str) -> int | None:
        """The number of an image that has been read."""
        return next((number for number, known in list(self._shas.items()) if known == sha), None)

    def picture(self, number: int) -> DeferredPicture:
        """The picture of an image, decoded again when its pixels are needed and no longer cached. Raises BadImage."""
        return deferred(lambda: self._read(number), self._file(number))

    def picture_of(self, sha: str, page: int = 1, window: Window | None = None) -> DeferredPicture | None:
        """The picture of an image that has been read and can still be read. Raises BadImage for a page it has not."""
        number = self.number_of(sha)
        try:
            if number is None or (page == 1 and not window):
                return None if number is None else self.picture(number)
            read = partial(changed, self._cache, sha, page, window, lambda: self._decoded(number, window, page))
            return deferred(read, self._file(number))
        except VitrineError:
            if page > 1:
                raise
            return None

    def true_class(self, sha: str, labels: tuple[str, ...]) -> int | None:
        """The class, among those of a model, that the class folder of an image names.

        None if there is none, or if copies of the image that have been read lie in different folders.
        """
        numbers = {self.folder.labels[number] for number, known in list(self._shas.items()) if known == sha}
        number = numbers.pop() if len(numbers) == 1 else UNKNOWN
        return None if number == UNKNOWN else _classes(self.folder.folders, labels).get(self.folder.folders[number])

    def thumbnail(self, number: int) -> bytes:
        """A small JPEG of an image, empty if it cannot be read."""
        try:
            return self._cache.get(self._key(number), lambda: encoding.thumbnail(self._read(number).pixels))
        except VitrineError:
            return b""

    def thumbnails(self) -> dict[int, bytes]:
        """Those of the page that are ready."""
        ready = {number: self._cache.peek(self._key(number)) for number in self.numbers()}
        return {number: content for number, content in ready.items() if isinstance(content, bytes)}

    def draw(self, report: Report) -> None:
        """Make the thumbnails of the page."""
        for number in self.numbers():
            report(0.0, "")
            self._cache.put(self._key(number), self.thumbnail(number))

    def _key(self, number: int) -> tuple[str, str]:
        return ("thumbnail", self.item(number))

    def _read(self, number: int) -> Picture:
        known = self._shas.get(number)
        cached = self._cache.peek(("picture", known)) if known else None
        if isinstance(cached, Picture):
            return cached
        picture = self._decoded(number)
        self._shas[number] = picture.sha
        self._cache.put(("picture", picture.sha), picture)
        return picture

    def _decoded(self, number: int, window: Window | None = None, page: int = 1) -> Picture:
        root = self.folder.root
        file = (root / self.path(number)).resolve()
        if not (file.is_relative_to(root.resolve()) or visitors.may_read(file)):  # a link leads out of it
            raise BadImage(f"{self.path(number)} lies outside the folders of this server.", "Choose another image.")
        return read_picture(root, self.path(number), window, page)

    def _file(self, number: int) -> str:
        path = self.folder.root / self.path(number)
        return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)


def changed(cache: TensorCache, sha: str, page: int, window: Window | None, read: Callable[[], Picture]) -> Picture:
    """A page of a file in a window; the cache holds one for each file, as a slider passes many."""
    known = cache.peek(("changed", sha))
    if isinstance(known, Picture) and (known.page, known.window) == (page, window):
        return known
    picture = read()
    cache.put(("changed", sha), picture)
    return picture


@lru_cache(maxsize=8)
def _classes(folders: tuple[str, ...], labels: tuple[str, ...]) -> Mapping[str, int]:
    """The classes by the names of their folders."""
    return folder_classes(folders, labels)[0]


def opened(path: Path, cache: TensorCache, report: Report) -> OpenFolder:
    """The folder or zip archive at a path, of which a shared server lists no more than `visitors.IMAGES`.

    Raises as `scan`, Unavailable and BadParameter for a folder that this visitor may not read.
    """
    folder = scan(visitors.permitted(str(path)), report)
    limited = folder.limited(visitors.IMAGES) if visitors.shared() else folder
    return OpenFolder(limited, cache, path.name or str(path), len(folder))
