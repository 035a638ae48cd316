"""What is predicted after an edit, against a whole pass over the edited picture."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from core.edits.apply import edited, scaled
from core.edits.edit import read_all
from core.edits.what_if import prepare, what_if
from core.images import Preprocess, picture_of
from core.models import load
from core.models.model import as_model
from core.network.incremental import CleanPass
from core.workbench import Workbench

Y, X = np.mgrid[:150, :200]
PICTURE = picture_of(Image.fromarray(np.stack([X, Y, (X + Y) % 60 * 4], 2).astype(np.uint8)), "a.png")
EDITS = [
    ["box=60,40,30,20:blur"],
    ["box=0,0,9,9:zero", "stroke=4,100,60,110,80:mean"],
    ["box=60,40,30,20:zero", "filters=LAYER:1,2*0"],
    ["filters=LAYER:1,2*3"],
    ["brightness=1.3", "rotate=10"],
    ["box=0,0,2,2:zero"],  # outside the part that the network sees
]


class Residual(nn.Module):
    """A small network with a skip, a stride and a norm."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, 2, 1)
        self.norm = nn.BatchNorm2d(8)
        self.second = nn.Conv2d(8, 8, 3, 1, 1)
        self.head = nn.Linear(8, 4)

    def forward(self, images):
        first = self.norm(self.first(images)).relu()
        return self.head((first + self.second(first).relu()).mean((2, 3)))


@pytest.fixture(scope="module", params=["flowers-double-12c", "residual"])
def model(request):
    if request.param != "residual":
        return load(request.param)
    torch.manual_seed(1)
    return as_model("residual", Residual(), preprocess=Preprocess(crop=64, resize=64))


@pytest.mark.parametrize("texts", EDITS, ids=lambda texts: texts[0][:12])
def test_the_prediction_is_that_of_a_whole_pass(model, texts):
    edits = read_all(text.replace("LAYER", model.survey.stages[0]) for text in texts)
    net, preprocess = scaled(model, edits).net, model.preprocess
    inputs = [preprocess.tensor(preprocess.seen(one)) for one in (PICTURE, edited(PICTURE, edits))]
    with torch.no_grad():
        before, after = model.net(inputs[0][None])[0], net(inputs[1][None])[0]
    bench = Workbench(model)
    for _ in range(2):  # the second one uses what the first one cached
        found = what_if(bench, PICTURE, edits)
        assert torch.allclose(found.before, model.probabilities(before), atol=1e-6)
        assert torch.allclose(found.after, model.probabilities(after), atol=1e-6)
    assert list(found.top_after) == model.ranked(after)[:5].tolist()
    assert [one.index for one in found.changes][: len(found.top_after)] == list(found.top_after)


def test_a_small_box_is_computed_from_the_cached_image_and_costs_less_than_a_pass(monkeypatch):
    model, sizes = load("flowers-double-12c"), []
    bench, changed = Workbench(model), CleanPass.changed

    def counted(self, patches, tops, lefts):
        sizes.append(patches.shape[-1] * patches.shape[-2])
        return changed(self, patches, tops, lefts)

    monkeypatch.setattr(CleanPass, "changed", counted)
    what_if(bench, PICTURE, read_all(["box=60,40,20,20:zero"]))
    used = bench.cache.used
    what_if(bench, PICTURE, read_all(["box=64,44,20,20:zero"]))
    assert len(sizes) == 2
    assert max(sizes) < 0.05 * 128 * 128
    assert used > 128 * 128 * 4  # the activations count
    what_if(bench, PICTURE, read_all(["brightness=2"]))
    assert len(sizes) == 2


def test_after_preparation_the_first_edit_computes_nothing_of_the_unedited_image(monkeypatch):
    model, made, once = load("flowers-double-12c"), [], CleanPass.once

    def counted(self, key, inputs, make):
        return once(self, key, inputs, lambda found: (made.append(key), make(found))[1])

    edits = read_all(["box=30,20,20,20:zero"])
    unprepared = what_if(Workbench(model), PICTURE, edits)
    monkeypatch.setattr(CleanPass, "once", counted)
    bench = Workbench(model)
    prepare(bench, PICTURE)
    count = len(made)
    found = what_if(bench, PICTURE, edits)
    prepare(bench, PICTURE)
    assert count > 0
    assert len(made) == count
    assert torch.equal(found.after, unprepared.after)
    assert torch.equal(found.before, unprepared.before)


def test_a_picture_is_prepared_once_also_where_that_keeps_no_activations(monkeypatch):
    blank = picture_of(Image.new("RGB", (60, 40), "grey"), "blank.png")
    edits = []
    monkeypatch.setattr("core.edits.what_if.edited", lambda picture, some: edits.append(some) or edited(picture, some))
    bench = Workbench(load("flowers-double-12c"))
    for _ in range(3):
        prepare(bench, blank)
    assert len(edits) == 1
