"""Masks of the images of a folder: whose they are, what they mark, and what is said about images without one."""

import itertools
import json
import shutil

import numpy as np
import pytest
from PIL import Image
from skimage.measure import points_in_poly

from core.data import flowers
from core.data.image_folder import scan
from core.data.masks import mask_folder
from core.errors import BadImage, Cancelled, Unavailable
from core.images import Preprocess, read_picture

SIDE = 32
WHOLE = Preprocess(crop=SIDE, resize=SIDE)
CROPPED = Preprocess(crop=20, resize=30)
SIZE = (SIDE, SIDE)


@pytest.fixture
def shape():
    """A mask (32, 32) of two parts, one of which has a hole."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    return ((rows - 12) ** 2 + (columns - 18) ** 2 < 80) & ((rows - 12) ** 2 + (columns - 18) ** 2 > 9) | (rows > 28)


def saved(path, values, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = values if isinstance(values, Image.Image) else Image.fromarray(np.asarray(values))
    image.save(path, **options)


def white(mask):
    return mask.astype(np.uint8) * 255


def refused(root, size=SIZE, preprocess=WHOLE):
    """The sentence with which the mask of x.jpg is refused."""
    with pytest.raises(BadImage) as caught:
        mask_folder(root, ["x.jpg"]).mask("x.jpg", size, preprocess)
    assert caught.value.message.endswith(".")
    assert caught.value.hint
    return caught.value.message


def coco(*annotations, images=None, categories=()):
    known = images or [{"id": 1, "file_name": "x.jpg", "width": SIDE, "height": SIDE}]
    return {"images": known, "annotations": list(annotations), "categories": list(categories)}


def read_coco(tmp_path, *annotations, size=SIZE, preprocess=WHOLE, name="", **others):
    file = tmp_path / "instances.json"
    file.write_text(json.dumps(coco(*annotations, **others)))
    return mask_folder(file, ["x.jpg"]).mask("x.jpg", size, preprocess, name)


def box(left, top, right, bottom, name="cat"):
    ends = {"xmin": left, "ymin": top, "xmax": right, "ymax": bottom}
    inside = "".join(f"<{key}>{value}</{key}>" for key, value in ends.items())
    return f"<object><name>{name}</name><bndbox>{inside}</bndbox></object>"


def xml(*objects, width=SIDE, height=SIDE, filename="x.jpg"):
    size = f"<size><width>{width}</width><height>{height}</height><depth>3</depth></size>"
    return f'<?xml version="1.0"?><annotation><filename>{filename}</filename>{size}{"".join(objects)}</annotation>'


def read_xml(tmp_path, text, size=SIZE, preprocess=WHOLE, name=""):
    (tmp_path / "x.xml").write_text(text)
    return mask_folder(tmp_path, ["x.jpg"]).mask("x.jpg", size, preprocess, name)


@pytest.mark.parametrize("preprocess", [WHOLE, CROPPED, Preprocess(crop=24, resize=24, squash=True)], ids=str)
def test_masks_of_flowers_lie_on_them(tmp_path, preprocess):
    flowers.write("double-12c", tmp_path / "set", per_class=1, size=40)
    images = scan(tmp_path / "set")
    found = mask_folder(tmp_path / "set" / "masks", images.paths)
    sizes = [read_picture(images.root, path).pixels.shape[:2] for path in images.paths]
    masks = found.masks(images.paths, sizes, preprocess)
    assert (masks.missing, masks.notes, found.notes) == ({}, {}, ())
    for index, mask in enumerate(masks.masks):
        assert (mask == preprocess.mask(images.mask(index))).all()
        assert mask.any()


def test_a_mask_belongs_to_the_image_of_its_path_else_of_its_name(tmp_path, shape):
    saved(tmp_path / "a" / "x.png", white(shape))
    saved(tmp_path / "x.png", white(~shape))
    saved(tmp_path / "deep" / "er" / "y.tif", white(shape))
    saved(tmp_path / "z.bmp", white(~shape))
    found = mask_folder(tmp_path, ["a/x.JPEG", "b/x.jpg", "b/y.jpg", "c/w.jpg"])
    assert (found.mask("a/x.JPEG", SIZE, WHOLE).mask == shape).all()
    assert (found.mask("b/x.jpg", SIZE, WHOLE).mask == ~shape).all()
    assert (found.mask("b/y.jpg", SIZE, WHOLE).mask == shape).all()
    assert found.missing == {"c/w.jpg": "There is no mask for c/w.jpg."}
    assert found.notes == ("1 mask belongs to none of the images (z).",)


def test_what_is_not_clear_is_not_guessed(tmp_path, shape):
    saved(tmp_path / "x.png", white(shape))
    saved(tmp_path / "one" / "y.png", white(shape))
    saved(tmp_path / "two" / "y.png", white(shape))
    saved(tmp_path / "z.png", white(shape))
    found = mask_folder(tmp_path, ["a/x.jpg", "b/x.jpg", "y.jpg", "z.jpg"])
    assert found.missing == {
        "a/x.jpg": "2 images are called x, and x.png may belong to any of them.",
        "b/x.jpg": "2 images are called x, and x.png may belong to any of them.",
        "y.jpg": "y.jpg has 2 masks, such as one/y.png and two/y.png.",
    }
    assert list(found.sources) == ["z.jpg"]


def test_pictures_come_before_xml_and_xml_before_coco(tmp_path, shape):
    (tmp_path / "x.xml").write_text(xml(box(1, 1, 4, 4)))
    (tmp_path / "all.json").write_text(json.dumps(coco({"image_id": 1, "bbox": [8, 8, 2, 2]})))
    assert mask_folder(tmp_path, ["x.jpg"]).mask("x.jpg", SIZE, WHOLE).mask.sum() == 16
    saved(tmp_path / "x.png", white(shape))
    assert (mask_folder(tmp_path, ["x.jpg"]).mask("x.jpg", SIZE, WHOLE).mask == shape).all()
    assert mask_folder(tmp_path / "all.json", ["x.jpg"]).mask("x.jpg", SIZE, WHOLE).mask.sum() == 4


def soft(mask):
    """Grey values: light ones on the object, dark ones beside it."""
    steps = (np.arange(SIDE * SIDE).reshape(SIZE) % 32 * 3).astype(np.uint8)
    return np.where(mask, 255 - steps, steps)


def palette(mask, *colours):
    image = Image.fromarray(mask.astype(np.uint8), "P")
    image.putpalette([value for colour in colours for value in colour])
    return image


def bordered(mask):
    """A label map as VOC has it: 15 on the object, 255 on a border that lies outside it."""
    labels = np.where(mask, 15, 0).astype(np.uint8)
    labels[~mask & (np.arange(SIDE) < 3)] = 255
    image = Image.fromarray(labels, "P")
    image.putpalette([number * 37 % 256 if channel else number for number in range(256) for channel in range(3)])
    return image


VALUES = {
    "0 and 255": (white, ""),
    "0 and 1": (lambda m: m.astype(np.uint8), ""),
    "one bit": (lambda m: Image.fromarray(white(m)).convert("1"), ""),
    "16 bits": (lambda m: m.astype(np.uint16) * 65_535, ""),
    "grey as colours": (lambda m: np.repeat(white(m)[..., None], 3, 2), ""),
    "grey with opacity": (lambda m: np.dstack([white(m)] * 3 + [np.full(SIZE, 255, np.uint8)]), ""),
    "reversed palette": (lambda m: palette(~m, (255, 255, 255), (0, 0, 0)), ""),
    "100 and 200": (lambda m: np.where(m, 200, 100).astype(np.uint8), "values 100 and 200"),
    "soft": (soft, "64 values: those above 127.5 count"),
    "labels": (lambda m: (m * (1 + np.arange(SIDE) % 3)).astype(np.uint8), "4 values: those above 0 count"),
    "opacity": (lambda m: np.dstack([white(m)] * 3 + [np.where(m, 200, 60).astype(np.uint8)]), "opaque part"),
    "label map": (lambda m: palette(m, (0, 0, 0), (128, 0, 0)), "label map"),
    "label map with borders": (bordered, "label map"),
}


@pytest.mark.parametrize("kind", VALUES)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of Pillow, about modes that this test names
def test_values_of_pictures(tmp_path, shape, kind):
    made, note = VALUES[kind]
    saved(tmp_path / "x.png", made(shape))
    found = mask_folder(tmp_path, ["x.jpg"]).mask("x.jpg", SIZE, WHOLE)
    assert (found.mask == shape).all()
    assert note in " ".join(found.notes)
    assert bool(note) == bool(found.notes)


def test_pictures_that_are_no_masks(tmp_path):
    saved(tmp_path / "x.png", np.random.default_rng(0).integers(0, 255, (*SIZE, 3), np.uint8))
    assert refused(tmp_path) == "x.png is a picture in colour, not a mask."
    saved(tmp_path / "x.png", np.zeros(SIZE, np.uint8))
    assert refused(tmp_path) == "x.png marks nothing in what the model sees of x.jpg."
    saved(tmp_path / "x.png", np.full(SIZE, 255, np.uint8))
    found = mask_folder(tmp_path, ["x.jpg"]).mask("x.jpg", SIZE, WHOLE)
    assert found.mask.all()
    assert found.notes == ("x.png marks the whole image.",)
    (tmp_path / "x.png").unlink()
    for value, reason in ((np.nan, "values that are no numbers"), (-3.0, "negative values")):
        saved(tmp_path / "x.tif", np.full(SIZE, value, np.float32))
        assert reason in refused(tmp_path)


def test_masks_of_another_size_are_resized_and_of_other_proportions_refused(tmp_path, shape):
    saved(tmp_path / "x.png", white(shape[::2, ::2]))
    found = mask_folder(tmp_path, ["x.jpg"]).mask("x.jpg", SIZE, WHOLE)
    assert (found.mask == shape[::2, ::2].repeat(2, 0).repeat(2, 1)).all()
    assert found.notes == ("The mask in x.png, 16 × 16 px, was resized to the image, 32 × 32 px.",)
    for size in ((20, 40), (33, 39)):
        told = refused(tmp_path, size)
        assert told.startswith("The mask in x.png, 16 × 16 px, does not have the proportions of the image, ")
    saved(tmp_path / "x.png", np.pad(white(shape), ((0, 0), (0, 14))))
    assert mask_folder(tmp_path, ["x.jpg"]).mask("x.jpg", (67, 97), WHOLE).notes  # 32 × 46.3: rounded to a pixel


def test_what_the_model_does_not_see_has_no_mask(tmp_path):
    mask = np.zeros((60, 60), np.uint8)
    mask[:6] = 1
    saved(tmp_path / "x.png", mask)
    assert mask_folder(tmp_path, ["x.jpg"]).mask("x.jpg", (60, 60), WHOLE).mask.any()
    assert "marks nothing in what the model sees" in refused(tmp_path, (60, 60), CROPPED)


@pytest.mark.parametrize("preprocess", [WHOLE, CROPPED], ids=str)
def test_outlines_of_coco_are_the_pixels_whose_centres_lie_inside(tmp_path, preprocess):
    """Against scikit-image, for a star and an outline that leaves the image; the picture is twice the annotated one."""
    turns = np.arange(10) * 0.628
    star = np.stack([17.3 + np.cos(turns) * (4 + turns.size % 7 * (np.arange(10) % 2)), 12.1 + np.sin(turns) * 9], 1)
    beyond = np.array([[-9.0, 20.2], [10.4, 25.3], [8.8, 51.0], [-20.0, 40.0]])
    shapes = [[float(value) for value in one.ravel()] for one in (star, beyond)]
    entry = {"image_id": 1, "segmentation": shapes, "bbox": [2, 3, 20, 30]}
    found = read_coco(tmp_path, entry, size=(2 * SIDE, 2 * SIDE), preprocess=preprocess)
    side, cut = preprocess.resize, (preprocess.resize - preprocess.crop) / 2
    centres = np.stack(np.meshgrid(*[(np.arange(preprocess.crop) + 0.5 + cut) * SIDE / side] * 2), 2).reshape(-1, 2)
    inside = points_in_poly(centres, star) | points_in_poly(centres, beyond)
    assert (found.mask.ravel() == inside).all()
    low, high = ((np.array(ends) * side / SIDE - cut).clip(0, preprocess.crop) for ends in ((3, 2), (33, 22)))
    assert found.boxes == pytest.approx(np.array([[*low, *(high - low)]]))


def test_a_centre_on_the_border_lies_in_the_object_below_or_right_of_it(tmp_path):
    found = read_coco(tmp_path, {"image_id": 1, "bbox": [2.5, 3.5, 2, 2]})
    assert np.argwhere(found.mask).tolist() == [[3, 2], [3, 3], [4, 2], [4, 3]]
    assert found.boxes.tolist() == [[3.5, 2.5, 2, 2]]


def runs_of(mask):
    """Run lengths down the columns, beginning with false."""
    flat = [False, *mask.T.ravel().tolist()]
    runs = [len(list(group)) for _, group in itertools.groupby(flat)]
    return [runs[0] - 1, *runs[1:]]


def packed(runs):
    """Runs as pycocotools writes them: differences to the run before the last, five bits a character."""
    text = ""
    for place, run in enumerate(runs):
        number, more = run - (runs[place - 2] if place > 2 else 0), True
        while more:
            bits, number = number & 31, number >> 5
            more = number != (-1 if bits & 16 else 0)
            text += chr(48 + bits + 32 * more)
    return text


def test_run_lengths_of_coco(tmp_path, shape):
    for mask in (shape, ~shape, np.random.default_rng(0).random(SIZE) < 0.01):
        for counts in (runs_of(mask), packed(runs_of(mask))):
            found = read_coco(tmp_path, {"image_id": 1, "segmentation": {"size": [SIDE, SIDE], "counts": counts}})
            assert (found.mask == mask).all()
            assert found.boxes.shape == (0, 4)
    assert packed([6, 1, 40, 4, 5, 4, 5, 4, 21]) == "61X13mN000`0"  # of pycocotools


def test_objects_of_an_image_are_joined_and_those_of_its_class_alone_if_there_are_some(tmp_path):
    cat, dog, crowd = (
        {"image_id": 1, "category_id": 1, "bbox": [2, 3, 4, 5]},
        {"image_id": 1, "category_id": 2, "bbox": [20, 20.25, 5, 5]},
        {"image_id": 1, "category_id": 2, "iscrowd": 1, "bbox": [0, 0, 9, 9]},
    )
    crowd["segmentation"] = {"size": [SIDE, SIDE], "counts": [31, 1, 32 * 31]}
    known = [{"id": 1, "name": "Tabby cat"}, {"id": 2, "name": "dog"}]
    found = read_coco(tmp_path, cat, dog, crowd, categories=known)
    expected = np.zeros(SIZE, bool)
    expected[3:8, 2:6] = expected[20:25, 20:25] = expected[31, 0] = True
    assert (found.mask == expected).all()
    assert found.boxes.tolist() == [[3, 2, 5, 4], [20.25, 20, 5, 5]]
    found = read_coco(tmp_path, cat, dog, crowd, categories=known, name="tabby_cat")
    assert found.mask.sum() == 20
    assert found.boxes.tolist() == [[3, 2, 5, 4]]
    assert found.notes == ("Left out in instances.json: 2 objects of other classes.",)
    found = read_coco(tmp_path, cat, dog, categories=known, name="bird")
    assert found.boxes.shape == (2, 4)
    assert found.notes == ("No object in instances.json is called bird: all of them count.",)


def test_boxes_of_voc_count_pixels_from_one_and_hold_both_ends(tmp_path):
    text = xml(box(1, 1, 32, 8), box(5, 20, 6, 22, "dog"))
    found = read_xml(tmp_path, text)
    expected = np.zeros(SIZE, bool)
    expected[:8] = expected[19:22, 4:6] = True
    assert (found.mask == expected).all()
    assert found.boxes.tolist() == [[0, 0, 8, 32], [19, 4, 3, 2]]
    assert read_xml(tmp_path, text, name="DOG").boxes.tolist() == [[19, 4, 3, 2]]
    cut = read_xml(tmp_path, text, size=(60, 60), preprocess=CROPPED, name="cat")
    assert cut.boxes.tolist() == [[0, 0, 2.5, 20]]  # 7.5 of 30 rows, of which 5 are cropped
    assert "32 × 32 px, was resized" in cut.notes[1]


@pytest.mark.parametrize("size", ["", "<size><width>0</width><height>0</height></size>"])
def test_boxes_without_a_size_are_in_pixels_of_the_image(tmp_path, size):
    """ImageNet has names without ending, and some without a name."""
    for name in ("x", "%s", ""):
        text = f"<annotation><filename>{name}</filename>{size}{box(3, 3, 4, 4)}</annotation>"
        assert read_xml(tmp_path, text, size=(40, 40), preprocess=Preprocess(40, 40)).mask.sum() == 4


def test_the_annotation_of_another_image_is_refused(tmp_path):
    (tmp_path / "x.xml").write_text(xml(box(1, 1, 4, 4), filename="folder/y.jpg"))
    assert refused(tmp_path) == "x.xml is about another image, folder/y.jpg."
    (tmp_path / "x.xml").write_text(xml(box(1, 1, 4, 4), width=60))
    assert "does not have the proportions" in refused(tmp_path)


def test_what_coco_does_not_annotate_has_a_reason(tmp_path):
    images = [{"id": number, "file_name": f"part/{name}.jpg"} for number, name in enumerate("xyz")]
    file = tmp_path / "all.json"
    file.write_text(json.dumps(coco({"image_id": 0, "bbox": [1, 1, 2, 2]}, {"image_id": 9}, {}, images=images)))
    found = mask_folder(file, ["part/x.png", "y.jpg", "w.jpg"])
    masks = found.masks(["part/x.png", "y.jpg", "w.jpg"], [SIZE] * 3, WHOLE)
    assert masks.masks.sum((1, 2)).tolist() == [4, 0, 0]
    assert masks.missing == {"y.jpg": "all.json has no object in y.jpg.", "w.jpg": "There is no mask for w.jpg."}
    assert [len(boxes) for boxes in masks.boxes] == [1, 0, 0]
    assert found.notes == (
        "all.json has 2 annotations of no image.",
        "1 mask belongs to none of the images (part/z).",
    )


def test_notes_belong_to_their_images(tmp_path, shape):
    saved(tmp_path / "x.png", white(shape[::2, ::2]))
    saved(tmp_path / "y.png", white(shape))
    masks = mask_folder(tmp_path, ["x.jpg", "y.jpg"]).masks(["x.jpg", "y.jpg"], [SIZE] * 2, WHOLE)
    assert list(masks.notes) == ["x.jpg"]
    assert masks.missing == {}


def test_a_folder_without_masks_is_refused(tmp_path, shape):
    with pytest.raises(Unavailable, match="no folder or file of masks"):
        mask_folder(tmp_path / "nowhere", ["x.jpg"])
    with pytest.raises(Unavailable, match=r"No image has a mask in .* There is no mask for x"):
        mask_folder(tmp_path, ["x.jpg"])
    (tmp_path / "notes.json").write_text('{"a": 1}')
    with pytest.raises(Unavailable, match="it has no lists of images and annotations"):
        mask_folder(tmp_path, ["x.jpg"])
    saved(tmp_path / "x.png", white(shape))
    assert mask_folder(tmp_path, ["x.jpg"]).notes == (
        "notes.json is not read as COCO: it has no lists of images and annotations, as COCO has.",
    )


def test_of_many_json_files_one_is_named(tmp_path, shape):
    saved(tmp_path / "x.png", white(shape))
    for name in "abc":
        (tmp_path / f"{name}.json").write_text("[")
    assert mask_folder(tmp_path, ["x.jpg"]).notes == (
        "a.json is not read as COCO: line 1 is not JSON. Other JSON files that are not: 2.",
    )


def test_reading_can_be_cancelled(tmp_path, shape):
    saved(tmp_path / "x.png", white(shape))

    def stop(fraction, note):
        raise Cancelled

    with pytest.raises(Cancelled):
        mask_folder(tmp_path, ["x.jpg"]).masks(["x.jpg"], [SIZE], WHOLE, report=stop)


def test_folders_that_link_to_each_other_are_read_once(tmp_path, shape):
    saved(tmp_path / "masks" / "x.png", white(shape))
    (tmp_path / "masks" / "up").symlink_to(tmp_path / "masks")
    (tmp_path / "elsewhere").mkdir()
    shutil.copy(tmp_path / "masks" / "x.png", tmp_path / "elsewhere" / "y.png")
    (tmp_path / "masks" / "other").symlink_to(tmp_path / "elsewhere")
    found = mask_folder(tmp_path / "masks", ["x.jpg", "y.jpg"])
    assert [source.file for source in found.sources.values()] == ["x.png", "other/y.png"]
