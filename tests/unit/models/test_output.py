"""The meaning of outputs: one logit, several labels, values; the same in predictions, maps, studies and refusals."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from core.data.model_options import ModelOptions
from core.errors import BadModel, BadParameter, Unsupported
from core.explain import EXPLAINERS, Query, explain
from core.explain.targets import Classes
from core.images import Preprocess, picture_of
from core.images import picture_file as decode_file
from core.models import Model, as_model
from core.network.hooks import capture
from core.study.build import build_study, planned
from core.study.config import StudyConfig
from core.workbench import Request, Workbench
from tests import tiny_build
from tests.nets import SIDE, GapNet, images, seeded


class Squeezed(nn.Module):
    """One output (N,), as binary classifiers that drop the last dimension."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.fc = nn.Linear(4, 1)

    def forward(self, images: Tensor) -> Tensor:
        """One logit for each image."""
        return self.fc(self.body(images)).flatten()


def sequential(*head: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), *head)


ONE = {
    "linear": lambda: sequential(nn.Flatten(), nn.Linear(4, 1)),
    "no bias": lambda: sequential(nn.Flatten(), nn.Linear(4, 1, bias=False)),
    "convolution": lambda: sequential(nn.Conv2d(4, 1, 1), nn.Flatten()),
    "squeezed": Squeezed,
    "scaled after": lambda: sequential(nn.Flatten(), nn.Linear(4, 1), nn.Hardtanh(-1.0, 3.0)),
}


def one(kind: str = "linear", **options: object) -> Model:
    return as_model(kind, seeded(ONE[kind]), preprocess=Preprocess(SIDE, SIDE), options=ModelOptions(**options))


def gap(**options: object) -> Model:
    return as_model("gap", seeded(GapNet), preprocess=Preprocess(SIDE, SIDE), options=ModelOptions(**options))


def photo() -> object:
    return picture_of(Image.effect_mandelbrot((SIDE, SIDE), (-2, -1.5, 1, 1.5), 20).convert("RGB"), "m.png")


@pytest.mark.parametrize("kind", ONE)
def test_one_logit_is_read_through_a_sigmoid(kind: str) -> None:
    model, bench = one(kind), Workbench(one(kind))
    z = seeded(ONE[kind]).eval()(model.preprocess.tensor(bench.view(photo()))[None]).detach().flatten()
    assert torch.allclose(bench.logits(photo()), torch.cat([-z, z]), rtol=1e-5)
    assert torch.allclose(bench.probabilities(photo()), torch.cat([1 - z.sigmoid(), z.sigmoid()]), atol=1e-6)
    assert model.labels == ("negative", "positive")
    assert bench.target(photo()).index == int(z > 0)
    assert model.output == "sigmoid"
    assert model.notes == ("The network has one output, read through a sigmoid: positive above 0.5.",)
    assert one(kind, output="sigmoid").notes == ()
    folded = {"scaled after", "squeezed"}
    assert (kind in folded) == any(name.startswith("network") for name, _ in model.net.named_modules())


def test_the_outputs_of_a_doubled_layer_are_exactly_opposite() -> None:
    logits = one().net(images(16))
    assert torch.equal(logits[:, 0], -logits[:, 1])


def test_maps_of_one_logit_are_those_of_the_network() -> None:
    """Occlusion, gradient × input, Grad-CAM and integrated gradients, against direct computations of the raw logit."""
    model, raw, inputs = one(), seeded(ONE["linear"]).eval(), images(1)
    query = Query(model, inputs, Classes(torch.tensor([1])))

    leaf = inputs.clone().requires_grad_()
    slope = torch.autograd.grad(raw(leaf).sum(), leaf)[0]
    expected = (slope * inputs).sum(1)
    assert torch.allclose(explain("input_x_gradient", query).maps, expected, rtol=1e-5, atol=1e-6)

    black = model.preprocess.normalised(torch.zeros_like(inputs))
    nodes, weights = (torch.from_numpy(values).float() for values in np.polynomial.legendre.leggauss(16))
    points = [(black + (1 + node) / 2 * (inputs - black)).requires_grad_() for node in nodes]
    slopes = torch.cat([torch.autograd.grad(raw(point).sum(), point)[0] for point in points])
    mean = (weights[:, None, None, None] / 2 * slopes).sum(0, keepdim=True)
    found = explain("integrated_gradients", query, {"steps": 16, "start": "black"}).maps
    assert torch.allclose(found, (mean * (inputs - black)).sum(1), rtol=1e-5, atol=1e-6)

    with torch.enable_grad(), capture(raw, "1", edit={"1": lambda output: output.detach().requires_grad_()}) as seen:
        raw(inputs).sum().backward(inputs=[seen["1"]])
    layer = seen["1"]
    cam = (layer.grad.mean((2, 3), keepdim=True) * layer.detach()).sum(1).relu()
    found = explain("grad_cam", replace(query, layer="1")).maps
    large = nn.functional.interpolate(cam[:, None], (SIDE, SIDE), mode="bilinear", align_corners=False)[:, 0]
    assert torch.allclose(found, large, rtol=1e-5, atol=1e-6)

    drops = explain("occlusion", query, {"score": "prob", "window": 56, "stride": 56, "fill": "black"}).maps
    for top in range(0, SIDE, 8):
        for left in range(0, SIDE, 8):
            hidden = inputs.clone()
            hidden[:, :, top : top + 8, left : left + 8] = black[:, :, :8, :8]
            drop = (raw(inputs).sigmoid() - raw(hidden).sigmoid()).detach()
            assert float(drops[0, top + 4, left + 4]) == pytest.approx(float(drop), abs=1e-5)


SIGNED = [name for name, method in EXPLAINERS.items() if method.signed]


@pytest.mark.parametrize("name", SIGNED)
def test_maps_of_both_sides_are_opposite(name: str) -> None:
    model = one()
    found = [explain(name, Query(model, images(1), Classes(torch.tensor([side])))).maps for side in (0, 1)]
    assert float(found[0].abs().max()) > 0
    assert torch.allclose(found[0], -found[1], rtol=1e-4, atol=1e-5)


def test_the_threshold_decides_on_the_side() -> None:
    chance = float(Workbench(one()).probabilities(photo())[1])
    below, above = (Workbench(one(threshold=chance + change)) for change in (0.01, -0.01))
    assert (below.target(photo()).index, above.target(photo()).index) == (0, 1)
    assert [index for index, _, _ in above.top(photo())] == [1, 0]
    assert above.model.asserted(above.logits(photo())) == [1]


def test_several_labels_have_a_sigmoid_each() -> None:
    plain, several = Workbench(gap()), Workbench(gap(output="multilabel", threshold=0.5))
    logits = plain.logits(photo())
    assert torch.allclose(plain.probabilities(photo()), logits.softmax(0))
    assert torch.allclose(several.probabilities(photo()), logits.sigmoid())
    above = [index for index in logits.argsort(descending=True).tolist() if logits[index] > 0]
    assert several.model.asserted(several.logits(photo())) == above
    assert several.target(photo()).index == int(logits.argmax())
    pair = torch.tensor([[3.48, 2.2]])  # 97.0% on its own, 78.2% beside the other
    assert several.model.spelled(float(several.model.probabilities(pair)[0, 0])) == "97.0%"
    assert plain.model.spelled(float(plain.model.probabilities(pair)[0, 0])) == "78.2%"


def test_a_probability_that_a_method_watches_is_that_of_the_model() -> None:
    inputs, target = images(2), Classes(torch.tensor([1, 3]))
    for output, function in (("softmax", lambda z: z.softmax(1)), ("multilabel", torch.sigmoid), ("regression", abs)):
        query = Query(gap(output=output), inputs, target)
        z = query.clean_logits()
        expected = z if output == "regression" else function(z)
        rows = torch.arange(2)
        assert torch.allclose(query.clean_scores("prob"), expected[rows, [1, 3]])
        log = z if output == "regression" else expected.log()
        assert torch.allclose(query.clean_scores("logprob"), log[rows, [1, 3]], atol=1e-6)


def test_results_of_two_readings_are_not_mixed_in_a_cache() -> None:
    first = Workbench(gap())
    second = Workbench(gap(output="multilabel"), first.cache)
    assert not torch.equal(first.probabilities(photo()), second.probabilities(photo()))
    request = Request("occlusion", 1, {"score": "prob"})
    assert not torch.equal(first.explain(photo(), request).maps, second.explain(photo(), request).maps)


def test_a_regression_has_values_of_no_class() -> None:
    bench = Workbench(gap(output="regression"))
    top = bench.top(photo())
    assert [index for index, _, _ in top] == [0, 1, 2, 3, 4], "their own order"
    assert [value for _, _, value in top] == pytest.approx(bench.logits(photo()).tolist())
    assert bench.model.labels[0] == "output 0"
    assert bench.model.asserted(bench.logits(photo())) == []
    assert bench.model.spelled(-1.5) == "-1.5"
    single = one(output="regression")
    assert (single.labels, single.net(images(1)).shape) == (("output 0",), (1, 1))
    assert explain("occlusion", Query(single, images(1), Classes(torch.tensor([0])))).maps.abs().max() > 0


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        (one, {"output": "softmax"}, "linear has one output, of which a softmax is always 100%."),
        (one, {"output": "multilabel"}, "linear has one output, and multilabel reads several."),
        (gap, {"output": "sigmoid"}, "gap has 5 outputs, and sigmoid reads one."),
        (gap, {"threshold": 0.3}, "A threshold of 0.3 has no meaning for softmax."),
        (one, {"output": "regression", "threshold": 0.3}, "A threshold of 0.3 has no meaning for regression."),
    ],
)
def test_outputs_that_cannot_be_read_so_are_refused(make, options, message) -> None:
    with pytest.raises(BadParameter) as error:
        make("linear", **options) if make is one else make(**options)
    assert error.value.message == message
    assert error.value.hint


@pytest.mark.parametrize("given", [{"output": "sigmod"}, {"threshold": 1.5}, {"threshold": float("nan")}])
def test_options_out_of_range_are_refused(given) -> None:
    with pytest.raises(BadParameter):
        ModelOptions.checked(**given)


def test_labels_of_one_logit(tmp_path) -> None:
    for text, expected in (("cat\ndog", ("cat", "dog")), ("dog", ("not dog", "dog"))):
        (tmp_path / "l.txt").write_text(text)
        assert one(labels=str(tmp_path / "l.txt")).labels == expected
    (tmp_path / "l.txt").write_text("a\nb\nc")
    with pytest.raises(BadModel, match="holds 3 labels, the model has one output: give one label or two"):
        one(labels=str(tmp_path / "l.txt"))


def test_outputs_of_another_shape_are_refused() -> None:
    with pytest.raises(BadModel, match=r"gives shape \(2, 4, 30, 30\) for two images"):
        as_model("maps", nn.Conv2d(3, 4, 3), preprocess=Preprocess(SIDE, SIDE))


def test_a_study_of_one_logit_has_two_classes_and_its_probabilities(tmp_path) -> None:
    root = tiny_build.bitmaps(tmp_path / "images", range(8))
    for number, name in enumerate(("negative", "positive")):
        (root / f"class_{number}").rename(root / name)
    model = one(threshold=0.4)
    config = replace(tiny_build.config(root), output="sigmoid", threshold=0.4)
    study = build_study(config, tmp_path / "study", model=model)
    table = study.table("images")
    assert study.labels == ("negative", "positive")
    assert set(table["label"]) == {0, 1}
    for row in table.itertuples():
        chance = float(Workbench(model).probabilities(decode_file(root / row.path))[1])
        assert row.predicted == int(chance > 0.4)
        assert row.probability == pytest.approx(chance if row.predicted else 1 - chance, abs=1e-5)
    assert (study.manifest.model.output, study.manifest.model.threshold) == ("sigmoid", 0.4)


def test_a_study_of_a_regression_is_refused(tmp_path) -> None:
    root = tiny_build.bitmaps(tmp_path / "images", range(2))
    with pytest.raises(Unsupported, match="gap is a regression, and a study finds rules"):
        planned(StudyConfig("gap", str(root)), gap(output="regression"))
