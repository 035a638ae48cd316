"""`vitrine bias` on flowers whose tag says the class, and on others."""

import csv
import json
import shutil

import pytest

from core.cli import main
from core.data import flowers
from tests.said import sentence

TAGGED, HONEST = "flowers-shortcut-6c", "flowers-single-6c"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("flowers") / "tagged"
    flowers.write("shortcut", path, per_class=4, seed=3, rho=1.0)
    return path


def told(capsys, *words):
    assert main(["bias", *map(str, words)]) == 0
    return capsys.readouterr().out


def test_the_region_is_placed_on_the_tag(folder, capsys):
    content = json.loads(told(capsys, folder, "--model", TAGGED, "--json"))
    left, top, width, height = content["region"]
    assert (width, height) == (25, 25)
    assert left < 5
    assert top > 70
    every = content["classes"][-1]
    assert every["class"] == "all classes"
    assert every["share"] > 0.6
    assert every["area"] == pytest.approx(1 / 16, rel=0.01)
    assert every["flips"] > 0.6
    assert every["control"] == 0
    assert every["change_high"] < -0.3
    assert len(content["classes"]) == 7


def test_another_region_changes_nothing(folder, capsys):
    every = json.loads(told(capsys, folder, "--model", TAGGED, "--region", "75,0,25,25", "--json"))["classes"][-1]
    assert every["share"] < every["area"]
    assert every["flips"] == 0


def test_text_and_csv_have_the_same_numbers(folder, capsys, tmp_path):
    words = (folder, "--model", TAGGED, "--region", "0,75,25,25", "--fill", "black")
    lines = told(capsys, *words).splitlines()
    assert lines[:2] == [f"tagged: {TAGGED}, 24 images", "region: left 0%, top 75%, width 25%, height 25%"]
    told(capsys, *words, "--csv", tmp_path / "bias.csv")
    rows = list(csv.DictReader((tmp_path / "bias.csv").open(encoding="utf-8")))
    share = f"{float(rows[-1]['share']):.1%}"
    assert lines[2].startswith(share)
    assert f"{share:>6} of the evidence" in lines[-1]
    assert lines[-1].endswith("all classes")


def test_masks_are_the_region_and_missing_ones_are_counted(folder, capsys, tmp_path):
    """The network reads the tag, and the masks are of the petals."""
    masks = tmp_path / "masks"
    shutil.copytree(folder / "masks", masks)
    next(iter(sorted(masks.rglob("*.png")))).unlink()
    content = json.loads(told(capsys, folder, "--model", TAGGED, "--masks", masks, "--json"))
    assert (content["region"], content["without"]) == (str(masks), 1)
    every = content["classes"][-1]
    assert (every["maps"], every["filled"]) == (23, 23)
    assert every["share"] < every["area"]
    assert every["flips"] == 0
    lines = told(capsys, folder, "--model", TAGGED, "--masks", masks).splitlines()
    assert lines[1].startswith("1 of 24 images have no mask, such as: There is no mask for ")
    assert lines[2] == f"region: {masks}"
    assert f"{every['share']:.1%}" in lines[3]


def test_groups_of_a_column_have_their_spread(folder, capsys, tmp_path):
    paths = sorted(path.relative_to(folder / "images").as_posix() for path in (folder / "images").rglob("*.png"))
    table = tmp_path / "sites.csv"
    table.write_text(
        "file,site\n" + "".join(f"{path},{'north' if i % 3 else 'south'}\n" for i, path in enumerate(paths))
    )
    lines = told(capsys, folder, "--model", HONEST, "--groups", f"{table}:site").splitlines()
    assert "percentage points." in lines[-3]
    assert [line.rpartition(": ")[2] for line in lines[-2:]] == ["north", "south"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--region", "0,75,25"), "--region cannot be '0,75,25'"),
        (("--region", "0,75,50,50"), "does not lie inside the image"),
        (("--region", "a,b,c,d"), "--region cannot be"),
        (("--fill", "red"), "--fill cannot be 'red'"),
        (("--masks", "/nowhere"), "There is no folder or file of masks at /nowhere"),
        (("--groups", "sites.csv"), "--groups cannot be 'sites.csv'"),
        (("--images", "x"), "--images cannot be 'x'"),
    ],
)
def test_bad_input_is_a_sentence(folder, capsys, words, said):
    assert main(["bias", str(folder), "--model", TAGGED, *words]) == 2
    assert said in sentence(capsys)
