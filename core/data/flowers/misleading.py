"""Flowers whose printed tag agrees with their class only half of the time, which mislead a network that reads it."""

import shutil
from pathlib import Path
from tempfile import mkdtemp

from core.data.flowers import write
from core.progress import Report, silent

VARIANT, PER_CLASS, SEED, AGREEING = "shortcut", 10, 41, 0.5


def misleading(folder: Path, report: Report = silent) -> Path:
    """The data set below `folder`, drawn if it is not there yet. Raises as `write`."""
    out = folder / f"misleading-tags-{SEED}"
    if not out.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        made = Path(mkdtemp(dir=folder))  # of its own, as two sessions may draw it at a time
        try:
            write(VARIANT, made, per_class=PER_CLASS, seed=SEED, rho=AGREEING, report=report)
            if not out.exists():
                made.rename(out)
        finally:
            shutil.rmtree(made, ignore_errors=True)
    return out
