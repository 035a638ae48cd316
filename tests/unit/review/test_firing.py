"""Rules that fire in any picture: for the images of a study the same as in the study."""

from dataclasses import replace
from pathlib import Path

import pytest

from core.errors import Unsupported
from core.images import read_picture
from core.review.evidence import fired
from core.review.firing import firing
from core.study import Study
from core.study.build import build_study
from core.study.config import MiningConfig, TransactionConfig
from tests import tiny_build
from tests.nets import model


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Build a study of random pictures, which names them by its folder, with these transactions."""
    root = tmp_path_factory.mktemp("firing")
    for number in range(6):
        tiny_build.draw(root / "images" / f"class_{number % 2}" / f"{number}.png", number)

    def build(**changes):
        patches = replace(tiny_build.PATCHES, sampling="dense", target="predicted", correct_only=False)
        config = tiny_build.config(root / "images", patches=patches, **changes)
        place = root / f"study-{len(list(root.iterdir()))}"
        build_study(config, place, model=model("gap"))
        return Study(place)

    return build


def images_of(study):
    return Path(study.manifest.config["data"])


def test_it_agrees_with_the_study_on_its_own_images(built):
    study = built(transactions=TransactionConfig(filters=2), mining=MiningConfig(support=0.2, filters=2))
    patches, rules = fired(study), study.table("rules")
    found = {
        number: set(firing(study, model("gap"), read_picture(images_of(study), path))["rule"])
        for number, path in study.table("images")[["image", "path"]].itertuples(index=False)
    }
    assert found == {number: set(patches.loc[patches["image"] == number, "rule"]) for number in found}
    assert any(found.values())
    assert not all(len(one) == len(rules) for one in found.values())


def test_ranks_by_z_scores_are_refused(built):
    study = built(transactions=TransactionConfig(ranking="zscore"))
    with pytest.raises(Unsupported, match="z-scores"):
        firing(study, model("gap"), read_picture(images_of(study), study.table("images")["path"][0]))
