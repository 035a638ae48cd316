"""Flowers: what is said about a picture is true of its pixels."""

import hashlib
import json

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import binary_dilation, binary_erosion, maximum_filter, minimum_filter, shift

from core.data import flowers
from core.data.flowers import LAYERS, SHADES, VARIANTS, draw
from core.data.flowers.scene import COLOURS
from core.errors import BadParameter, Cancelled, Unavailable, UnknownName

BORDER = np.ones((3, 3), bool)  # a part's anti-aliased rim reaches at most one pixel beyond its mask

CASES = [(variant, label) for variant in VARIANTS for label in range(len(VARIANTS[variant].classes))]


def changed(one, other):
    return (one.image != other.image).any(-1)


@pytest.mark.parametrize(("variant", "label"), CASES)
def test_mask_is_there_exactly_where_the_class_has_its_part(variant, label):
    for index in range(6):
        flower = draw(variant, label, index, seed=7)
        absent = variant == "part-2c" and label == 0
        assert flower.mask.any() != absent
        assert absent or 40 < flower.mask.sum() < 0.35 * flower.mask.size


@pytest.mark.parametrize("variant", ["single-6c", "shortcut"])
def test_recolouring_the_petals_alone_changes_the_class(variant):
    for index in range(8):
        one, other = (draw(variant, label, index, tagged=False) for label in (index % 6, (index + 1) % 6))
        assert (one.mask == other.mask).all()
        where = changed(one, other)
        assert not (where & ~binary_dilation(one.mask, BORDER)).any()
        # grain and clipping leave a pixel alone now and then, and bleached colours are near each other
        assert where[one.mask].mean() > (0.95 if variant == "single-6c" else 0.6)


def test_recolouring_one_part_alone_changes_the_class_among_twelve():
    for index, part in enumerate(("petals", "stem") * 3):
        labels = [k for k in range(12) if VARIANTS["double-12c"].parts[k % 2] == part]
        one, other = (draw("double-12c", labels[k % 6], index) for k in (index, index + 2))
        where = changed(one, other)
        assert one.part == other.part == part
        assert not (where & ~binary_dilation(one.mask, BORDER)).any()
        assert where[one.mask].mean() > 0.95


def test_leaves_are_all_that_tells_the_two_classes_of_part_2c():
    for index in range(8):
        bare, leafy = (draw("part-2c", label, index) for label in (0, 1))
        assert not (changed(bare, leafy) & ~binary_dilation(leafy.mask, BORDER)).any()


def test_tag_stays_within_its_mask_and_in_its_corner():
    for index in range(6):
        with_tag, without = (draw("shortcut", 2, index, tagged=tagged) for tagged in (True, False))
        tag = with_tag.concepts["tag"]
        assert not (changed(with_tag, without) & ~binary_dilation(tag, BORDER)).any()
        rows, columns = np.nonzero(tag)
        assert rows.min() > 96
        assert columns.max() < 32
        assert without.tag is None


def test_strength_of_the_shortcut_is_rho():
    told = {
        rho: np.mean([flowers._tag(flowers.scene(5, i), i % 6, rho, 6) == i % 6 for i in range(900)])
        for rho in (0, 0.5, 1)
    }
    assert told[1] == 1
    assert told[0] == pytest.approx(1 / 6, abs=0.04)
    assert told[0.5] == pytest.approx(0.5 + 0.5 / 6, abs=0.05)


def test_colour_without_its_place_tells_nothing():
    # the pot wears every colour equally often whatever the class is: 6 × 6 counts are near their mean
    counts = np.zeros((6, 6))
    for index in range(1800):
        wear = flowers.scene(0, index).wear
        counts[index % 6, list(COLOURS).index(wear["pot"])] += 1
    assert ((counts - 50) ** 2 / 50).sum() < 60  # chi squared, 25 degrees of freedom: 60 is beyond 0.999


def test_same_seed_same_bytes_and_any_subset_alone():
    again = [draw("double-12c", index % 12, index, seed=3) for index in (5, 2)]
    for flower in again:
        other = draw("double-12c", flower.label, flower.index, seed=3)
        assert flower.image.tobytes() == other.image.tobytes()
        assert flower.parts.tobytes() == other.parts.tobytes()
    assert (draw("single-6c", 0, 1, seed=3).image != draw("single-6c", 0, 1, seed=4).image).any()
    assert (draw("single-6c", 0, 1, seed=3).image != draw("single-6c", 0, 2, seed=3).image).any()


def test_global_randomness_is_left_alone():
    np.random.seed(1)
    before = np.random.get_state()[1].copy()
    draw("single-6c", 0, 0)
    assert (np.random.get_state()[1] == before).all()


def test_concepts_divide_the_picture_and_boxes_hold_them():
    flower = draw("double-12c", 3, 11)
    parts = [mask for name, mask in flower.concepts.items() if name in LAYERS]
    assert (np.sum(parts, axis=0) == 1).all()
    assert flower.name == "orange-stem"
    assert (flower.concepts["orange"] & flower.concepts["stem"]).sum() == flower.mask.sum()
    for name, (left, top, right, bottom) in flower.boxes.items():
        mask = flower.concepts[name]
        assert mask[top:bottom, left:right].sum() == mask.sum()
        for edge in (mask[top], mask[bottom - 1], mask[:, left], mask[:, right - 1]):
            assert edge.any()


@pytest.mark.parametrize("size", [32, 200])
def test_size_scales_the_same_arrangement(size):
    small, usual = draw("single-6c", 1, 4, size=size), draw("single-6c", 1, 4)
    assert small.image.shape == (size, size, 3)
    assert small.mask.mean() == pytest.approx(usual.mask.mean(), abs=0.02)


def test_labels_sort_like_folders():
    for variant in VARIANTS:
        names = flowers.class_names(variant)
        assert list(names) == sorted(names)


def test_writing_is_reproducible_and_complete(tmp_path):
    manifest = flowers.write("shortcut", tmp_path / "a", per_class=2, seed=4, size=48, rho=0.5)
    flowers.write("shortcut", tmp_path / "b", per_class=2, seed=4, size=48, rho=0.5)
    assert content(tmp_path / "a") == content(tmp_path / "b")
    assert len(content(tmp_path / "a")) == 12 * 4 + 1
    assert json.loads((tmp_path / "a" / "manifest.json").read_text()) == json.loads(json.dumps(manifest))
    entry = manifest["images"][7]
    flower = draw("shortcut", 1, 7, seed=4, size=48, rho=0.5)
    assert entry["file"] == "orange/00007.png"
    assert entry["tag"] == flower.tag
    saved = {folder: np.asarray(Image.open(tmp_path / "a" / folder / entry["file"])) for folder in flowers._FOLDERS}
    assert (saved["images"] == flower.image).all()
    assert (saved["masks"] == 255 * flower.mask).all()
    assert (saved["concepts/parts"] == flower.parts).all()
    assert SHADES[saved["concepts/colours"][flower.mask][0]] == "orange"


def test_the_manifest_flags_the_class_without_the_part(tmp_path):
    manifest = flowers.write("part-2c", tmp_path, per_class=2, seed=4, size=48)
    assert [entry["present"] for entry in manifest["images"]] == [False, True] * 2
    for entry in manifest["images"]:
        mask = np.asarray(Image.open(tmp_path / "masks" / entry["file"]))
        assert mask.any() == entry["present"]


def content(folder):
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


REMOVALS = [("shortcut", part) for part in VARIANTS["shortcut"].removable] + [
    ("part-2c", "leaves"),
    ("double-12c", "stem"),
]


def below_its_outline(flower, mask):
    """Pixels of the background that the shadow of a part may reach: its outline, moved away from the light and soft."""
    light, side = flowers.scene(flower.seed, flower.index).light, len(mask)
    moved = shift(mask.astype(float), (-0.55 * np.sin(light) * 0.07 * side, -np.cos(light) * 0.07 * side), order=1)
    return binary_dilation(moved > 0, BORDER, round(4 * 0.022 * side))


def below_the_pot(flower):
    """Pixels that the shadow beneath the pot may reach."""
    layout, side = flowers.scene(flower.seed, flower.index), 128
    x, bottom = layout.foot[0], layout.foot[1] + layout.pot[2]
    columns, rows = np.meshgrid(*[(np.arange(side) + 0.5) / side] * 2)
    return (abs(rows - bottom) < 0.07) & (abs(columns - x) < 6 * layout.pot[1])


@pytest.mark.parametrize(("variant", "part"), REMOVALS)
def test_without_a_part_only_it_and_its_shadow_change(variant, part):
    for index in range(6):
        whole = draw(variant, 1, index, seed=2)
        less = whole.without(part)
        mask, rest = whole.removable[part], set(VARIANTS[variant].removable) - {part}
        outline = whole.without(*rest - {"petals"} if part == "petal" else rest).removable[part]
        several = maximum_filter(whole.parts, 3) != minimum_filter(whole.parts, 3)  # where parts share a pixel
        own = binary_dilation(mask, BORDER) | (several & binary_dilation(outline, BORDER))
        shadow = np.zeros_like(mask)
        if part not in ("leaves", "tag"):  # what is hidden of the others casts a shadow, too
            shadow = below_its_outline(whole, outline)
        if part == "pot":
            shadow |= below_the_pot(whole)
        room = binary_dilation(whole.parts == 0, BORDER)
        where = changed(whole, less)
        beyond = where & ~own & ~(shadow & room)
        assert not (beyond & ~outline).any()
        assert beyond.sum() <= 1  # a sliver in a gap between two leaves
        assert where[mask].mean() > 0.8
        assert part not in less.removable
        assert (whole.parts == less.parts)[~own].all()


@pytest.mark.parametrize("part", ["petals", "stem"])
def test_what_a_part_hid_is_drawn(part):
    """The stem goes up to the blossom's centre, and into the pot."""
    hidden = 0
    for index in range(6):
        whole = draw("single-6c", 0, index)
        over = "pot" if part == "stem" else "petals"
        under = whole.without(over).removable["stem"] & ~whole.removable["stem"]
        hidden += under.sum()
        assert not (under & ~binary_dilation(whole.removable[over], BORDER)).any()
    assert hidden > 100


def test_two_parts_may_be_left_out_together_and_in_any_order():
    for index in range(4):
        flower = draw("shortcut", 3, index, rho=0.3)
        both = flower.without("stem", "tag")
        one_by_one = flower.without("tag").without("stem")
        assert both.removed == one_by_one.removed == {"stem", "tag"}
        assert both.image.tobytes() == one_by_one.image.tobytes() == flower.without("stem", "tag").image.tobytes()
        assert (both.image == draw("shortcut", 3, index, tagged=False).without("stem").image).all()
        assert (both.label, both.index, both.tag) == (3, index, None)
        assert "stem" not in both.wear
        inside = binary_erosion(flower.removable["pot"], BORDER) & ~binary_dilation(flower.removable["stem"], BORDER)
        assert not changed(both, flower)[inside].any()


def test_a_flower_without_anything_is_its_room():
    flower = draw("single-6c", 2, 8)
    room = flower.without(*VARIANTS["single-6c"].removable)
    assert not room.parts.any()
    assert room.removable == room.boxes == {}
    assert (room.image[:20, :20] == flower.image[:20, :20]).all()


def test_the_petal_is_one_of_the_petals_and_no_other_covers_it():
    for index in range(6):
        flower = draw("single-6c", 0, index)
        petal, petals = flower.removable["petal"], flower.removable["petals"]
        assert 0.02 < petal.sum() / petals.sum() < 0.4
        assert not (petal & ~petals).any()
        assert not flower.without("petals").removable.keys() & {"petal", "petals"}


def test_a_part_that_the_flower_does_not_have_changes_nothing():
    bare = draw("part-2c", 0, 3)
    assert "leaves" not in bare.removable
    assert (bare.without("leaves").image == bare.image).all()
    assert (draw("part-2c", 1, 3).without("leaves").image == bare.image).all()


def test_an_unknown_part_gets_a_sentence():
    with pytest.raises(UnknownName, match="no removable part of single-6c called 'tag'"):
        draw("single-6c", 0, 0).without("tag")
    with pytest.raises(UnknownName, match="Did you mean 'leaves'"):
        draw("part-2c", 1, 0).without("leafs")


def test_wrong_requests_get_a_sentence(tmp_path):
    with pytest.raises(UnknownName, match="double-12c"):
        draw("double-12", 0, 0)
    with pytest.raises(BadParameter, match="no class number 6"):
        draw("single-6c", 6, 0)
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(Unavailable, match="not empty"):
        flowers.write("single-6c", tmp_path)
    with pytest.raises(Unavailable, match="cannot be written"):
        flowers.write("single-6c", tmp_path / "mine.txt" / "below")


def test_a_report_that_raises_stops_the_drawing(tmp_path):
    def stop(fraction, note):
        if fraction > 0:
            raise Cancelled

    with pytest.raises(Cancelled):
        flowers.write("single-6c", tmp_path / "out", per_class=50, size=32, report=stop)
    assert len(list((tmp_path / "out" / "images").rglob("*.png"))) <= 20
