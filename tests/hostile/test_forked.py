"""The worker notices what it is there to notice."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

SCRIPT = """
import time
from core.errors import BadImage
from tests.hostile.forked import handled

def refuse(text):
    error = BadImage("")
    error.message = text
    raise error

cases = [
    ("fine", lambda: None),
    ("refused", lambda: refuse("It is no image.")),
    ("long", lambda: refuse("x" * 400)),
    ("defect", lambda: 1 / 0),
    ("hang", lambda: time.sleep(60)),
    ("dies", lambda: __import__("os")._exit(3)),
    ("swells", lambda: b"x" * (400 << 20)),
    ("after", lambda: None),
]
for one in handled(cases, seconds=8, megabytes=350):
    print(one.name, one.kind, one.held)
"""


def test_it_notices_defects_hangs_and_swelling_and_goes_on():
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.stdout.split("\n")[:-1] == [
        "fine accepted True",
        "refused refused True",
        "long refused False",
        "defect defect False",
        "hang hang False",
        "dies defect False",
        "swells memory False",
        "after accepted True",
    ]
