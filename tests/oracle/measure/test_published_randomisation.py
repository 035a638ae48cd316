"""Adebayo et al. 2018 on real photos and weights: which maps change with the network, and which do not."""

from pathlib import Path

import numpy as np
import pytest
import torch

from core.explain import Query, explain
from core.images import decode
from core.measure import Evidence, evaluate
from core.models import load

SHARED = Path(__file__).resolve().parents[4] / "shared" / "data"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(not SHARED.is_dir(), reason="the shared photos and weights are not beside this checkout"),
]


def question(name):
    """A query about one photo of each class, for the class that is predicted."""
    model = load(f"{name}:{SHARED / 'models' / name}.safetensors")
    files = [sorted(folder.iterdir())[0] for folder in sorted((SHARED / "photos").iterdir())]
    pictures = [decode(file.read_bytes(), file.name) for file in files]
    images = torch.stack([model.preprocess.tensor(model.preprocess.seen(picture)) for picture in pictures])
    images = images[:, :, 48:-48, 48:-48]  # the middle, at a third of the cost
    return Query(model, images, model.net(images).argmax(1))


def curve(query, method, draws=1):
    """The mean similarity (11,) over the images, from the trained network to one without trained weights."""
    evidence = Evidence(query, explain(method, query).maps, explain_again=lambda asked: explain(method, asked).maps)
    found = evaluate("cascading_randomisation", evidence, {"stages": 10, "draws": draws}).result
    mean = np.mean(found.y, 0)
    print(f"{query.model.display} {method}: {np.round(mean, 2).tolist()}")
    return mean


# Guided backprop keeps above one half until the lowest layers are random: its map is made of their filters, as the
# paper found, too. The magnitude of the gradient keeps a part of its similarity as long as they are trained: it is
# large where the image has contrasts. The signs of the gradient keep nothing from the first stage on.
@pytest.mark.parametrize("name", ["squeezenet1_0", "mobilenet_v2"])
def test_gradients_and_grad_cam_change_with_the_network_and_guided_backprop_does_not(name):
    query = question(name)
    assert curve(query, "edge_detector") == pytest.approx(1)
    assert np.abs(curve(query, "input_x_gradient")[1:]).max() < 0.1
    assert np.abs(curve(query, "grad_cam")[1:]).max() < 0.3
    gradient, guided = curve(query, "saliency", 4), curve(query, "guided_backprop", 4)
    assert gradient[-1] < 0.3
    assert guided[1:5].min() > 0.5
    assert guided[1:9].mean() > 0.5
    assert guided[-1] < 0.5
    assert (guided[1:9] > gradient[1:9] + 0.15).all()
