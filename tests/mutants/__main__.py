"""`make mutants`: small defects put into the core one at a time, to see whether the tests of the module notice.

The mutations are Cosmic Ray's. A seeded sample of places is drawn, as evenly from them as from all lines, and one
mutation of each. Every mutant lives in a process of its own, forked after torch is imported; the tests that belong to
its module run there for at most 60 seconds of the processor, so that a busy machine makes no difference. Survivors that
`explained.toml` lists are reported apart. `--list` names the tests of each module instead.
"""

import argparse
import contextlib
import importlib.abc
import importlib.util
import os
import random
import re
import resource
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import unified_diff
from pathlib import Path
from types import ModuleType
from typing import NoReturn

import numpy  # noqa: F401 - once, before the first fork
import pandas  # noqa: F401
import pytest
import torch
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

from tests.mutants.explained import explained

ROOT = Path(__file__).resolve().parents[2]
MUTATED = (
    "core/explain",
    "core/mining",
    "core/params.py",
    "core/models/weights*",
    "core/models/checkpoint*",
    "core/models/containers*",
    "core/store",
)
SECONDS = 60  # of the processor
PATIENCE = 10  # times as long by the clock, for tests that wait for each other
NOT_SELECTED = ("Variable", "RemoveDecorator")  # they make modules that cannot be imported, or change nothing
PYTEST = ("-x", "-q", "-p", "no:cacheprovider", "-o", "timeout=0")
ELSEWHERE = ("test_peers", "test_memory", "test_train", "test_exam")  # they compare whole methods, and take long
FAILED_IMPORT = 99


@dataclass(frozen=True)
class Mutant:
    """One mutation of a file of the core."""

    path: Path
    line: int
    operator: str
    occurrence: int

    def source(self) -> str:
        """The code of the mutated file."""
        code = mutate_code(self.path.read_text("utf-8"), get_operator(self.operator)(), self.occurrence)
        assert code is not None
        return str(code)

    @property
    def changed(self) -> list[str]:
        """The lines that differ, with - and + in front of them."""
        before, after = self.path.read_text("utf-8").splitlines(), self.source().splitlines()
        return [line for line in list(unified_diff(before, after, n=0, lineterm=""))[2:] if line[0] in "-+"]

    @property
    def key(self) -> tuple[str, str, str]:
        """What finds it in the list of explained ones: its file and the lines without indentation."""
        before, after = ("\n".join(line[1:].strip() for line in self.changed if line.startswith(sign)) for sign in "-+")
        return self.path.relative_to(ROOT).as_posix(), before, after

    def __str__(self) -> str:
        name = f"{self.path.relative_to(ROOT)}:{self.line} {self.operator.removeprefix('core/')} {self.occurrence}"
        return "\n  ".join([name, *self.changed])


class Mutated(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports one module from other code than that of its file."""

    def __init__(self, mutant: Mutant) -> None:
        self.name, self.path, self.code = dotted(mutant.path), mutant.path, mutant.source()

    def find_spec(self, name: str, path: object = None, target: object = None) -> importlib.machinery.ModuleSpec | None:
        """Called by the import system."""
        if name != self.name:
            return None
        places = [str(self.path.parent)] if self.path.name == "__init__.py" else None
        return importlib.util.spec_from_file_location(name, self.path, loader=self, submodule_search_locations=places)

    def exec_module(self, module: ModuleType) -> None:
        """Called by the import system."""
        exec(compile(self.code, str(self.path), "exec"), module.__dict__)


def dotted(path: Path) -> str:
    """The name of the module in a file."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def files() -> list[Path]:
    """The files to mutate."""
    found = [path for pattern in MUTATED for path in ROOT.glob(pattern)]
    every = [one for path in found for one in ([path] if path.is_file() else path.rglob("*.py"))]
    return sorted(one for one in every if one.name != "__init__.py")


def tests_of(path: Path) -> list[Path]:
    """The test files that belong to a module: those of its name, folder and cards, and those that import it."""
    name = dotted(path)
    package, _, own = name.rpartition(".")
    imports = re.compile(rf"from {re.escape(name)} import|from {re.escape(package)} import [^\n]*\b{own}\b")
    rooms = (ROOT / "tests" / "unit", ROOT / "tests" / "oracle")
    folder = Path(*package.split(".")[1:])
    found = (
        test
        for room in rooms
        for test in room.rglob("test_*.py")
        if test.stem not in ELSEWHERE
        and (
            f"test_{own}".startswith(test.stem)
            or (test.parent == room / folder and test.parent not in (*rooms, ROOT / "tests/oracle/methods"))
            or imports.search(test.read_text("utf-8"))
        )
    )
    declares = package == "core.explain.methods"
    # Those of its name first, as they notice most.
    return [
        *sorted(found, key=lambda test: (test.stem != f"test_{own}", test)),
        *([ROOT / "tests/contract/test_cards.py"] if declares else []),
    ]


def positions(path: Path) -> Iterator[Mutant]:
    """All mutations of a file, outside annotations, imports and `__all__`."""
    source = path.read_text("utf-8")
    lines, nodes = source.splitlines(), list(ast_nodes(get_ast(source)))
    for name in sorted(operator_names()):
        if any(word in name for word in NOT_SELECTED):
            continue
        operator, occurrence = get_operator(name)(), 0
        for node in nodes:
            for start, _ in operator.mutation_positions(node):
                text = lines[start[0] - 1]
                typed = "BitOr" in name and re.search(r"->|: [\w\[\], .]+ \|", text)
                if not typed and not re.match(r"\s*(from|import|@|\w+ = Literal|class )", text):
                    yield Mutant(path, start[0], name, occurrence)
                occurrence += 1


def sample(count: int, seed: int) -> Iterator[Mutant]:
    """Mutants in an order drawn by the seed, of different places; of each place one mutation."""
    draw = random.Random(seed)
    by_place: dict[tuple[Path, int, str], list[Mutant]] = {}
    for path in files():
        for mutant in positions(path):
            kind = mutant.operator.split("_")[0]
            by_place.setdefault((path, mutant.line, kind), []).append(mutant)
    places = list(by_place)
    draw.shuffle(places)
    for place in places[: 2 * count]:  # some cannot be imported, and do not count
        yield draw.choice(by_place[place])


def forked(mutant: Mutant | None, tests: Sequence[Path], seconds: float) -> tuple[str, float]:
    """How the tests end on a mutant, or on the code as it is, and how many seconds of the processor they took."""
    begun, child = time.monotonic(), os.fork()
    if not child:
        _run(mutant, tests, round(seconds))
    while time.monotonic() - begun < PATIENCE * seconds:
        pid, status, used = os.wait4(child, os.WNOHANG)
        if pid:
            code = os.waitstatus_to_exitcode(status)
            words = {0: "survived", FAILED_IMPORT: "not importable", -signal.SIGXCPU: "timed out"}
            return words.get(code, "noticed"), used.ru_utime + used.ru_stime
        time.sleep(0.05)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return "timed out", seconds


def _run(mutant: Mutant | None, tests: Sequence[Path], seconds: int) -> NoReturn:
    """Run the tests in this process, and end it."""
    os.setpgid(0, 0)
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 5))
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 1)
    os.dup2(silent, 2)
    torch.set_num_threads(1)
    try:
        if mutant:
            sys.meta_path.insert(0, Mutated(mutant))
            importlib.import_module(dotted(mutant.path))
    except BaseException:  # noqa: BLE001 - whatever it is, no test is needed to notice
        os._exit(FAILED_IMPORT)
    os._exit(int(pytest.main([*PYTEST, *map(str, tests)])))


def main() -> None:
    """Draw mutants, run their tests, and print the survivors."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="a part of the path of the files to mutate")
    parser.add_argument("--list", action="store_true", help="print the tests of each module")
    args = parser.parse_args()
    if args.list:
        for path in files():
            print(path.relative_to(ROOT), *(test.relative_to(ROOT / "tests") for test in tests_of(path)))
        return
    sound: dict[tuple[Path, ...], float] = {}
    known = {(one.file, one.before, one.after): one.why for one in explained()}
    ended: dict[str, list[Mutant]] = {"noticed": [], "survived": [], "timed out": [], "explained": []}
    for mutant in sample(args.count * (50 if args.only else 1), args.seed):
        if sum(map(len, ended.values())) == args.count:
            break
        if args.only not in str(mutant.path):
            continue
        tests = tuple(tests_of(mutant.path))
        if tests not in sound:
            word, sound[tests] = forked(None, tests, 10 * SECONDS)
            if word != "survived":
                sys.exit(f"The tests of {mutant.path} fail without a mutation: {', '.join(map(str, tests))}")
        word, seconds = forked(mutant, tests, max(SECONDS, 2 * sound[tests]))
        if word == "not importable":
            continue
        if word == "survived" and mutant.key in known:
            word = "explained"
        ended[word].append(mutant)
        number = sum(map(len, ended.values()))
        print(f"{number:4} {word:9} {seconds:5.1f} s  {str(mutant).splitlines()[0]}", flush=True)
    noticed, possible = len(ended["noticed"]), sum(map(len, ended.values())) - len(ended["explained"])
    print(f"\n{noticed} of the {possible} mutants that can be noticed were ({noticed / max(possible, 1):.0%}).")
    for word, title in (("explained", "Explained"), ("timed out", "Timed out"), ("survived", "Survivors")):
        print(f"\n{title}: {len(ended[word])}")
        for mutant in ended[word]:
            print(mutant, *([f"  {known[mutant.key]}"] if word == "explained" else []), sep="\n")


if __name__ == "__main__":
    main()
