"""The state of a session: uploads, cached results, running work, notices; examples of all sessions."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar
from weakref import WeakSet

import streamlit as st
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.scriptrunner import get_script_run_ctx
from streamlit.runtime.uploaded_file_manager import UploadedFile

from core.cache import TensorCache
from core.comparison import Assessment, Comparison
from core.data.samples import Sample
from core.data.samples import samples as bundled_samples
from core.environment import budget
from core.errors import BadImage, TooLarge
from core.images import DeferredPicture, Picture, Window, decode, deferred
from core.jobs import Job
from core.models import FLOWERS
from core.progress import Report
from core.stored_maps.reader import StoredMaps
from pages.ui.session import opened_models, visitors
from pages.ui.session.open_folder import OpenFolder, changed
from pages.ui.session.opened_models import OpenedModel
from pages.ui.session.shared_images import TrueClass, shared_images
from pages.ui.session.shared_networks import UsedNetworks

T = TypeVar("T")
Level = str  # "error", "warning" or "info"

_sessions: "WeakSet[Session]" = WeakSet()  # all that are alive
_listing = Lock()  # held while that list is read or grows


class Session:
    """Everything one session stores in memory; freed when its tab closes."""

    def __init__(self) -> None:
        upload_budget = budget() // 4
        self.files = TensorCache(upload_budget)  # uploaded files, by hash, and masks
        self.cache = TensorCache(budget() - upload_budget)  # decoded pictures, activations and finished maps
        self.names: dict[str, str] = {}  # names of uploads, by hash, in order of upload
        self.true: dict[str, TrueClass] = {}  # true classes of uploads, by hash, as far as the user said them
        self.owner = object()  # of the images that this session shares; sharing outlives the session
        self.models: dict[str, OpenedModel] = {}  # opened beside the list, by name
        self.networks = UsedNetworks(self.owner)
        self.dropped: dict[str, Path] = {}  # uploaded files of a model that is not opened yet, by kind
        self.comparison: Comparison | None = None
        self.assessment: Assessment | None = None  # of the comparison's maps
        self.folder: OpenFolder | None = None
        self.maps: StoredMaps | None = None  # of the images of a folder, computed before
        self.jobs: list[Job[Any]] = []  # other running work, cancelled with the session
        with _listing:
            _sessions.add(self)

    def add(self, data: bytes, name: str, true: TrueClass | None = None) -> Picture:
        """Store an uploaded file, with its true class if known, and return its picture. Raises BadImage."""
        picture = decode(data, name)
        check_room(len(data))
        self.files.put(picture.sha, data)
        self.cache.put(("picture", picture.sha), picture)
        self.names[picture.sha] = name
        if true:
            self.true[picture.sha] = true
        return picture

    def uploads(self) -> dict[str, str]:
        """Names by hash of the uploads still in memory; the oldest are evicted when memory is needed."""
        self.names = {sha: name for sha, name in self.names.items() if self.files.peek(sha) is not None}
        return dict(self.names)

    def upload(self, sha: str, page: int = 1, window: Window | None = None) -> Picture | None:
        """The picture of an upload of this session, or of one that another shares; None for any other.

        Raises BadImage for a page that the file does not have.
        """
        data = self.files.peek(sha)
        if not isinstance(data, bytes):
            if self.folder and (found := self.folder.picture_of(sha, page, window)):
                return found
            shared = shared_images().get(sha)
            if not shared:
                return None
            self.add(*shared)
            return self.upload(sha, page, window)
        if page > 1 or window:
            return changed(self.cache, sha, page, window, lambda: decode(data, self.names[sha], window, page))
        return self.cache.get(("picture", sha), lambda: decode(data, self.names[sha]))

    def deferred(self, sha: str) -> DeferredPicture:
        """An upload of this session that is decoded when it is needed. Raises BadImage once it is deleted."""
        files, cache, name = self.files, self.cache, self.names[sha]

        def read() -> Picture:
            data = files.peek(sha)
            if not isinstance(data, bytes):
                raise BadImage(f"{name} was deleted.", "Upload it again.")
            return cache.get(("picture", sha), lambda: decode(data, name))

        return deferred(read)

    def label(self, sha: str, true: TrueClass | None) -> None:
        """Set or forget the true class of an upload, also where it is shared."""
        if sha not in self.uploads():
            return
        self.true.pop(sha, None)
        if true:
            self.true[sha] = true
        if sha in self.shared():
            self.share(sha)

    def remove(self, sha: str) -> None:
        """Delete an upload and no longer share it; maps computed from it stay until the cache is cleared."""
        if self.names.pop(sha, None) is not None:
            self.true.pop(sha, None)
            self.files.discard(sha)
            self.files.discard(("mask", sha))
            for kind in ("picture", "changed", "thumbnail"):
                self.cache.discard((kind, sha))
            self.withdraw(sha)

    def share(self, sha: str) -> None:
        """Share an upload with whoever has its link. Raises TooLarge if the server holds too many."""
        data = self.files.peek(sha)
        if isinstance(data, bytes):
            shared_images().add(sha, data, self.names[sha], self.owner, self.true.get(sha))

    def withdraw(self, sha: str) -> None:
        """No longer share an upload."""
        shared_images().withdraw(sha, self.owner)

    def shared(self) -> set[str]:
        """The hashes of the uploads that this session shares."""
        return shared_images().shared_by(self.owner)

    def start(self, work: Callable[[Report], T], title: str) -> Job[T]:
        """Start `work(report)` in a thread; it is cancelled when the session ends."""
        job = Job(work, title)
        self.jobs = [*(one for one in self.jobs if one.running), job]
        return job

    def compare(self, comparison: Comparison | None) -> None:
        """Replace the comparison: work on the last one, and on the measures of its maps, is cancelled."""
        if self.comparison:
            self.comparison.cancel()
        self.comparison = comparison
        self.assess(None)

    def assess(self, assessment: Assessment | None) -> None:
        """Replace the measures of the comparison's maps; work on the last ones is cancelled."""
        if self.assessment:
            self.assessment.cancel()
        self.assessment = assessment

    def free(self) -> None:
        """Clear all cached results; uploads stay."""
        self.compare(None)
        self.cache.clear()

    def close(self) -> None:
        """End the session: cancel its work and free its memory; must be fast, as it runs in the server's event loop."""
        self.compare(None)
        for job in self.jobs:
            job.cancel()
        self.folder = self.maps = None
        self.jobs.clear()
        self.names.clear()
        self.models.clear()
        self.networks.leave()
        for path in self.dropped.values():
            opened_models.discard(path)
        self.files.close()
        self.cache.close()


@st.cache_resource(scope="session", show_spinner=False, on_release=Session.close)
def session() -> Session:
    """The current session."""
    return Session()


def sessions() -> list[Session]:
    """All sessions that are alive."""
    with _listing:
        return list(_sessions)


def check_room(size: int) -> None:
    """Raise TooLarge if the uploads of all visitors of a shared server would take too much memory."""
    if not visitors.shared():
        return
    used = sum(one.files.used for one in sessions())
    if used + size > visitors.UPLOADS << 20:
        message = f"This server holds no more than {visitors.UPLOADS:,} MB of uploaded images."
        raise TooLarge(message, "Try again when others have closed their tabs.")


def received(files: Sequence[object]) -> Iterator[tuple[str, bytes]]:
    """The names and contents of uploaded files, removed from Streamlit's memory, which would outlive the tab.

    One that was received before is left out: a run that is interrupted before it renews the uploader is followed by
    another one for the same file.
    """
    for file in files:
        if isinstance(file, UploadedFile):
            content = file.getvalue()
            context = get_script_run_ctx()
            if context and isinstance(context.uploaded_file_mgr, MemoryUploadedFileManager):
                context.uploaded_file_mgr.remove_file(context.session_id, file.file_id)
            yield file.name, content


def add_notice(level: Level, text: str) -> None:
    """Add a sentence for the top of the page, shown once, on the next run."""
    st.session_state.setdefault("notices", []).append((level, text))


def pop_notices() -> list[tuple[Level, str]]:
    """Remove and return the sentences of `add_notice`."""
    notices: list[tuple[Level, str]] = st.session_state.pop("notices", [])
    st.session_state["shown_notices"] = [*st.session_state.get("shown_notices", []), *notices]
    return notices


def forget_notices() -> None:
    """Start a run: drop the notices that the last one showed."""
    st.session_state["shown_notices"] = []


def repeat_notices() -> None:
    """Show the notices of this run again in the next, which starts automatically, as when a job has ended."""
    st.session_state["notices"] = [*st.session_state.get("shown_notices", []), *st.session_state.get("notices", [])]


def add_problem(text: str) -> None:
    """Add a sentence about what a link names in vain; it stays until it is dismissed or another page is opened."""
    problems = st.session_state.setdefault("problems", [])
    if text not in problems:
        problems.append(text)


def problems() -> list[str]:
    """The sentences of `add_problem`."""
    return list(st.session_state.get("problems", []))


def forget_problems() -> None:
    """Drop the sentences of `add_problem`."""
    st.session_state["problems"] = []


@cache
def samples() -> Mapping[str, Sample]:
    """The bundled examples by file name, shared by all sessions."""
    return {one.path.name: one for one in bundled_samples()}


def suits(example: Sample, model: str) -> bool:
    """Whether an example suits a model: flowers for models of flowers, photos for others."""
    return flowers(example.model) == flowers(model)


def flowers(model: str) -> bool:
    """Whether a model of this name classifies flowers, with bundled or own weights."""
    return model.startswith(FLOWERS)


@st.cache_resource(show_spinner=False, max_entries=64)
def sample(path: Path) -> Picture:
    """A bundled example, decoded once for all sessions."""
    return decode(path.read_bytes(), path.name)
