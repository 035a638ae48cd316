"""Builds from a tiny model and a folder of random pictures: their settings, what they tell and what they give."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from core.cli import main
from core.errors import Cancelled
from core.models.sources import flower_networks
from core.study.build import build_study
from core.study.config import MiningConfig, PatchConfig, StudyConfig
from tests.nets import SIDE

PATCHES = PatchConfig(window=10, count=4, draws=60)
MINING = MiningConfig(support=0.3, filters=5)


def draw(path, seed, mode="RGB", size=(40, 36)):
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (5, 5, 3)).astype(np.uint8)
    Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).convert(mode).save(path)


def bitmaps(root, values):
    """Images of one size, in the same number of bytes whatever they show."""
    for number, value in enumerate(values):
        path = root / f"class_{number % 2}" / f"{number}.bmp"
        path.parent.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng(value)
        Image.fromarray(rng.integers(0, 256, (SIDE, SIDE, 3)).astype(np.uint8)).save(path)
    return root


def config(folder, **changes):
    return replace(StudyConfig("gap", str(folder), patches=PATCHES, mining=MINING, batch=3, thumbnail=16), **changes)


def told(settings, path, model, until=None, **how):
    """What a build reports; `until` a note is reached, at which it is cancelled."""
    notes = []

    def report(fraction, note):
        notes.append(note)
        if until and note.startswith(until):
            raise Cancelled

    if until:
        with pytest.raises(Cancelled):
            build_study(settings, path, model=model, report=report, **how)
    else:
        build_study(settings, path, model=model, report=report, **how)
    return notes


def content(study):
    return {file.name: file.read_bytes() for file in study.path.iterdir() if file.name != "build.json"}


def of_own_weights(root, study="study"):
    """A study built from the folder of its weights, labels and images, all named relative to it."""
    root.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    save_file(flower_networks.architecture(2).state_dict(), root / "two.safetensors")
    save_file({k: v + 1 for k, v in flower_networks.architecture(2).state_dict().items()}, root / "other.safetensors")
    (root / "two.txt").write_text("cat\ndog\n")
    for number in range(4):
        draw(root / "two" / ("cat", "dog")[number % 2] / f"{number}.png", number)
    words = f"study build --model flowers:two.safetensors --labels two.txt --data two --out {study}"
    before = Path.cwd()
    os.chdir(root)
    try:
        assert main([*words.split(), "--patch-count", "2", "--patch-draws", "20", "--transaction-filters", "5"]) == 0
    finally:
        os.chdir(before)
    return root
