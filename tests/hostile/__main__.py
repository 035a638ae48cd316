"""`python -m tests.hostile FOLDER` handles the whole corpus in a forked worker and prints what does not hold."""

import sys
from pathlib import Path

import torch

import core.door  # noqa: F401 - once, before the worker is forked
from tests.hostile import arguments, folders, pictures
from tests.hostile.forked import main

torch.set_num_threads(1)
folder = Path(sys.argv[1])
main([*arguments.cases(folder), *folders.cases(folder), *pictures.cases(folder, 300)])
