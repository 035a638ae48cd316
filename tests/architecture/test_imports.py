"""Who may import whom: the table that core/README.md explains."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# A module may import what stands in an earlier line, and its own package.
LAYERS = (
    ("errors", "resources", "randomness"),
    ("registry",),
    ("params", "progress", "serialization"),
    ("environment", "files", "card", "data.model_options"),
    ("network", "network.hooks", "network.operations", "cache", "jobs", "images", "store", "data.labels"),
    (
        "network.inspection",
        "network.inference",
        "network.receptive_field",
        "figures",
        "study",
        "engine",
        "models.output",
        "models.name",
        "models.trial",
    ),
    ("models.source",),
    ("models.model", "network.incremental"),
    ("network.throughput",),
    ("network.half_precision", "models", "data", "explain"),
    ("measure", "study.heatmaps"),
    ("study.plan", "study.unfinished", "figures.curves"),
    ("mining", "units", "tables", "figures.curve_file", "figures.means"),
    ("study.shard", "figures.tables"),
    ("study.build", "study.browse", "train", "exam", "review"),
    ("workbench",),
    ("edits",),
    ("export",),
    ("comparison", "stored_maps"),
    ("commands", "door"),
    ("cli",),
    ("__main__",),
)

# The same for the parts of pages: `pages.ui.session` may import nothing of `pages.ui.widgets`.
ROOMS = (
    ("components", "session"),
    ("widgets",),
    ("explore", "study"),
    ("what_if",),
    ("classes", "exam", "failures", "measure", "tables", "units"),
    ("bias", "passport", "two_models"),
    ("shell",),
    ("main",),
)

# These packages are imported in one place each.
PLACES = {
    "captum": ("core.explain",),
    "fim": ("core.mining.itemsets",),
    "matplotlib": (
        "core.figures.boxes",
        "core.figures.curve_file",
        "core.figures.units.detectors",
        "core.figures.means",
        "core.figures.reliability",
        "core.figures.sheet",
        "core.figures.units.unit_map",
    ),
    "plotly": ("core.figures",),
    "pydicom": ("core.images.dicom",),
    "shtab": ("core.cli",),
    "statsmodels": ("core.tables",),
    "streamlit": ("app", "pages"),
    "torchvision": ("core.models.sources.imagenet", "core.models.sources.torchvision"),
}

SOURCES = [ROOT / "app.py", *sorted((ROOT / "core").rglob("*.py")), *sorted((ROOT / "pages").rglob("*.py"))]


def name_of(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(path):
    """The modules a file imports anywhere in it; `from core.explain import cam` counts as both core.explain and cam."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{name_of(path)}: write `from core.part import name`, not a relative import"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names if is_module(node.module, alias.name))


def is_module(package, name):
    folder = ROOT.joinpath(*package.split("."))
    return (folder / f"{name}.py").exists() or (folder / name / "__init__.py").exists()


def within(name, place):
    return name == place or name.startswith(f"{place}.")


def entry_of(module, package="core", table=LAYERS):
    """The longest entry of the table that holds a module of the package, and its layer."""
    part = module.removeprefix(f"{package}.")
    found = [(entry, k) for k, layer in enumerate(table) for entry in layer if within(part, entry)]
    return max(found, key=lambda pair: len(pair[0]), default=(None, None))


def may_import(importer, imported, package="core", table=LAYERS):
    (own, layer), (entry, below) = entry_of(importer, package, table), entry_of(imported, package, table)
    return entry == own or below < layer


def complaint(importer, imported):
    """Why a module may not import another one of ours or a package; "" if it may."""
    package = imported.partition(".")[0]
    if within(imported, "core"):
        if within(importer, "core"):
            if imported == "core" or importer == "core":
                return "import from the part that defines the name"
            return "" if may_import(importer, imported) else "it stands in the same or a later line of LAYERS"
        behind = within(imported, "core.commands") or within(imported, "core.cli")
        return "pages know nothing of the command line" if behind else ""
    if within(imported, "pages"):
        if within(importer, "core") or (within(importer, "pages.ui") and not within(imported, "pages.ui")):
            return "imports go from app to pages to pages.ui to core"
        if within(importer, "pages.ui") and imported != "pages.ui":
            return (
                ""
                if may_import(importer, imported, "pages.ui", ROOMS)
                else "it stands in the same or a later line of ROOMS"
            )
        return ""
    if package == "torch" and not within(importer, "core"):
        return "tensors stay inside core"
    if package in PLACES and not any(within(importer, place) for place in PLACES[package]):
        return f"only {', '.join(PLACES[package])} may"
    return ""


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_imports_go_one_way(path):
    importer = name_of(path)
    found = {imported: complaint(importer, imported) for imported in imports_of(path)}
    wrong = [f"{imported}: {why}" for imported, why in found.items() if why]
    assert not wrong, f"{importer} imports {'; '.join(wrong)}"


@pytest.mark.parametrize("path", [p for p in SOURCES if name_of(p).startswith(("core.", "pages.ui."))], ids=name_of)
def test_every_module_has_a_line(path):
    name = name_of(path)
    if within(name, "core"):
        assert entry_of(name)[0], f"write {name} into LAYERS here and into the table of core/README.md"
    else:
        assert entry_of(name, "pages.ui", ROOMS)[0], f"write {name} into ROOMS here"


def test_every_line_has_a_module():
    modules = {name_of(path).removeprefix("core.") for path in SOURCES}
    assert {entry for layer in LAYERS for entry in layer} <= modules


@pytest.mark.parametrize(
    ("importer", "imported"),
    [
        ("core.export", "core.workbench"),
        ("core.models.sources.torchvision", "core.models.weights"),
        ("core.models.sources.torchvision", "torchvision.models"),
        ("core.explain.query", "core.models.model"),
        ("pages.explore.compare", "pages.ui.session.state"),
        ("pages.ui.session.state", "streamlit"),
    ],
)
def test_the_table_allows(importer, imported):
    assert not complaint(importer, imported)


@pytest.mark.parametrize(
    ("importer", "imported"),
    [
        ("core.workbench", "core.export"),
        ("core.explain.query", "core.models"),
        ("core.figures.sheet", "core.explain"),
        ("core.params", "core.serialization"),
        ("core.workbench", "core"),
        ("core.workbench", "streamlit"),
        ("core.workbench", "pages.ui.session.state"),
        ("core.train", "torchvision.models"),
        ("pages.ui.session.state", "pages.explore.compare"),
        ("pages.ui.session.state", "core.commands.explain"),
        ("pages.ui.widgets.show", "torch.nn"),
    ],
)
def test_the_table_refuses(importer, imported):
    assert complaint(importer, imported)


def test_no_script_lies_directly_in_pages():
    """Streamlit would serve it by its own menu to the first visitor of a deep link."""
    assert not list((ROOT / "pages").glob("*.py"))


def test_parts_of_the_browser_write_no_markup():
    """Names of files and labels are anybody's: what shows them makes nodes and texts."""
    scripts = sorted((ROOT / "pages").rglob("*.js"))
    assert scripts
    for path in scripts:
        found = re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(", path.read_text("utf-8"))
        assert found == [], path.name


def test_the_readme_shows_the_same_table():
    rows = (ROOT / "core" / "README.md").read_text("utf-8").splitlines()
    shown = [row.split("|")[2].replace("`", "").strip() for row in rows if row.startswith("| ") and row[2].isdigit()]
    assert shown == [", ".join(layer) for layer in LAYERS]
