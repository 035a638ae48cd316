"""A study finds its weights and images after they or the folder of the reader have changed, and accepts no others."""

import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from core.cli import main
from core.errors import BadParameter, StudyError, Unavailable
from core.models.sources import flower_networks
from core.study import Study
from core.study.build import planned
from core.study.config import StudyConfig
from core.workbench import study_model
from tests.tiny_build import draw


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A study built from the folder of its weights, labels and images, all named relative to it."""
    root = tmp_path_factory.mktemp("moved") / "a"
    root.mkdir()
    torch.manual_seed(0)
    save_file(flower_networks.architecture(2).state_dict(), root / "two.safetensors")
    save_file({k: v + 1 for k, v in flower_networks.architecture(2).state_dict().items()}, root / "other.safetensors")
    (root / "two.txt").write_text("cat\ndog\n")
    for number in range(4):
        draw(root / "two" / ("cat", "dog")[number % 2] / f"{number}.png", number)
    words = "study build --model flowers:two.safetensors --labels two.txt --data two --out study"
    before = Path.cwd()
    os.chdir(root)
    try:
        assert main([*words.split(), "--patch-count", "2", "--patch-draws", "20", "--transaction-filters", "5"]) == 0
    finally:
        os.chdir(before)
    return root


@pytest.fixture
def moved(made, tmp_path, monkeypatch):
    """A copy of that folder elsewhere, as if it had been moved there, read from a third folder."""
    monkeypatch.chdir(tmp_path)
    root = tmp_path / "b" / "deeper" / "a"
    shutil.copytree(made, root)
    made.rename(made.with_name("away"))
    yield root
    made.with_name("away").rename(made)


def without_paths(study):
    """The log of an earlier version does not say where paths were typed."""
    log = json.loads((study / "build.json").read_text())
    del log["paths"]
    (study / "build.json").write_text(json.dumps(log))


def test_a_study_is_used_from_another_folder(made, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    study = Study(made / "study")
    assert study.lost() == []
    model = study_model(study)
    assert (model.name, model.labels) == ("flowers:two.safetensors", ("cat", "dog"))
    assert main(["study", "ablate", str(made / "study"), "--draws", "2"]) == 0
    assert "4 images, accuracy" in capsys.readouterr().out


@pytest.mark.parametrize("old", [False, True], ids=["new", "of an earlier version"])
def test_a_study_that_moved_with_its_data_finds_it(moved, old):
    if old:
        without_paths(moved / "study")
    study = Study(moved / "study")
    assert study.folder == moved / "two"
    assert study.lost() == []
    assert study_model(study).sha == study.manifest.model.sha


def test_a_study_that_moved_alone_finds_its_data_where_it_was(made, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(made / "study", tmp_path / "alone")
    study = Study(tmp_path / "alone")
    assert study.folder == made / "two"
    assert study_model(study)


def test_what_is_missing_is_named_with_its_option(moved, capsys):
    (moved / "two.safetensors").rename(moved / "new.safetensors")
    study = Study(moved / "study")
    with pytest.raises(
        StudyError, match=r"^The weights two\.safetensors of the study study cannot be found\. Give them"
    ):
        study_model(study)
    words = ["study", "ablate", str(moved / "study"), "--draws", "2"]
    assert main(words) == 2
    assert "--model flowers@FILE" in capsys.readouterr().err
    assert main([*words, "--model", f"flowers@{moved / 'new.safetensors'}"]) == 0
    assert main([*words, "--model", f"flowers@{moved / 'other.safetensors'}"]) == 2
    assert "is not the model the study study was built with" in capsys.readouterr().err
    (moved / "names.txt").write_text("Katze\nHund\n")
    assert main([*words, "--model", f"flowers@{moved / 'new.safetensors'}", "--labels", str(moved / "names.txt")]) == 0
    assert "Katze" in capsys.readouterr().out


def test_other_content_at_the_same_path_is_not_accepted(moved):
    shutil.copy(moved / "other.safetensors", moved / "two.safetensors")
    study = Study(moved / "study")
    with pytest.raises(StudyError, match="is not the model the study study was built with"):
        study_model(study)
    for file in moved.glob("two/*/*.png"):
        draw(file, 99)
    study = Study(moved / "study")
    assert study.folder == moved / "two", "the place it had before, of which the reader is told"
    assert study.lost() == []


def test_a_model_of_other_classes_is_a_sentence(made):
    study = Study(made / "study")
    study.labels = ("cat",)
    with pytest.raises(StudyError, match="has 1 classes, its model has 2"):
        study_model(study)


def test_names_that_are_not_utf_8_are_counted_and_left_out(made, tmp_path):
    shutil.copytree(made / "two", tmp_path / "two")
    odd = os.fsdecode(b"\xff.png")
    draw(tmp_path / "two" / "cat" / "x.png", 7)
    (tmp_path / "two" / "cat" / "x.png").rename(tmp_path / "two" / "cat" / odd)
    (tmp_path / "two" / os.fsdecode(b"\xfe")).mkdir()
    plan = planned(StudyConfig("flowers-single-6c", str(tmp_path / "two")))
    assert plan.folder.skipped["pictures whose names are not UTF-8"] == 1
    assert len(plan.folder) == 4
    json.dumps([plan.folder.paths, list(plan.folder.unmatched)], ensure_ascii=False).encode()
    shutil.rmtree(tmp_path / "two" / "dog")
    for file in (tmp_path / "two" / "cat").glob("[0-9]*"):
        file.unlink()
    with pytest.raises(Unavailable, match=r"No image in .* has a name in UTF-8"):
        planned(StudyConfig("flowers-single-6c", str(tmp_path / "two")))
    with pytest.raises(BadParameter, match=r"study\.data cannot be .*, as its name is not UTF-8"):
        planned(StudyConfig("flowers-single-6c", os.fsdecode(bytes(tmp_path / "two" / "cat") + b"\xff")))


@pytest.mark.parametrize("name", ["x" * 300, "/".join(["y" * 200] * 30), "a\0b", os.fsdecode(b"\xff" * 300)])
def test_a_name_that_cannot_be_a_study_is_a_sentence(made, tmp_path, capsys, name):
    words = ["study", "build", "--model", "flowers-single-6c", "--data", str(made / "two"), "--out"]
    assert main([*words, str(tmp_path / name)]) == 2
    error = capsys.readouterr().err
    assert len(error) < 300
    assert "defect" not in error
