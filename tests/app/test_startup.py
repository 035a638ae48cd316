"""What the first visitor sees while PyTorch is imported."""

import io

import numpy as np
from PIL import Image

from core import export
from core.data.samples import samples
from core.images import picture_file
from core.models import load
from core.workbench import Request, Workbench
from pages.ui.shell.startup import EXAMPLE, MODEL


def test_the_stored_result_is_what_the_page_computes():
    bench = Workbench(load(MODEL))
    picture = picture_file(next(one.path for one in samples() if one.name == "coffee"))
    answers = []
    requests = [Request(name, bench.target(picture)) for name in ("grad_cam", "saliency")]
    bench.compare(picture, requests, lambda request, answer: answers.append((request, answer)))
    drawn, stored = (
        np.asarray(Image.open(file).convert("RGB")).astype(float)
        for file in (io.BytesIO(export.figure(bench, picture, answers)), EXAMPLE)
    )
    assert np.abs(drawn - stored).mean() < 4
