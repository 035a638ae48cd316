"""The parts of a page as Streamlit runs their scripts: again and again, overtaken by newer calls, and taken away."""

import base64
from typing import Any

import numpy as np
import pytest

from pages.ui.components import script
from pages.ui.widgets.gallery import Items, pack

pytestmark = pytest.mark.e2e
PARTS = ("image_strip", "comparison_grid", "patch_gallery", "paste", "tour")
COLUMN = {"name": "saliency", "title": "Saliency", "summary": "", "formula": "", "caution": "", "paper": ""}
DATA = {
    "image_strip": {
        "items": [{"id": "a", "name": "a.png", "own": False}], "current": "a", "exports": [], "command": "",
        "query": "", "frame": [],
    },
    "comparison_grid": {
        "photo": "photo", "picture": "a.png", "rows": [{"target": 0, "label": "red", "chance": 1}],
        "columns": [COLUMN], "cells": [["tile"]], "tables": {}, "sequential": ["inferno"], "diverging": ["RdBu_r"],
        "view": "", "compact": False,
    },
    "paste": {},
    "tour": {"welcome": False, "asked": 0},
}  # fmt: skip
# A part is run twice before its script has come, so that Streamlit ends the first run at once; then it is taken away.
# What is told each time: how many are listening to the page, and what the part shows.
LIFE = """async ([script, data]) => {
  const listening = new Set();
  const shared = (window.vitrine ??= { packets: new Map(), events: new EventTarget(), shortcuts: new Set() });
  for (const target of [document, shared.events]) {
    const { addEventListener: add, removeEventListener: remove } = target;
    target.addEventListener = (...what) => {
      listening.add(what[1]);
      what[2]?.signal?.addEventListener('abort', () => listening.delete(what[1]));
      add.apply(target, what);
    };
    target.removeEventListener = (...what) => { listening.delete(what[1]); remove.apply(target, what); };
  }
  const { default: run } = await import(URL.createObjectURL(new Blob([script], { type: 'text/javascript' })));
  const host = document.body.appendChild(document.createElement('div'));
  const parentElement = host.attachShadow({ mode: 'open' });
  const given = typeof data === 'string' ? Uint8Array.from(atob(data), (c) => c.charCodeAt(0)) : data;
  const call = () => run({ data: given, parentElement, setTriggerValue() {}, setStateValue() {} });
  const told = () => [listening.size, parentElement.childElementCount];
  const [first, second] = [call(), call()];
  const alive = told();
  first();
  const overtaken = told();
  host.remove();
  second();
  return { alive, overtaken, gone: listening.size };
}"""


def packed() -> str:
    items = Items(
        pixels=np.zeros((3, 8, 8, 3), np.uint8), ids=[0, 1, 2], titles=["a", "b", "c"], notes=[], facts=[], actions=[]
    )
    look = {"label": "Three", "noun": ("patch", "patches"), "many": True, "panel": False, "tile": 40, "height": 100}
    return base64.b64encode(pack(items, look)).decode()


@pytest.mark.parametrize("name", PARTS)
def test_a_part_outlives_a_call_that_was_overtaken_and_leaves_nothing_behind(tab: Any, name: str) -> None:
    data = packed() if name == "patch_gallery" else DATA[name]
    found = tab.page.evaluate(LIFE, [script(name), data])
    assert found["alive"] == found["overtaken"]
    assert found["alive"][0] > 0 or found["alive"][1] > 0
    assert found["gone"] == 0
