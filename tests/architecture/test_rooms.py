"""Folders stay small enough to read, and every module says in its first line what it is."""

import ast
import re
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
KINDS = (".py", ".js", ".css")
MOST = 15  # modules of one kind in a folder, beside its own `__init__` and `__main__`
SHARE = 0.25  # of the lines of core and pages


def sources(*folders):
    """The source files below some folders; other people's code is not ours to cut."""
    found = [path.relative_to(ROOT) for name in folders for path in sorted((ROOT / name).rglob("*"))]
    return [path for path in found if path.suffix in KINDS and not {"vendor", "node_modules"} & set(path.parts)]


def crowded(paths):
    """Folders with too many files of one kind, sub-folders not counted."""
    counts = Counter((path.parent.as_posix(), path.suffix) for path in paths if not path.stem.startswith("__"))
    return [f"{folder}: {count} files {kind}" for (folder, kind), count in counts.items() if count > MOST]


def heavy(lines):
    """Folders with too large a share of all lines: their own files, and for a package of core all that is below it."""
    counts = Counter()
    for path, count in lines.items():
        counts[path.parent.as_posix()] += count
        if len(path.parts) > 3 and path.parts[0] == "core":
            counts["/".join(path.parts[:2])] += count
    total = sum(lines.values())
    return [f"{folder}: {count} of {total} lines" for folder, count in counts.items() if count >= SHARE * total]


def complaint(text):
    """What is wrong with the first line of a module's docstring; "" if nothing is."""
    first = (ast.get_docstring(ast.parse(text)) or "").partition("\n")[0]
    if not first.endswith("."):
        return f"{first!r} does not end with a full stop"
    if len(first) >= 120:
        return f"{first!r} is too long"
    if re.match(r"(What|How|Where|Which|Who|When|Why)\b", first):
        return f"{first!r} is a question: a module is a noun"
    return ""


def test_no_folder_is_crowded():
    assert crowded(sources("core", "pages", "tests")) == []


def test_no_folder_holds_a_quarter_of_the_lines():
    assert heavy({path: len((ROOT / path).read_text("utf-8").splitlines()) for path in sources("core", "pages")}) == []


@pytest.mark.parametrize("path", [path for path in sources("core", "pages") if path.suffix == ".py"], ids=str)
def test_a_module_says_what_it_is(path):
    assert complaint((ROOT / path).read_text("utf-8")) == ""


def test_every_folder_is_in_the_list():
    """Those of the browser's components apart: each is one component, and its name says which."""
    folders = {path.parent.as_posix() for path in sources("core", "pages")} - {"core", "pages"}
    listed = re.findall(r"^\| `((?:core|pages)/[\w/]+)` \|", (ROOT / "core/README.md").read_text("utf-8"), re.MULTILINE)
    assert listed == sorted(name for name in folders if not name.startswith("pages/ui/components/"))


def test_one_file_too_many_is_found():
    files = [Path(f"core/study/part{number}.py") for number in range(MOST)]
    assert crowded([*files, Path("core/study/__init__.py"), Path("core/study/rules/one.py")]) == []
    assert crowded([*files, Path("core/study/one_more.py")]) == [f"core/study: {MOST + 1} files .py"]


def test_too_large_a_folder_is_found():
    others = {Path(f"core/part{number}/one.py"): 19 for number in range(4)}
    assert heavy(others | {Path("core/explain/query.py"): 12, Path("core/explain/methods/cam.py"): 11}) == []
    assert heavy({Path("core/explain/query.py"): 13, Path("core/explain/methods/cam.py"): 13} | others) == [
        "core/explain: 26 of 102 lines"
    ]


@pytest.mark.parametrize(
    "first", ["", "Rules of a study", "How rules are mined.", "What a study holds.", f"Rules {'x' * 120}."]
)
def test_a_bad_first_line_is_found(first):
    assert complaint(f'"""{first}"""\n')
