"""The pages by address with their titles, read from the navigation's own list."""

import ast
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[1] / "pages" / "ui" / "main.py"


def _sections() -> dict[str, list[tuple[str, str, str, str]]]:
    tree = ast.parse(SCRIPT.read_text("utf-8"))
    found = next(n for n in tree.body if isinstance(n, ast.Assign) and getattr(n.targets[0], "id", "") == "SECTIONS")
    return ast.literal_eval(found.value)


ENTRIES = [entry for entries in _sections().values() for entry in entries]
PAGES = {"" if index == 0 else name.rpartition("/")[2]: title for index, (name, title, *_) in enumerate(ENTRIES)}
# Addresses of pages that settle soon: a test of the page need not wait for RISE.
QUICK = {address: address for address in PAGES} | {
    page: f"{page}?m=grad_cam,saliency,guided_backprop" for page in ("compare", "measure")
}
FILES = {title: str(SCRIPT.parents[1] / f"{name}.py") for name, title, *_ in ENTRIES}
HEADERS = {title: frozenset(parts.split()) for _, title, _, parts in ENTRIES}
