"""The page of results: what the benchmarks print, with the kind of machine, written by `make bench`."""

import ast
import os
import platform
import re
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
import torch

from core.environment import keep_freed_memory

_OPTION = "--results"
_BEGIN, _END = "<!-- written by `make bench` -->\n", "<!-- until here -->\n"
_HEAD = ["| | Vitrine | other tool | its time | share |", "|---|---|---|---|---|"]
HERE = Path(__file__).parent
README = HERE.parents[1] / "README.md"
_BESIDE = re.compile(r"(?P<what>.+): (?P<own>[\d.]+ s), (?P<tool>.+) (?P<other>[\d.]+ s): (?P<share>[\d.]+ ×)")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(_OPTION, type=Path, metavar="FILE", help="write what the benchmarks print as a page")


def pytest_configure(config: pytest.Config) -> None:
    if path := config.getoption(_OPTION, None):
        config.pluginmanager.register(Results(path), "results")


@pytest.fixture(scope="session", autouse=True)
def _as_a_program() -> None:
    """The memory of this process as that of the app and the command line."""
    keep_freed_memory()


class Results:
    """Collects what benchmarks print, and writes it at the end, by module; README has the times beside other tools.

    What a page of the same kind of machine says of modules that did not run is kept.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines: dict[str, list[str]] = defaultdict(list)  # by the sentence that a module begins with
        self.titles: dict[str, str] = {}
        self.beside: list[str] = []  # rows of the table of README

    def pytest_itemcollected(self, item: Any) -> None:
        """Note the sentence that a module begins with."""
        self.titles[item.nodeid.partition("::")[0]] = _title(item.module.__doc__)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep what a benchmark printed, and whether its limit holds."""
        if report.when != "call" or report.skipped:
            return
        said = "; ".join(re.sub(r"\s+", " ", line).strip() for line in report.capstdout.splitlines() if line.strip())
        module, _, name = report.nodeid.partition("::")
        words = name.removeprefix("test_").replace("_", " ")
        failed = " (above its limit)" if report.failed else ""
        self.beside += [
            "| " + " | ".join(one.group("what", "own", "tool", "other", "share")) + " |"
            for one in _BESIDE.finditer(said)
        ]
        self.lines[self.titles[module]].append(f"| {words}{failed} | {said.replace('|', '/') or report.outcome} |")

    def pytest_sessionfinish(self) -> None:
        """Write the page."""
        head, *kept = _read(self.path).split("\n## ")
        beginning = f"# Benchmarks\n\nWritten by `make bench` on {machine()}.\n"
        parts = {part.partition("\n")[0]: part for part in kept} if head == beginning else {}
        for title, lines in self.lines.items():
            parts[title] = "\n".join([title, "", "| benchmark | result |", "|---|---|", *lines, ""])
        modules = [_title(ast.get_docstring(ast.parse(_read(file)))) for file in sorted(HERE.glob("test_*.py"))]
        self.path.write_text("\n## ".join([beginning, *(parts[one] for one in modules if one in parts)]), "utf-8")
        if self.beside:
            before, _, rest = README.read_text("utf-8").partition(_BEGIN)
            table = "\n".join([f"\nOn {machine()}:", "", *_HEAD, *self.beside, "", ""])
            README.write_text(before + _BEGIN + table + _END + rest.partition(_END)[2], "utf-8")


def _title(docstring: str | None) -> str:
    return (docstring or "").partition("\n")[0]


def machine() -> str:
    """The kind of machine, and the versions that decide how fast it is."""
    models = re.findall(r"^model name\s*: (.*)$", _read("/proc/cpuinfo"), re.MULTILINE)
    cpu = models[0] if models else platform.processor() or platform.machine()
    kib = re.search(r"MemTotal:\s*(\d+)", _read("/proc/meminfo"))
    memory = f", {int(kib[1]) / 2**20:.0f} GiB of memory" if kib else ""
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ", no GPU"
    versions = f"Python {sys.version.split()[0]}, torch {torch.__version__.partition('+')[0]}"
    return f"{os.cpu_count()} cores of {cpu} ({torch.backends.cpu.get_cpu_capability()}){memory}{gpu}; {versions}"


def _read(path: str | Path) -> str:
    try:
        return Path(path).read_text("utf-8")
    except OSError:
        return ""
