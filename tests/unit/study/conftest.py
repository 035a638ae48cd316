"""What the tests of building share: a model, a folder of pictures, and a study of them."""

from contextlib import contextmanager

import pytest

from core.study import plan as plans
from core.study.build import build_study
from core.study.config import TransactionConfig
from tests.nets import model
from tests.tiny_build import config, draw


@contextmanager
def small_shards():
    """Several shards although there are few images, and no waiting for a disk: these builds outlive no machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plans, "SHARD", 4)
        patch.setattr("os.fsync", lambda handle: None)
        yield


@pytest.fixture(scope="module", autouse=True)
def _small_shards():
    with small_shards():
        yield


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """Five images of each of three classes, one of a class the model lacks, and files that cannot be read."""
    root = tmp_path_factory.mktemp("data") / "set"
    for label in range(3):
        for number in range(5):
            draw(root / f"class_{label}" / f"{number}.png", 10 * label + number)
    draw(root / "class_1" / "grey.png", 50, "L")
    draw(root / "class_1" / "large.jpg", 51, size=(1500, 400))
    draw(root / "zebra" / "one.png", 52)
    (root / "class_0" / "broken.png").write_bytes((root / "class_0" / "1.png").read_bytes()[:60])
    (root / "class_0" / "text.jpg").write_bytes(b"\xff\xd8\xffno image")
    (root / "class_2" / "empty.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (root / "class_2" / "notes.txt").write_text("ignored")
    (root / "class_2" / "self.png").symlink_to("self.png")
    (root / "loop").symlink_to(root)
    (root / "nothing").mkdir()
    return root


@pytest.fixture(scope="session")
def gap():
    return model("gap")


@pytest.fixture(scope="session")
def study(data, gap, tmp_path_factory):
    settings = config(data, transactions=TransactionConfig(filters=8, matrix=True))
    with small_shards():
        return build_study(settings, tmp_path_factory.mktemp("studies") / "s", model=gap)
