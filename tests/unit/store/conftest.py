"""What the tests of the store share."""

import pytest

from core.study import Study
from tests.small_studies import SMALL


@pytest.fixture
def small_studies(monkeypatch):
    """Studies may have the few tables and arrays of `tests.small_studies`."""
    monkeypatch.setattr("core.study.STUDY", SMALL)
    monkeypatch.setattr(Study, "has_images", lambda study, root: False)  # there are none to recognise a folder by
