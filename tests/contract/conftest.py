"""A relevance of filters for every network, so that VEBI keeps what all methods keep."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from core.explain.filter_relevance import Features, Relevance
from core.explain.methods import relevant_filters
from core.models.model import Model


def _relevance_for(model: Model, name: str = "") -> SimpleNamespace:
    """Equal weights of all filters of the default layer."""
    assert not name
    facts = model.survey.layer(model.resolve_layer())
    assert facts
    features = Features(((facts.name, facts.units),))
    return SimpleNamespace(relevance=Relevance(features, np.ones((len(model.labels), facts.units))), source="made up")


@pytest.fixture(scope="module", autouse=True)
def _stored_relevance() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(relevant_filters, "stored_for", lambda model: Path("made up"))
        patch.setattr(relevant_filters, "relevance_for", _relevance_for)
        yield
