"""Pictures whose pixels are decoded when they are needed, for more images than fit into memory."""

from collections.abc import Callable

from core.data.model_options import Channels
from core.errors import BadImage
from core.images.decode import Picture, shown
from core.images.depth import Pixels, Values


class DeferredPicture(Picture):
    """A picture that holds only what is known of its file; reading its pixels decodes them."""

    def __init__(self, picture: Picture, read: Callable[[], Picture], file: str) -> None:
        known = {name: getattr(picture, name) for name in ("name", "sha", "note", "scale", "window", "page", "pages")}
        for field, value in {**known, "_read": read, "_file": file}.items():
            object.__setattr__(self, field, value)

    _read: Callable[[], Picture]
    _file: str

    @property
    def file(self) -> str:
        """How a command line names its file."""
        return self._file

    @property
    def pixels(self) -> Pixels:
        """Its pixels in 8 bits. Raises BadImage if the file cannot be read any more or is another one by now."""
        return self._picture().pixels

    @property
    def values(self) -> Values | None:
        """The values that networks see, where they have more than 8 bits. Raises as `pixels`."""
        return self._picture().values

    @property
    def layers(self) -> Pixels | Values | None:
        """Colours and alpha, where parts are transparent. Raises as `pixels`."""
        return self._picture().layers

    @property
    def source(self) -> Pixels | Values:
        """What preprocessing for a network begins with. Raises as `pixels`."""
        return self._picture().source

    def source_for(self, channels: Channels) -> Pixels | Values:
        """The source for a network with these channels. Raises as `pixels`."""
        return self._picture().source_for(channels)

    def _picture(self) -> Picture:
        picture = self._read()
        if picture.sha != self.sha:
            raise BadImage(f"{shown(self.name)} has changed since it was opened.", "Open it again.")
        return picture


def deferred(read: Callable[[], Picture], file: str = "") -> DeferredPicture:
    """The picture that `read` decodes now and whenever its pixels are needed; `file` is how a command line names it.

    Raises what `read` raises.
    """
    picture = read()
    return DeferredPicture(picture, read, file or picture.name)
