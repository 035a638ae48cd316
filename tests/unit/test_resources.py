"""Versions of installed packages."""

import sys
from importlib import metadata
from pathlib import Path

import PIL
import pytest

from core.resources import version, versions


def test_a_missing_package_is_named():
    assert version().count(".") == 2
    assert list(versions("pillow", "numpy")) == ["pillow", "numpy"]
    with pytest.raises(metadata.PackageNotFoundError, match="no-such-package"):
        versions("no-such-package")


def test_a_package_is_found_while_another_thread_changes_the_path(monkeypatch, tmp_path):
    """As Streamlit does at the end of every run."""
    first, site, search = str(tmp_path), str(Path(PIL.__file__).parents[1]), metadata.FastPath.search

    def interrupted(folder, name):
        if folder.root == first and first in sys.path:
            sys.path.remove(first)
        return search(folder, name)

    monkeypatch.setattr(metadata.FastPath, "search", interrupted)
    monkeypatch.setattr(sys, "path", [first, site])
    assert versions("pillow")["pillow"] == PIL.__version__
    assert first not in sys.path
