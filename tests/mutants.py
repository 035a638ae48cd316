"""Mutants: small changes of the code, made one at a time, that the tests of the changed module must notice.

`make mutants` tries a seeded sample of 100: ARGS="--count 20 --seed 1 --only core/mining" tries others. Each runs in a
process forked after the heavy libraries are imported, and may compute for 60 seconds. What survives is listed with its
line; tests/mutants.md says why some survivors are none that a test could notice.
"""

import argparse
import ast
import copy
import importlib
import importlib.abc
import importlib.machinery
import os
import random
import resource
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[1]
HEAVY = (
    "torch", "torchvision", "captum.attr", "numpy", "pandas", "pyarrow.parquet", "scipy.stats", "skimage.segmentation",
    "sklearn.linear_model", "sklearn.tree", "matplotlib.figure", "pytest", "hypothesis",
)  # fmt: skip
SECONDS = 60  # of computing, for the tests of one mutant
GOAL = 0.85

# The tests of a module, by the longest matching beginning of its path.
TESTS = {
    "core/explain/": ("tests/unit/explain/test_query.py", "tests/unit/explain/test_precision.py"),
    "core/explain/convergence.py": ("tests/unit/explain/test_convergence.py",),
    "core/explain/forward_backward.py": ("tests/unit/explain/test_forward_backward.py",),
    "core/explain/run.py": ("tests/unit/explain/test_explanation.py", "tests/unit/explain/test_convergence.py"),
    "core/explain/baselines.py": ("tests/oracle/methods/test_perturbation.py",),
    "core/explain/segments.py": ("tests/oracle/methods/test_surrogate.py",),
    "core/explain/targets.py": (
        "tests/oracle/methods/test_targets.py",
        "tests/oracle/methods/test_mask_optimisation.py",
    ),
    "core/explain/relu_rules.py": ("tests/oracle/methods/test_modified_backprop.py",),
    "core/explain/method.py": ("tests/contract/test_cards.py", "tests/contract/test_sources.py"),
    "core/explain/methods/cam.py": ("tests/oracle/methods/test_cam.py",),
    "core/explain/methods/controls.py": ("tests/oracle/methods/test_controls.py",),
    "core/explain/methods/gradient": ("tests/oracle/methods/test_gradient.py",),
    "core/explain/methods/mask_optimisation.py": ("tests/oracle/methods/test_mask_optimisation.py",),
    "core/explain/methods/modified_backprop.py": ("tests/oracle/methods/test_modified_backprop.py",),
    "core/explain/methods/perturbation.py": ("tests/oracle/methods/test_perturbation.py",),
    "core/explain/methods/relevance": ("tests/oracle/methods/test_relevance.py",),
    "core/explain/methods/surrogate.py": ("tests/oracle/methods/test_surrogate.py",),
    "core/mining/": ("tests/oracle/mining",),
    "core/mining/patches.py": ("tests/oracle/mining/test_patches.py",),
    "core/mining/transactions.py": ("tests/oracle/mining/test_patches.py", "tests/oracle/mining/test_itemsets.py"),
    "core/params.py": ("tests/unit/test_params.py",),
    "core/models/weights": ("tests/unit/models",),
    "core/store/": ("tests/unit/store", "tests/unit/study/test_tags.py"),
}
SWAPS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Div,
    ast.Mod: ast.FloorDiv, ast.Pow: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq, ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Is: ast.IsNot,
    ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.And: ast.Or, ast.Or: ast.And,
    ast.Break: ast.Continue, ast.Continue: ast.Break,
}  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """The change number `number` of a file."""

    path: str
    number: int

    @property
    def module(self) -> str:
        return self.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    @property
    def tests(self) -> tuple[str, ...]:
        return TESTS[max((prefix for prefix in TESTS if self.path.startswith(prefix)), key=len)]

    def tree(self) -> ast.Module:
        """The changed code."""
        tree = ast.parse((ROOT / self.path).read_text())
        list(changes(tree))[self.number][1]()
        return ast.fix_missing_locations(tree)

    def described(self) -> str:
        """Where it is, and the line before and after."""
        before, site = ast.parse((ROOT / self.path).read_text()), None
        site = list(changes(before))[self.number][0]
        statement = enclosing(before, site)
        old = ast.unparse(copy.deepcopy(statement)).splitlines()
        list(changes(before))[self.number][1]()
        new = ast.unparse(ast.fix_missing_locations(statement)).splitlines()
        pairs = [(a, b) for a, b in zip(old, new, strict=False) if a != b]
        text = "; ".join(f"{a.strip()}  →  {b.strip()}" for a, b in pairs[:1])
        return f"{self.path}:{getattr(site, 'lineno', statement.lineno)}: {text}"


def enclosing(tree: ast.AST, site: ast.AST) -> ast.stmt:
    """The innermost statement that holds a node."""
    holders = [one for one in ast.walk(tree) if isinstance(one, ast.stmt) and any(n is site for n in ast.walk(one))]
    return holders[-1]


def changes(tree: ast.Module) -> Iterator[tuple[ast.AST, "Change"]]:
    """The places that can be changed, in order, and a function that changes each in the tree."""
    silent = set(map(id, _unread(tree)))
    for node in ast.walk(tree):
        if id(node) in silent:
            continue
        if isinstance(node, ast.BinOp | ast.BoolOp | ast.AugAssign) and type(node.op) in SWAPS:
            yield node, Change(node, "op", SWAPS[type(node.op)]())
        if isinstance(node, ast.Compare) and type(node.ops[0]) in SWAPS:
            yield node, Change(node, "ops", [SWAPS[type(node.ops[0])](), *node.ops[1:]])
        if isinstance(node, ast.Constant) and isinstance(node.value, bool):
            yield node, Change(node, "value", not node.value)
        elif isinstance(node, ast.Constant) and isinstance(node.value, int | float):
            yield node, Change(node, "value", node.value + 1)
        if isinstance(node, ast.If | ast.While | ast.IfExp) and not isinstance(node.test, ast.NamedExpr):
            yield node, Change(node, "test", ast.UnaryOp(ast.Not(), node.test))
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.Not):
            yield node, Change(node, "op", ast.UAdd() if isinstance(node.op, ast.USub) else _Same())
        for name in ("body", "orelse"):
            for place, inner in enumerate(getattr(node, name, ()) if isinstance(getattr(node, name, ()), list) else ()):
                if isinstance(inner, ast.Break | ast.Continue):
                    new = list(getattr(node, name))
                    new[place] = SWAPS[type(inner)]()
                    yield inner, Change(node, name, new)


class _Same(ast.Not):
    """`not not x` in place of `not x`."""


@dataclass(frozen=True)
class Change:
    """A new value for a field of a node."""

    node: ast.AST
    field: str
    value: object

    def __call__(self) -> None:
        if isinstance(self.value, _Same):
            assert isinstance(self.node, ast.UnaryOp)
            self.node.operand = ast.UnaryOp(ast.Not(), self.node.operand)
        else:
            setattr(self.node, self.field, self.value)


def _unread(tree: ast.Module) -> Iterator[ast.AST]:
    """What no test can read: annotations, and the ranges and words of settings in them."""
    for node in ast.walk(tree):
        hints = [getattr(node, "annotation", None), getattr(node, "returns", None)]
        if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name):
            hints.append(node if node.value.id in ("Annotated", "Literal", "Callable") else None)
        for hint in filter(None, hints):
            yield from ast.walk(hint)


class Changed(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports one module from the changed code."""

    def __init__(self, mutant: Mutant) -> None:
        self.mutant, self.file = mutant, str(ROOT / mutant.path)

    def find_spec(self, name: str, path: object, target: object = None) -> importlib.machinery.ModuleSpec | None:
        if name != self.mutant.module:
            return None
        spec = importlib.machinery.ModuleSpec(
            name, self, origin=self.file, is_package=self.file.endswith("__init__.py")
        )
        spec.has_location = True
        if spec.submodule_search_locations is not None:
            spec.submodule_search_locations.append(str(Path(self.file).parent))
        return spec

    def exec_module(self, module: ModuleType) -> None:
        exec(compile(self.mutant.tree(), self.file, "exec"), module.__dict__)


def outcome(tests: tuple[str, ...], mutant: Mutant | None) -> str:
    """ "survived", "noticed", or "took too long", of the tests run in a forked process."""
    child = os.fork()
    if child == 0:
        os.setsid()
        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS + 5))
        quiet = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(quiet, stream)
        if mutant:
            sys.meta_path.insert(0, Changed(mutant))
        import pytest

        os._exit(int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", *tests]) != 0))
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return "took too long" if os.WTERMSIG(status) in (signal.SIGXCPU, signal.SIGKILL) else "noticed"
    return "survived" if os.WEXITSTATUS(status) == 0 else "noticed"


def sampled(count: int, seed: int, only: str) -> list[Mutant]:
    """Some of all mutants, the same for the same seed."""
    paths = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "core").rglob("*.py"))
    every = [
        Mutant(path, number)
        for path in paths
        if path.startswith(only) and any(path.startswith(prefix) for prefix in TESTS)
        for number in range(len(list(changes(ast.parse((ROOT / path).read_text())))))
    ]
    return sorted(random.Random(seed).sample(every, min(count, len(every))), key=lambda one: (one.path, one.number))


def main() -> int:
    """Try a sample, list the survivors, and fail where less than 85 % were noticed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="core/", help="path that mutated files begin with")
    asked = parser.parse_args()
    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT))
    for name in HEAVY:
        importlib.import_module(name)
    known: dict[tuple[str, ...], bool] = {}
    tally: Counter[str] = Counter()
    for mutant in sampled(asked.count, asked.seed, asked.only):
        if mutant.tests not in known:
            known[mutant.tests] = outcome(mutant.tests, None) == "survived"
        found = outcome(mutant.tests, mutant) if known[mutant.tests] else "tests fail or take too long as they are"
        tally[found] += 1
        print(f"{found:14} {mutant.described()}", flush=True)
    tried = sum(tally.values())
    share = (tally["noticed"] + tally["took too long"]) / max(tried, 1)
    print(f"{share:.0%} of {tried} noticed; {dict(tally)}")
    return int(share < GOAL)


if __name__ == "__main__":
    sys.exit(main())
