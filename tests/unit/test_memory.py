"""Memory that runs out: the batch is halved, and only when one image is too many is there a sentence."""

from dataclasses import replace

import pytest
import torch

from core.cache import TensorCache
from core.errors import TooLarge
from core.explain import EXPLAINERS, explain
from tests import nets


def cuda():
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


def python():
    raise MemoryError


def processor():
    torch.empty(1 << 50, dtype=torch.uint8)  # more than any address space: torch's own error, whatever it says


def other():
    raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")


@pytest.fixture
def hungry(monkeypatch):
    """Saliency replaced by a method that has room for so many images, and the batches it was started with."""

    def make(fail, room):
        started = []

        def run(query):
            started.append(query.batch)
            query.cache.put("left", torch.zeros(1))
            query.logits(query.images)
            query.log.remarks[f"batch {query.batch}"] = 1.0
            if query.batch > room:
                fail()
            return query.images.sum(1).abs()

        changed = replace(EXPLAINERS["saliency"], run=run, params=())
        monkeypatch.setitem(EXPLAINERS._entries, "saliency", changed)
        return started

    return make


@pytest.mark.parametrize("fail", [cuda, python, processor])
def test_the_batch_is_halved_until_it_fits(hungry, fail):
    started = hungry(fail, room=5)
    kept = TensorCache(1 << 20)
    kept.put("before", torch.zeros(1))
    query = nets.query(nets.model("gap"), count=2, batch=32, cache=kept)
    found = explain("saliency", query)
    assert started == [32, 16, 8, 4]
    assert torch.equal(found.maps, query.images.sum(1).abs())
    assert (found.forwards, dict(found.remarks)) == (2 + 2, {"batch 4": 1.0}), "the last try and the scores, no more"
    assert kept.peek("before") is None, "room is made before the next try"


@pytest.mark.parametrize("fail", [cuda, python, processor])
def test_one_image_that_does_not_fit_is_a_sentence(hungry, fail):
    started = hungry(fail, room=0)
    with pytest.raises(TooLarge, match="does not fit into memory even one image at a time"):
        explain("saliency", nets.query(nets.model("gap"), count=1, batch=6))
    assert started == [6, 3, 1]


def test_another_failure_is_not_tried_again(hungry):
    started = hungry(other, room=0)
    with pytest.raises(RuntimeError, match="shapes"):
        explain("saliency", nets.query(nets.model("gap"), count=1, batch=8))
    assert started == [8]
