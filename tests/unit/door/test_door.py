"""`import vitrine`: the answers of the engine and the command line, and a sentence for what cannot be done."""

import doctest
import inspect
import json
import sys
import warnings
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image, ImageOps
from torch import nn

import core.door as vt
from core.cli import main
from core.door.maps import ARGUMENTS, Comparison
from core.errors import Unsupported, VitrineError
from core.explain import EXPLAINERS
from core.models import MODELS
from tests import nets

MODEL = "flowers-single-6c"
PHOTO = vt.examples()["single-violet"]
PUBLIC = [(name, getattr(vt, name)) for name in vt.__all__]
METHODS = [
    (f"{kind.__name__}.{name}", member)
    for kind in (vt.Map, vt.Comparison, vt.Study)
    for name, member in vars(kind).items()
    if inspect.isfunction(member) and not name.startswith("_") and name != "show"  # a window would open
]


@pytest.fixture(scope="module")
def model():
    return vt.load(MODEL)


@pytest.fixture(scope="module")
def maps(model):
    return vt.compare(model, PHOTO, ["grad_cam", "rise"], target=["violet", 2], rise={"masks": 60}, seed=4)


@pytest.mark.usefixtures("checkout")
@pytest.mark.parametrize(("name", "thing"), [*PUBLIC, *METHODS], ids=[name for name, _ in [*PUBLIC, *METHODS]])
def test_every_name_has_an_example_that_runs(name, thing, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    example = doctest.DocTestParser().get_doctest(inspect.getdoc(thing), {}, name, None, None)
    assert example.examples, f"{name} has no example"
    said = []
    doctest.DocTestRunner(verbose=False).run(example, out=said.append)
    assert said == []


@pytest.mark.usefixtures("checkout")
def test_the_example_of_the_whole_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    example = doctest.DocTestParser().get_doctest(inspect.getdoc(vt), {}, "vitrine", None, None)
    said = []
    doctest.DocTestRunner(verbose=False).run(example, out=said.append)
    assert example.examples
    assert said == []


@pytest.mark.usefixtures("checkout")
def test_there_is_one_registry():
    import vitrine

    assert vitrine is not vt
    assert [getattr(vitrine, name) for name in vt.__all__] == [thing for _, thing in PUBLIC]
    assert inspect.getmodule(vitrine.Map) is sys.modules["core.door.maps"]
    assert list(vitrine.methods().index) == list(EXPLAINERS)
    assert list(vitrine.models().index) == list(MODELS)
    EXPLAINERS._entries["another"] = EXPLAINERS["random"]
    try:
        assert "another" in vitrine.methods().index
    finally:
        del EXPLAINERS._entries["another"]


def test_no_method_and_no_setting_is_called_like_an_argument():
    named = {*inspect.signature(vt.compare).parameters} - {"settings"}
    assert named == {*ARGUMENTS, "model", "image", "methods"}
    settings = {param.name for method in EXPLAINERS.values() for param in method.params}
    assert not named & {*EXPLAINERS}
    assert not {*inspect.signature(vt.explain).parameters} & settings


def test_a_comparison_writes_what_the_command_writes(maps, tmp_path, capsys):
    words = ["explain", str(PHOTO), "--model", MODEL, "--method", "grad_cam,rise", "--target", "violet"]
    words += ["--target", "2", "--set", "rise.masks=60", "--seed", "4", "--out", str(tmp_path / "command")]
    assert main(words) == 0
    theirs, ours = tmp_path / "command" / PHOTO.stem, maps.save(tmp_path / "door")
    assert {file.name for file in ours.iterdir()} == {"maps.csv", *(file.name for file in theirs.iterdir())}
    for file in theirs.glob("*.png"):
        assert (ours / file.name).read_bytes() == file.read_bytes()
    with np.load(theirs / "maps.npz") as expected, np.load(ours / "maps.npz") as found:
        assert expected.files == found.files
        assert all(np.array_equal(expected[name], found[name]) for name in expected.files)
        assert np.array_equal(expected["rise-4"], maps["rise"].values)
        assert np.array_equal(expected["rise-2"], maps["rise", "red"].values)

    def read(folder):
        record = json.loads((folder / "result.json").read_text("utf-8"))
        for one in record["maps"]:
            del one["seconds"]
        return record

    assert read(ours) == read(theirs)
    assert list(pd.read_csv(ours / "maps.csv")["method"]) == ["grad_cam", "rise"] * 2


def test_a_comparison_is_a_mapping_by_method(maps):
    assert list(maps) == ["grad_cam", "rise"]
    assert len(maps) == 2
    assert [one.method for one in maps.values()] == ["grad_cam", "rise"]
    assert "rise" in maps
    assert ("rise", "red") in maps
    assert ("rise", "blue") not in maps
    assert "saliency" not in maps
    assert maps.targets == (4, 2)
    assert maps["rise"] is maps["rise", "violet"] is maps["rise", 4]
    assert maps.failed == {}
    assert maps["rise"].explanation.settings["masks"] == 60
    with pytest.raises(VitrineError, match=r"called 'grad_kam'. Did you mean 'grad_cam'"):
        maps["grad_kam"]
    with pytest.raises(VitrineError, match="no class in this comparison called 'blue'"):
        maps["rise", "blue"]


def test_a_single_map_is_that_of_the_comparison(model, maps):
    found = vt.explain(model, PHOTO, "rise", target="red", seed=4, masks=60)
    assert np.array_equal(found.values, maps["rise", "red"].values)
    assert (found.method, found.target, found.label, found.note) == ("rise", 2, "red", "")
    found.values[:] = 0
    assert found.explanation.maps.any()


def test_differences_groups_and_units(model, tmp_path):
    names = ["violet-red", "violet+red", "relu4:89"]
    found = vt.compare(model, PHOTO, "saliency", target=names)
    assert found.targets == ("4-2", "4+2", "relu4:89")
    assert repr(found) == f"Comparison(saliency; 'violet − red', 'violet + red', 'relu4 · F89'; {PHOTO.name})"
    one = found["saliency", "violet-red"]
    assert (one.target, one.label) == ("4-2", "violet − red")
    assert one is found["saliency"] is found["saliency", one.target]
    assert np.array_equal(vt.explain(model, PHOTO, "saliency", target="4+2").values, found["saliency", "4+2"].values)
    assert found["saliency", "relu4:89"].values.any()
    assert ("saliency", "4-2") in found
    assert ("saliency", "violet + red") in found
    assert list(found.table()["target"]) == ["4-2", "4+2", "relu4:89"]
    with pytest.raises(VitrineError, match="no class in this comparison called 'red-violet'"):
        found["saliency", "red-violet"]


def test_kinds_of_images_give_the_same_map(model):
    image = Image.open(PHOTO).convert("RGB")
    kinds = [PHOTO, str(PHOTO), PHOTO.read_bytes(), image, np.asarray(image)]
    first, *others = [vt.explain(model, kind, "saliency").values for kind in kinds]
    assert first.any()
    assert all(np.array_equal(first, other) for other in others)


def test_an_image_of_pillow_is_turned_upright_and_laid_on_white(model, tmp_path):
    image = Image.open(PHOTO).convert("RGB").resize((160, 130))
    exif = Image.Exif()
    exif[0x0112] = 6
    ImageOps.mirror(image).save(tmp_path / "turned.png", exif=exif)
    turned = Image.open(tmp_path / "turned.png")
    expected = vt.explain(model, tmp_path / "turned.png", "saliency").values
    assert np.array_equal(vt.explain(model, turned, "saliency").values, expected)
    clear = Image.new("RGBA", (20, 20), (255, 0, 0, 0))
    white = vt.predict(model, np.full((20, 20, 3), 255, np.uint8))
    assert vt.predict(model, clear).equals(white)
    assert vt.predict(model, np.full((20, 20), 255, np.uint8)).equals(white)


def test_predictions_are_the_softmax_of_the_network(model):
    found = vt.predict(model, PHOTO, top=3)
    scores = model.net(
        model.preprocess.tensor(model.preprocess.view(np.asarray(Image.open(PHOTO).convert("RGB"))))[None]
    )
    chances = scores.softmax(1)[0]
    assert list(found.index) == chances.argsort(descending=True)[:3].tolist()
    assert np.allclose(found["probability"], chances[list(found.index)], atol=1e-6)


@pytest.mark.parametrize("suffix", ["png", "npy"])
def test_a_map_is_saved_as_picture_or_values(maps, tmp_path, suffix):
    path = maps["rise"].save(tmp_path / f"map.{suffix}")
    if suffix == "npy":
        assert np.array_equal(np.load(path), np.asarray(maps["rise"]))
    else:
        assert Image.open(path).size == maps["rise"].image().size


def test_notebooks_show_maps_by_themselves(maps, monkeypatch):
    from IPython.core.formatters import DisplayFormatter

    for thing in (maps, maps["rise"]):
        data, _ = DisplayFormatter().format(thing)
        assert data["image/png"].startswith(b"\x89PNG")
        assert data["text/plain"] == repr(thing)
    shown, opened = [], []

    def viewed(image):
        opened.append(image)

    shell = SimpleNamespace(kernel=None)
    ipython = SimpleNamespace(get_ipython=lambda: shell, display=SimpleNamespace(display=shown.append))
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setattr(Image.Image, "show", viewed)
    maps["rise"].show()
    assert (len(shown), [image.size for image in opened]) == (0, [maps["rise"].image().size])
    shell.kernel = object()
    maps.show()
    assert (shown, len(opened)) == ([maps], 1)


def test_a_method_that_fails_stops_no_other(model, maps):
    answers = [(ask, one if ask.name == "rise" else Unsupported("No.")) for ask, one in maps._answers]
    found = Comparison(model, maps._picture, answers)
    assert list(found) == ["rise"]
    assert found.failed == {"grad_cam": "No."}
    with pytest.raises(Unsupported, match=r"Grad-CAM gave no map here: No."):
        found["grad_cam"]
    assert found.image().size == maps.image().size


class Twice(nn.Module):
    """Scores as a dictionary, as some libraries return them."""

    def forward(self, images):
        return {"logits": images.mean((2, 3))}


def test_a_wrapped_network_gives_its_own_scores_and_stays_as_it_is():
    network = nets.seeded(nets.TinyCnn)
    network.train()
    labels = [f"kind {number}" for number in range(nets.CLASSES)]
    model = vt.wrap(network, labels=labels, size=nets.SIDE, mean=[0.1, 0.2, 0.3], std=[0.5, 0.6, 0.7])
    assert network.training
    assert all(parameter.requires_grad for parameter in network.parameters())
    pixels = np.random.default_rng(0).integers(0, 256, (nets.SIDE, nets.SIDE, 3)).astype(np.uint8)
    inputs = (torch.from_numpy(pixels).permute(2, 0, 1) / 255 - torch.tensor([0.1, 0.2, 0.3])[:, None, None]) / (
        torch.tensor([0.5, 0.6, 0.7])[:, None, None]
    )
    chances = network.eval()(inputs[None].float()).softmax(1)[0]
    found = vt.predict(model, pixels, top=nets.CLASSES)
    assert np.allclose(found["probability"].sort_index(), chances.detach(), atol=1e-5)
    assert list(found["label"].sort_index()) == labels
    before = vt.explain(model, pixels, "saliency", target=2).values
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
    assert np.array_equal(vt.explain(model, pixels, "saliency", target="kind 2").values, before)


def test_one_weights_file_may_be_wrapped_in_two_ways():
    """Nothing is kept under the hash of the weights alone."""
    network = nets.seeded(nets.TinyCnn)
    pixels = np.random.default_rng(0).integers(0, 256, (40, 40, 3)).astype(np.uint8)
    dark, bright = (vt.wrap(network, size=nets.SIDE, mean=[mean] * 3) for mean in (0.2, 0.8))
    assert not vt.predict(dark, pixels).equals(vt.predict(bright, pixels))


@pytest.mark.parametrize(
    ("network", "rest", "sentence"),
    [
        (nn.Linear, {}, "A class is not a network. Give an instance of torch.nn.Module."),
        ("resnet18", {}, "A value of type str is not a network."),
        (Twice(), {}, "Twice gives a dict for two images of 32 × 32 pixels, not a number for each class."),
        (nn.Conv2d(3, 4, 1), {}, r"Conv2d gives shape \(2, 4, 32, 32\) for two images"),
        (nn.Conv2d(2, 4, 1), {}, "Conv2d fails on images of 32 × 32 pixels: .* It takes 2 channels; images have one"),
        (nets.colour_reader(), {"labels": ["a"]}, "1 labels are given, and Sequential has 3 classes."),
        (nets.colour_reader(), {"labels": "missing.txt"}, "The labels file 'missing.txt' cannot be opened."),
        (nets.colour_reader(), {"size": 0}, "size cannot be 0."),
        (nets.colour_reader(), {"size": 2.5}, "size cannot be 2.5."),
        (nets.colour_reader(), {"resize": 8}, "resize is 8, less than the size 32."),
        (nets.colour_reader(), {"mean": [0.5]}, "mean and std have 1 and 3 numbers."),
        (nets.colour_reader(), {"std": [1, 0, 1]}, "std cannot be .* Give numbers above zero."),
        (nets.colour_reader(), {"std": "abc"}, "std cannot be 'abc'."),
        (nets.colour_reader(), {"interpolation": "best"}, "interpolation cannot be 'best'."),
    ],
)
def test_what_cannot_be_wrapped_is_told(network, rest, sentence):
    with pytest.raises(VitrineError, match=sentence):
        vt.wrap(network, **{"size": 32, **rest})


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ({"methods": "grad_kam"}, "There is no method called 'grad_kam'. Did you mean 'grad_cam'"),
        ({"methods": []}, "No method is named."),
        ({"methods": ["cam"], "rise": {"masks": 5}}, "Settings of rise are given, and it is not asked for."),
        ({"methods": ["rise"], "rise": 500}, r'rise cannot be 500. Give its settings as rise={"masks": …}'),
        (
            {"methods": ["rise"], "rise": {"mask": 500}},
            "There is no setting of rise called 'mask'. Did you mean 'masks'",
        ),
        ({"methods": ["rise"], "rise": {"masks": -1}}, "rise.masks cannot be -1."),
        ({"methods": ["cam"], "taget": "red"}, "no argument or method called 'taget'. Did you mean 'target'"),
        ({"methods": ["cam"], "target": "rad"}, "There is no class called 'rad'. Did you mean 'red'"),
        ({"methods": ["cam"], "target": 6}, "There is no class 6."),
        ({"methods": ["cam"], "target": []}, "No class is named."),
        ({"methods": ["cam"], "target": None}, "There is no class called 'None'."),
        ({"methods": ["cam"], "seed": -1}, "The seed cannot be '-1'|The seed cannot be -1"),
        ({"methods": ["cam"], "layer": "relu9"}, "There is no layer called 'relu9'."),
        ({"methods": ["cam"], "budget": "huge"}, "There is no budget called 'huge'."),
        ({"methods": ["cam"], "image": "nowhere.png"}, "nowhere.png cannot be opened: No such file"),
        ({"methods": ["cam"], "image": b""}, "image is empty."),
        ({"methods": ["cam"], "image": b"text"}, "image is not an image this app can read."),
        ({"methods": ["cam"], "image": 7}, "A value of type int is not an image. Give a path, bytes"),
        ({"methods": ["cam"], "image": np.zeros((4, 4, 3))}, r"An array of type float64 and shape \(4, 4, 3\)"),
        ({"methods": ["cam"], "image": np.zeros((3, 8, 8), np.uint8)}, r"An array of type uint8 and shape \(3, 8, 8\)"),
        ({"methods": ["cam"], "image": np.zeros((0, 8, 3), np.uint8)}, r"An array of shape \(0, 8, 3\) has no pixels."),
        ({"methods": ["cam"], "model": MODEL}, "A str is not a model. Get one from vitrine.load or vitrine.wrap."),
        ({"methods": ["cam"], "model": nets.colour_reader()}, "Sequential is a bare network. Make it a model with"),
    ],
)
def test_what_cannot_be_compared_is_told(model, words, sentence):
    with pytest.raises(VitrineError, match=sentence):
        vt.compare(**{"model": model, "image": PHOTO, **words})


def test_what_cannot_be_saved_is_told(maps, tmp_path):
    with pytest.raises(VitrineError, match=r"map.jpg ends neither in .png nor in .npy."):
        maps["rise"].save("map.jpg")
    with pytest.raises(VitrineError, match=r"cannot be written: No such file or directory. Choose another folder"):
        maps["rise"].save(tmp_path / "nowhere" / "map.png")
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(VitrineError, match="taken cannot be written"):
        maps.save(tmp_path / "taken")


@pytest.mark.parametrize("label", ["red-petals", None])
def test_tables_of_a_study_are_those_of_the_command(label, capsys):
    study = vt.open_study("flowers-double-12c")
    words = ["flowers-double-12c", "--json", *(["--class", label] if label else [])]
    assert main(["study", "rules", *words]) == 0
    rules, expected = study.rules(label), pd.DataFrame(json.loads(capsys.readouterr().out))
    assert len(rules) > 0
    assert list(rules["class"]) == list(expected["name"])
    assert list(rules["filters"]) == [tuple(filters) for filters in expected["filters"]]
    assert np.allclose(rules["confidence"], expected["confidence"])
    assert main(["study", "patches", *words]) == 0
    patches, expected = study.patches(label), pd.DataFrame(json.loads(capsys.readouterr().out))
    assert list(patches.index) == list(expected["patch"])
    assert list(patches["path"]) == list(expected["path"])
    for sharing in ("rules", "itemsets"):
        assert main(["study", "shared", *words, "--sharing", sharing]) == 0
        shared, expected = study.shared(label, sharing=sharing), json.loads(capsys.readouterr().out)
        assert list(shared["filters"]) == [tuple(one["filters"]) for one in expected]
        assert [", ".join(names) for names in shared["classes"]] == [one["names"] for one in expected]
        assert len(expected) > 0 or sharing == "rules"
    with pytest.raises(vt.VitrineError, match="sharing cannot be 'all'"):
        study.shared(sharing="all")


def test_pictures_of_a_study_are_its_arrays():
    study = vt.open_study("flowers-double-12c")
    assert np.array_equal(np.asarray(study.patch(7)), study.array("crops")[7])
    row = study.averages("red-petals").iloc[0]
    stored = np.asarray(study.array("averages")[row.name], np.float32)
    average = np.asarray(study.average("red-petals", row["filter"]))
    assert np.abs(average / 255 - stored).max() <= 0.5 / 255 + 1e-6
    held = study.patches(filters=[5])["filters"]
    assert len(held) > 0
    assert all("F5" in filters.split() for filters in held)


@pytest.mark.parametrize(
    ("ask", "sentence"),
    [
        (lambda study: vt.open_study("nowhere"), "There is no study in nowhere."),
        (lambda study: study.rules("red-petal"), "There is no class called 'red-petal'. Did you mean 'red-petals'"),
        (lambda study: study.patches(filters=[128]), "There is no filter 128. This layer has 0 to 127."),
        (lambda study: study.patch(-1), "There is no patch -1."),
        (lambda study: study.average("red-petals", 128), "No rule of red-petals has the filter 128."),
    ],
)
def test_what_a_study_lacks_is_told(ask, sentence):
    with pytest.raises(VitrineError, match=sentence):
        ask(vt.open_study("flowers-double-12c"))


def test_a_text_that_is_label_and_number_warns_at_the_line_of_the_user():
    """ "2" is the label of class 0 and the number of class 2: the label is taken, and an int means the number."""
    net = nets.seeded(nets.colour_reader)
    model = vt.wrap(net, labels=["2", "one", "other"], size=32)
    photo = np.full((32, 32, 3), 200, np.uint8)
    with pytest.warns(UserWarning, match="'2' is the label of class 0; class number 2 is other") as said:
        found = vt.explain(model, photo, "saliency", target="2")
    assert (found.target, found.label) == (0, "2")
    assert [one.filename for one in said] == [__file__]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert vt.explain(model, photo, "saliency", target=2).label == "other"
        assert vt.explain(model, photo, "saliency", target="1").label == "one"


def test_a_class_of_a_study_warns_in_the_same_way():
    study = vt.open_study("flowers-double-12c")
    names = list(study.labels)
    vars(study)["labels"] = ("1", *names[1:])
    with pytest.warns(UserWarning, match="'1' is the label of class 0") as said:
        rules = study.rules("1")
    assert set(rules["class"]) <= {"1"}
    assert [one.filename for one in said] == [__file__]
