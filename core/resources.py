"""Paths of the bundled files: next to `core` in a checkout, inside it in an installed wheel."""

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
        from importlib import metadata

        return metadata.version("vitrine")
    import tomllib

    return str(tomllib.loads(project.read_text("utf-8"))["project"]["version"])


def versions(*names: str) -> dict[str, str]:
    """The versions of installed packages, for the identity of stored results."""
    from importlib import metadata

    return {name: metadata.version(name) for name in names}
