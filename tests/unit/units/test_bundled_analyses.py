"""The bundled analyses of units: small, undamaged, of the bundled networks, and built by the commands beside them."""

import re
import shlex
from pathlib import Path

import pytest

from core.cli import parser
from core.errors import Unavailable
from core.explain.filter_relevance import StoredRelevance, stored_for
from core.export.command import analysis_command
from core.models import load
from core.resources import ASSETS
from core.units import drawn_flowers
from core.units.listing import BUNDLED, list_analyses
from core.units.store import UnitStore
from tests import nets

README = (BUNDLED / "README.md").read_text("utf-8")
NETWORKS = sorted(path.stem for path in (ASSETS / "models").glob("*.json"))
FOUND = list_analyses(BUNDLED)
LARGEST = 4_000_000  # bytes of all together


def commands() -> list[str]:
    """The commands of the README."""
    block = re.findall(r"^```\n(.*?)^```", README, re.DOTALL | re.MULTILINE)[0]
    return block.splitlines()


def test_they_are_small_and_there_is_a_relevance_of_every_network() -> None:
    names = sorted(path.name for path in BUNDLED.iterdir() if path.is_dir())
    assert sorted(path.name for path in FOUND) == names
    assert {f"{one}-relevance" for one in NETWORKS} <= set(names)
    assert sum(file.stat().st_size for file in BUNDLED.rglob("*")) < LARGEST


@pytest.mark.parametrize("path", FOUND, ids=lambda path: path.name)
def test_each_is_undamaged_and_of_its_network(path: Path) -> None:
    store = FOUND[path]
    assert isinstance(store, UnitStore), store
    assert store.damaged() == []
    assert store.manifest.model.sha == load(store.manifest.model.name).sha
    assert store.name == f"{store.manifest.model.name}-{store.analysis.name}"


@pytest.mark.parametrize("name", NETWORKS)
def test_relevance_keeps_its_bound_and_is_found(name: str) -> None:
    path = BUNDLED / f"{name}-relevance"
    weights = UnitStore(path).tables["weights"]
    assert weights["weight"].abs().groupby(weights["label"]).sum().max() <= 5 + 1e-3
    assert StoredRelevance(path).manifest.model.sha == load(name).sha
    assert stored_for(load(name)) == path


@pytest.mark.parametrize("name", NETWORKS)
def test_their_flowers_are_drawn_again_as_the_readme_says(name: str) -> None:
    model = load(name)
    line = next(one for one in commands() if one.startswith("vitrine flowers") and one.endswith(f"--out {name}"))
    words = shlex.split(line)
    facts = {option: words[words.index(f"--{option}") + 1] for option in ("variant", "per-class", "seed")}
    assert facts["variant"] == model.facts["variant"]
    assert int(facts["per-class"]) == drawn_flowers.PER_CLASS[facts["variant"]]
    assert int(facts["seed"]) == drawn_flowers.SEED
    assert drawn_flowers.flower_count(model) == UnitStore(BUNDLED / f"{name}-relevance").manifest.tables["images"].rows


def test_flowers_are_drawn_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path / "home"))
    monkeypatch.setitem(drawn_flowers.PER_CLASS, "part-2c", 1)
    store, model = UnitStore(BUNDLED / "flowers-part-2c-relevance"), load("flowers-part-2c")
    folder = drawn_flowers.images_of(store, model)
    names = [path.relative_to(folder / "images").as_posix() for path in sorted(folder.glob("images/*/*"))]
    assert names == [name for name in store.tables["images"]["name"] if name in names]
    before = [path.stat().st_mtime_ns for path in sorted(folder.rglob("*"))]
    assert drawn_flowers.images_of(store, model) == folder
    assert [path.stat().st_mtime_ns for path in sorted(folder.rglob("*"))] == before
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]
    with pytest.raises(Unavailable, match="was not trained on flowers"):
        drawn_flowers.drawn_flowers(nets.model("gap"))


@pytest.mark.parametrize("path", FOUND, ids=lambda path: path.name)
def test_the_readme_has_the_command_of_each(path: Path) -> None:
    store = FOUND[path]
    assert isinstance(store, UnitStore), store
    config = store.manifest.settings
    defaults, chosen = store.analysis.defaults, dict(config.settings)
    changed = {name: value for name, value in chosen.items() if value != defaults[name]}
    layers = () if store.analysis.name == "relevance" else config.layers  # those that it reads by default
    built = commands()
    line = analysis_command(type(config)(**{**vars(config), "settings": changed, "layers": layers}), path.name)
    assert line in built
    (drawn,) = [
        parser(whole=True).parse_args(shlex.split(one)[1:]) for one in built if one.endswith(f"--out {config.data}")
    ]
    assert int(drawn.per_class) * len(load(config.model).labels) == store.manifest.tables["images"].rows
