"""Exams about a folder of images: masks that fit, masks that do not, and images without any."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from core.data import flowers
from core.errors import BadParameter, StoreError, Unavailable
from core.exam.build import build_exam
from core.exam.cases import case
from core.exam.config import ExamConfig
from core.exam.plan import planned
from core.models import load
from tests import nets


@pytest.fixture(scope="module")
def flower_set(tmp_path_factory):
    """Twelve flowers with masks beside their images."""
    root = tmp_path_factory.mktemp("flowers") / "set"
    flowers.write("single-6c", root, per_class=2, seed=8)
    return root


@pytest.fixture
def root(flower_set, tmp_path):
    """A copy of them, to be changed."""
    return shutil.copytree(flower_set, tmp_path / "set")


@pytest.fixture(scope="module")
def model():
    return load("flowers-single-6c")


def config(root, **changes):
    settings = ExamConfig(
        data=str(root), model="flowers-single-6c", methods=("random",), measures=("energy_pointing",), folds=2
    )
    return replace(settings, **changes)


def test_masks_beside_the_images_are_those_of_the_flowers(root, model, tmp_path):
    found = build_exam(config(root), tmp_path / "exam", model=model)
    assert len(found.images) == 12
    assert found.images["label"].tolist() == [model.labels.index(name.split("/")[0]) for name in found.images["name"]]
    centre = found.method("centre_gaussian")
    path = found.images["name"][5]
    mask = np.asarray(Image.open(root / "masks" / path)) > 0
    u = ((np.arange(128) + 0.5) / 128 - 0.5) ** 2
    blob = np.exp(-(u[:, None] + u) / (2 * 0.25**2))
    assert found.values[5, centre, 0] == pytest.approx(blob[mask].sum() / blob.sum(), rel=1e-4)
    one = case(found, 5, model)
    assert (one.mask == mask).all()
    assert (one.picture.name, one.target) == (path, found.images["target"][5])
    assert found.manifest.data.left_out == {}
    assert found.manifest.data.folder.endswith("set/images")


def test_measures_of_parts_are_left_out_where_images_cannot_be_drawn_without_them(root, model):
    usual = ExamConfig.measures
    assert {"part_correlation", "part_completeness"} < {*usual}
    flowers_too = planned(ExamConfig(variant="single-6c", methods=("random",)), model)
    assert [one.name for one in flowers_too.measures] == [*usual]
    left = planned(config(root, measures=usual), model)
    assert [one.name for one in left.measures] == [name for name in usual if not name.startswith("part_")]
    with pytest.raises(BadParameter, match="Part correlation needs images that can be drawn without"):
        planned(config(root, measures=("part_correlation",)), model)


def test_masks_that_do_not_fit_leave_their_images_out(root, model):
    masks = sorted((root / "masks").rglob("*.png"))
    Image.open(masks[0]).resize((64, 64)).save(masks[0])  # of another size, and the same proportions
    Image.open(masks[1]).resize((64, 128)).save(masks[1])  # of another image
    masks[2].rename(masks[2].with_name("elsewhere.png"))  # for none
    Image.new("L", (128, 128)).save(masks[3])  # without an object
    image = (root / "images").joinpath(*masks[4].parts[-2:])
    image.write_bytes(image.read_bytes()[:300])
    plan = planned(config(root), model)
    assert len(plan.images.names) == 8
    assert plan.images.left_out == {"images without a mask": 1, "images whose file or mask cannot be used": 3}
    notes = " ".join(plan.images.notes)
    assert "64 × 128 px, does not have the proportions of the image" in notes
    assert "1 mask belongs to none of the images" in notes
    assert "incomplete or damaged" in notes


def test_a_folder_without_labels_explains_the_predictions(root, model, tmp_path):
    loose, masks = tmp_path / "loose", tmp_path / "masks"
    for source, target in ((root / "images", loose), (root / "masks", masks)):
        target.mkdir()
        for path in source.rglob("*.png"):
            shutil.copy(path, target / path.name)
    settings = config(loose, masks=str(masks))
    plan = planned(settings, model)
    assert "12 of 12 images have no class of the model: the predicted one is explained." in plan.images.notes
    found = build_exam(settings, tmp_path / "exam", plan=plan)
    assert set(found.images["label"]) == {-1}
    assert found.images["target"].tolist() == found.images["predicted"].tolist()


def test_images_are_taken_evenly_from_all_classes(root, model):
    plan = planned(config(root, images=6), model)
    assert sorted(plan.images.labels) == [*range(6)]


def test_masks_are_asked_for_only_by_measures_that_need_them(root, model, tmp_path):
    shutil.rmtree(root / "masks")
    with pytest.raises(BadParameter, match="need masks of the objects") as caught:
        planned(config(root), model)
    assert "--measures deletion_auc,insertion_auc" in caught.value.hint
    settings = config(root, measures=("deletion_auc",), images=2)
    found = build_exam(settings, tmp_path / "exam", model=model)
    assert found.curves is None
    assert np.isfinite(found.values).all()


def test_masks_of_other_images_are_refused(root, model, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    Image.new("L", (128, 128), 255).save(other / "unrelated.png")
    with pytest.raises(Unavailable, match="No image has a mask"):
        planned(config(root, masks=str(other)), model)
    with pytest.raises(Unavailable, match="no folder or file of masks"):
        planned(config(root, masks=str(tmp_path / "nowhere")), model)
    for path in (root / "masks").rglob("*.png"):
        Image.new("L", (128, 64), 255).save(path)
    with pytest.raises(Unavailable, match="can take part"):
        planned(config(root), model)


def test_one_image_is_an_exam_of_one_fold(root, model, tmp_path):
    with pytest.raises(BadParameter, match="1 image cannot be split into 2 folds"):
        planned(config(root, images=1), model)
    found = build_exam(config(root, images=1, folds=1), tmp_path / "exam", model=model)
    assert found.values.shape == (1, 3, 1)


def test_fewer_images_than_folds_are_refused(root, model):
    for path in sorted((root / "masks").rglob("*.png"))[1:]:
        path.unlink()
    with pytest.raises(BadParameter, match="1 image cannot be split into 2 folds"):
        planned(config(root), model)


def test_images_that_change_meanwhile_are_not_mixed(root, model, tmp_path):
    plan = planned(config(root), model)
    path = root / "images" / plan.images.names[9]
    Image.new("RGB", (128, 128)).save(path)
    with pytest.raises(StoreError, match="changed while the exam was running"):
        build_exam(plan.config, tmp_path / "exam", plan=plan)


def test_other_masks_are_another_exam(root, model, tmp_path):
    build_exam(config(root, images=2), tmp_path / "exam", model=model)
    mask = root / "masks" / planned(config(root, images=2), model).images.names[0]
    Image.new("L", (128, 128), 255).save(mask)
    with pytest.raises(StoreError, match="other settings"):
        build_exam(config(root, images=2), tmp_path / "exam", model=model)


def test_methods_that_a_model_does_not_support_say_why(tmp_path):
    net, root = nets.model("linear"), tmp_path / "set"
    for label in range(2):
        folder = root / f"class_{label}"
        folder.mkdir(parents=True)
        for number in range(2):
            pixels = np.random.default_rng(10 * label + number).integers(0, 256, (32, 32, 3))
            Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{label}{number}.png")
    settings = config(root, methods=("saliency", "grad_cam"), measures=("deletion_auc",))
    found = build_exam(settings, tmp_path / "exam", model=net)
    reasons = found.methods.set_index("name")["reason"]
    assert "requires a layer with spatial positions" in reasons["grad_cam"]
    assert reasons["saliency"] == ""
    assert np.isnan(found.values[:, found.method("grad_cam")]).all()
    assert np.isfinite(found.values[:, found.method("saliency")]).all()
