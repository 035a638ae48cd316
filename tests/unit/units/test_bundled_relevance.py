"""The bundled relevance of filters: small, undamaged, of the bundled networks, and built by the commands beside it."""

import re
import shlex
from pathlib import Path

import pytest

from core.cli import parser
from core.explain.filter_relevance import BUNDLED, StoredRelevance, stored_for
from core.models import load
from core.resources import ASSETS
from core.units.store import UnitStore

README = (BUNDLED / "README.md").read_text("utf-8")
NETWORKS = sorted(path.stem for path in (ASSETS / "models").glob("*.json"))
LARGEST = 300_000  # bytes of each


def commands() -> list[list[str]]:
    """The words of each command of the README, without `vitrine`."""
    block = re.findall(r"^```\n(.*?)^```", README, re.DOTALL | re.MULTILINE)[0]
    return [shlex.split(line)[1:] for line in block.splitlines()]


def test_there_is_one_of_every_bundled_network() -> None:
    assert sorted(path.name for path in BUNDLED.iterdir() if path.is_dir()) == [f"{one}-relevance" for one in NETWORKS]


@pytest.mark.parametrize("name", NETWORKS)
def test_it_is_small_undamaged_and_of_its_network(name: str) -> None:
    path = BUNDLED / f"{name}-relevance"
    store = UnitStore(path)
    assert store.damaged() == []
    assert store.tables["weights"]["weight"].abs().groupby(store.tables["weights"]["label"]).sum().max() <= 5 + 1e-3
    assert StoredRelevance(path).manifest.model.sha == load(name).sha
    assert stored_for(load(name)) == path
    assert sum(file.stat().st_size for file in path.iterdir()) < LARGEST


@pytest.mark.parametrize("name", NETWORKS)
def test_the_readme_has_its_commands(name: str) -> None:
    asked = [parser(whole=True).parse_args(words) for words in commands()]
    (build,) = [one for one in asked if Path(one.out).name == f"{name}-relevance"]
    manifest = UnitStore(BUNDLED / f"{name}-relevance").manifest
    assert (build.model, build.data) == (manifest.config["model"], manifest.config["data"])
    assert build.set == [f"mu={manifest.config['settings']['mu']:g}"]
    (drawn,) = [one for one in asked if str(one.out) == build.data]
    assert int(drawn.per_class) * len(load(name).labels) == manifest.tables["images"].rows
