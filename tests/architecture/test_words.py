"""Texts that users read are plain technical English: the field's terms, no private vocabulary."""

import ast
import re
from pathlib import Path

import pytest

from core.explain import EXPLAINERS
from core.measure import MEASURES
from pages.ui.shell.glossary import TERMS

ROOT = Path(__file__).resolve().parents[2]

# Phrases of earlier versions and others of their kind, each with what to write instead.
FORBIDDEN = {
    r"\bsilenc(e|es|ed|ing)\b": "ablate (set to zero)",
    r"\bkept for this tab\b": "cached results",
    r"\bready sets?\b": "presets",
    r"\bwhen settled\b|\bhas settled\b|· settled\b": "when the map converges",
    r"\bbeside the others\b|\bStop explaining\b": "add to, or remove from, the comparison",
    r"\bcover(s|ing)? (the |a )?patch(es)?\b|\bpatches covered\b": "mask patches",
    r"\bhidden (windows|segments)\b": "windows occluded, masked segments",
    r"\bDrop, paste or pick\b": "drag, paste or browse",
    r"\bwith positions\b(?<!spatial positions)": "spatial layer",
    r"\bthe machine Vitrine runs on\b": "this server",
    r"\bfor good\b": "permanently",
    r"\b(patches|sets) (of \w+ )?hold (this|all|these)\b": "in which … are active",
    r"\banswers? to (this|the) image\b|\bwhere it answers\b|\bIts answers\b": "is active, responses",
    r"\bthe model says\b": "prediction",
    r"\bwhat it sees on average\b": "average patches",
    r"\bcovered\b|\bfilters, as many\b|\bmined filters?\b": "masked, rule filters",
    r"\bfilters see\b|\bis finished, in\b": "filters encode, finished in",
    r"\bmined ones\b|\brandom ones\b": "rule filters removed, random filters removed",
    r"\bbefore there was a map\b": "no result yet",
    r"\bthe rest is kept\b": "the other settings are kept",
    r"\bmelt\b|\bsharp as a drawing\b|\bas straight\b|\bhanded (back|down)\b": "merge, linear, propagated",
    r"\b(is|are) asked about\b|\bThe score that is watched\b": "explained",
    r"\bimages? of yours\b|\bof one's own\b|\bof your own\b(?! weights)": "uploaded, your own",
    r"\bhow far\b": "how much",
    r"\bdream\b": "feature visualisation",
    r"\btell-tale\b|\bpromised one\b|\bnobody\b|\bfor everybody\b": "plain words",
}
PATTERNS = {re.compile(pattern, re.IGNORECASE): instead for pattern, instead in FORBIDDEN.items()}


def complaints(text):
    """What is wrong with a text, with a few words around each phrase; a single word is a name and no text."""
    found = [(m, instead) for pattern, instead in PATTERNS.items() for m in pattern.finditer(text) if " " in text]
    return [f"{m[0]!r} in {text[max(m.start() - 40, 0) : m.end() + 40]!r}: write {instead}" for m, instead in found]


def literals(path):
    """The strings of a Python file, apart from docstrings; the fixed parts of an f-string count as one."""
    tree = ast.parse(path.read_text("utf-8"))
    holders = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    skipped = {
        id(node.body[0].value) for node in ast.walk(tree) if isinstance(node, holders) and ast.get_docstring(node)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            skipped |= {id(part) for part in node.values}
            yield "".join(part.value if isinstance(part, ast.Constant) else "…" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in skipped:
            yield node.value


SOURCES = sorted(path for folder in ("core", "pages") for path in (ROOT / folder).rglob("*.py"))
SCRIPTS = sorted((ROOT / "pages").rglob("*.js"))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_texts_of_the_code(path):
    assert [found for text in literals(path) for found in complaints(text)] == []


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_texts_of_the_scripts(path):
    lines = [line for line in path.read_text("utf-8").splitlines() if not re.match(r"\s*(//|/?\*)", line)]
    assert [found for line in lines for found in complaints(line)] == []


def test_cards():
    cards = [*EXPLAINERS.values(), *MEASURES.values()]
    texts = [text for card in cards for text in (card.summary, card.about, card.caution)]
    assert [found for text in texts for found in complaints(text)] == []


TEXTS = sorted(
    str(path.relative_to(ROOT))
    for pattern in ("*.md", "core/**/*.md", "assets/**/*.md", "assets/notebooks/*.ipynb")
    for path in ROOT.glob(pattern)
)


@pytest.mark.parametrize("name", TEXTS)
def test_documents(name):
    assert complaints((ROOT / name).read_text("utf-8")) == []


@pytest.mark.parametrize("text", ["Silence them", "Ready sets", "the model says still red", "layer with positions"])
def test_a_planted_phrase_is_found(text):
    assert complaints(text)


def test_the_glossary_is_sorted_and_in_sentences():
    assert list(TERMS) == sorted(TERMS, key=str.casefold)
    assert all(sentence[0].isupper() and sentence.endswith(".") and len(sentence) < 160 for sentence in TERMS.values())
