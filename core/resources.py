"""Paths of the bundled files: next to `core` in a checkout, inside it in an installed wheel."""

import sys
from pathlib import Path

# pyproject.toml puts top-level files of a checkout into this folder of the wheel; a checkout lacks it.
_SHIPPED = Path(__file__).resolve().parent / "shipped"
ROOT = _SHIPPED if _SHIPPED.is_dir() else _SHIPPED.parents[1]  # contains app.py, pages, assets and .streamlit
ASSETS = ROOT / "assets"


def package_folder(name: str) -> Path | None:
    """The folder of an installed package, found without importing it; None where it is not installed."""
    from importlib.util import find_spec

    spec = find_spec(name)
    return Path(spec.submodule_search_locations[0]) if spec and spec.submodule_search_locations else None


def version() -> str:
    """The version of Vitrine: that of the checkout, else that of the installed package."""
    project = ROOT / "pyproject.toml"
    if not project.is_file():
        return versions("vitrine")["vitrine"]
    import tomllib

    return str(tomllib.loads(project.read_text("utf-8"))["project"]["version"])


def versions(*names: str) -> dict[str, str]:
    """The versions of installed packages, which identify stored results. Raises PackageNotFoundError for others."""
    from importlib import metadata

    found = {}
    for name in names:
        # A copy: while another thread changes the list, an iteration can skip the folder that has the package.
        here = next(iter(metadata.distributions(name=name, path=[*sys.path])), None)
        if here is None:
            raise metadata.PackageNotFoundError(name)
        found[name] = here.version
    return found
