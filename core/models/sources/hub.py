"""Downloads from the Hugging Face hub into its own cache, with progress and one sentence per failure."""

from collections.abc import Callable, Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

from core.errors import Unavailable, UnknownName, VitrineError, brief
from core.models.source import package
from core.progress import Report

Choice = Callable[[Sequence[str]], Sequence[str]]  # from the names of a repository's files to those that are needed


def repository(name: str, revision: str, needed: Choice, extra: str, report: Report) -> Path:
    """The folder with the needed files of a repository, downloaded unless they are in the cache of the hub.

    `needed` raises what should be said about a repository that lacks something. Raises Unavailable without a
    connection or the package of the `extra`, UnknownName for a repository or revision that does not exist.
    """
    hub = package("huggingface_hub", extra)
    errors = package("huggingface_hub.errors", extra)
    hub.utils.logging.set_verbosity_error()  # what goes wrong is raised
    known = {"revision": revision} if revision else {}
    if folder := _cached(hub, errors, name, known, needed):
        return folder
    report(0.0, f"looking {name} up")
    try:
        files = hub.HfApi().model_info(name, **known).siblings or ()
        names = needed([file.rfilename for file in files])
        paths = [
            Path(hub.hf_hub_download(name, file, tqdm_class=_bar(report, k, len(names)), **known))
            for k, file in enumerate(names)
        ]
    except errors.GatedRepoError:
        message = f"{name} is given only to people who accepted its terms."
        raise Unavailable(message, "Accept them on its page, and sign in with `hf auth login`.") from None
    except errors.RevisionNotFoundError:
        raise UnknownName(f"{name} has no revision {brief(revision, 60)!r}.", "Give a branch, tag or commit.") from None
    except (errors.RepositoryNotFoundError, errors.HFValidationError):
        message = f"There is no model {brief(name, 80)!r} on the Hugging Face hub that you can read."
        raise UnknownName(message, "Check ORG/NAME, or give an existing folder saved by save_pretrained.") from None
    except (errors.HfHubHTTPError, errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled, OSError) as error:
        raise _offline(name, error) from None
    except Exception as error:
        if type(error).__module__.partition(".")[0] not in ("httpx", "httpx2", "httpcore", "hf_xet"):
            raise
        raise _offline(name, error) from None
    return paths[0].parents[len(Path(names[0]).parts) - 1]


def cached(extra: str) -> Mapping[str, Path]:
    """The folders of the repositories in the cache of the hub by ORG/NAME, each of its main revision or the last one.

    Raises Unavailable without the package of the `extra`.
    """
    hub, errors = package("huggingface_hub", extra), package("huggingface_hub.errors", extra)
    place = package("huggingface_hub.constants", extra).HF_HUB_CACHE
    try:
        found = [repo for repo in hub.scan_cache_dir(place).repos if repo.repo_type == "model" and repo.revisions]
    except (errors.CacheNotFound, OSError, ValueError):
        return {}

    def latest(repo: Any) -> Path:
        revisions = sorted(repo.revisions, key=lambda one: ("main" in one.refs, one.last_modified, one.commit_hash))
        return Path(revisions[-1].snapshot_path)

    return {repo.repo_id: latest(repo) for repo in sorted(found, key=lambda one: one.repo_id)}


def _cached(hub: Any, errors: Any, name: str, known: dict[str, str], needed: Choice) -> Path | None:
    """The folder of a repository in the cache, if it has all that is needed."""
    try:
        folder = Path(hub.snapshot_download(name, local_files_only=True, **known))
        names = needed([path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()])
    except (errors.LocalEntryNotFoundError, errors.HFValidationError, VitrineError, OSError, ValueError):
        return None
    return folder if names else None


def _offline(name: str, error: Exception) -> Unavailable:
    reason = brief(" ".join(str(error).split()) or type(error).__name__, 80)
    message = f"{name} could not be downloaded ({reason})."
    return Unavailable(message, "Connect this machine to the internet, or give weights of this machine.")


def _bar(report: Report, number: int, count: int) -> type:
    """A progress bar for one of `count` files, which reports instead of drawing."""
    from tqdm import tqdm

    class Bar(tqdm):
        def __init__(self, *words: Any, **options: Any) -> None:
            options.pop("name", None)
            super().__init__(*words, **{**options, "disable": False, "file": StringIO()})

        def update(self, n: float | None = 1) -> bool | None:
            """Called for every piece."""
            shown = super().update(n)
            total = self.total or self.n or 1
            size = f"{self.n / 1e6:.0f} of {total / 1e6:.0f} MB"
            report((number + min(1.0, self.n / total)) / count, f"downloading weights, {size}")
            return shown

    return Bar
