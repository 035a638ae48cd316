"""Bundling of ES modules into the single module text that Streamlit sends to the browser.

Streamlit 1.67 takes the script of a component as one text; it serves files only from the `asset_dir` of an installed
package, which does not work with several checkouts. So the modules that an entry imports are put before it, each once,
without comments (the text is sent with every message) and without `import` and `export`.

It supports a subset of JavaScript and raises otherwise: only imports, declarations and comments begin at the left
margin, no two modules declare the same name, and no template literal spans lines. `make check` formats the scripts, so
that indented lines belong to a declaration.
"""

import re
from pathlib import Path

_IMPORT = re.compile(r'^import \{([^{}]*)\} from "(\.{1,2}/[\w./]+\.js)";$', re.MULTILINE)
_COMMENT = re.compile(r"^[ ]*(?://.*|/\*(?:(?!\*/)[\s\S])*\*/[ ]*)$", re.MULTILINE)  # on lines of its own
_DECLARATION = re.compile(r"(export )?(?:const|let|class|function|async function) (\w+)")
_CONTINUATION = re.compile(r"\s|[)}\]]|$")


class BundleError(ValueError):
    """A script that cannot be joined, with its file and line."""


def bundle(entry: Path) -> str:
    """The module at `entry` and everything it imports as one module text; raises `BundleError`."""
    joined = _Joined(entry.resolve())
    return "\n".join(joined.texts.values())


class _Joined:
    """The modules read so far, what they export, and where each of their names is declared."""

    def __init__(self, entry: Path) -> None:
        self.entry = entry
        self.texts: dict[Path, str] = {}
        self.exports: dict[Path, set[str]] = {}
        self.declared: dict[str, Path] = {}
        self.open: list[Path] = []  # from the entry to the module being read
        self._add(entry)
        if not re.search("^export default ", self.texts[entry], re.MULTILINE):
            raise BundleError(f"{entry} has no default export.")

    def _add(self, path: Path) -> None:
        if path in self.open:
            raise BundleError(f"{path} imports itself by way of {self.open[-1]}.")
        if path in self.texts:
            return
        self.open.append(path)
        if not path.is_file():
            raise BundleError(f"{path} does not exist.")
        source = _COMMENT.sub(_blank, path.read_text("utf-8"))
        for names, target in _IMPORT.findall(source):
            self._import(path, (path.parent / target).resolve(), re.findall(r"[^\s,](?:[^,]*[^\s,])?", names))
        self.exports[path] = set()
        lines = [self._line(path, *line) for line in enumerate(_IMPORT.sub(_blank, source).splitlines(), 1)]
        self.texts[path] = "".join(f"{line}\n" for line in lines if line.strip())
        self.open.pop()

    def _import(self, path: Path, target: Path, names: list[str]) -> None:
        self._add(target)
        for name in names:
            if name not in self.exports[target]:
                raise BundleError(f"{path} imports {name!r}, which {target} does not export.")

    def _line(self, path: Path, number: int, line: str) -> str:
        """A line as written to the joined module."""
        if line.count("`") % 2:
            raise BundleError(f"{path}:{number}: a template literal must end in its line: {line}")
        if re.search(r"\bimport\b", line):
            raise BundleError(f'{path}:{number}: an import must read `import {{ a, b }} from "./file.js";`: {line}')
        if path == self.entry and line.startswith("export default "):
            return line
        if found := _DECLARATION.match(line):
            self._declare(path, number, found[2])
            if found[1]:
                self.exports[path].add(found[2])
            return line.removeprefix("export ")
        if not _CONTINUATION.match(line):
            raise BundleError(f"{path}:{number}: only imports and declarations may stand at the left margin: {line}")
        return line

    def _declare(self, path: Path, number: int, name: str) -> None:
        if name in self.declared:
            raise BundleError(f"{path}:{number}: {name!r} is declared in {self.declared[name]} too.")
        self.declared[name] = path


def _blank(found: re.Match[str]) -> str:
    """The same number of empty lines as were removed, so that line numbers stay correct."""
    return "\n" * found[0].count("\n")
