"""A study finds its weights and images after they or the folder of the reader have changed, and accepts no others."""

import json
import os
import shutil

import pytest

from core.cli import main
from core.errors import BadParameter, StudyError, Unavailable
from core.study import Study
from core.study.build import planned
from core.study.config import StudyConfig
from core.workbench import has_weights, move_weights, study_model
from tests.tiny_build import draw, of_own_weights


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A study of own weights, built in their folder."""
    return of_own_weights(tmp_path_factory.mktemp("moved") / "a")


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


def test_new_places_are_remembered_and_checked(moved, capsys):
    """Found from then on by every reader, also after another move; other content is refused."""
    (moved / "two.safetensors").rename(moved.parent / "new.safetensors")
    (moved / "two").rename(moved.parent / "new")
    study = Study(moved / "study")
    assert not has_weights(study)
    assert len(study.lost()) == 4
    with pytest.raises(StudyError, match="is not the model"):
        move_weights(study, moved / "other.safetensors")
    for wrong in (moved, moved / "nowhere", ""):
        with pytest.raises(StudyError, match="images of the study study are not in"):
            study.move_images(wrong)
    assert main(["study", "info", str(moved / "study"), "--data", str(moved.parent / "new")]) == 0
    assert "missing" not in capsys.readouterr().out
    move_weights(study, moved.parent / "new.safetensors")
    Study(moved / "study").move_images(moved.parent / "new")
    shutil.move(moved.parent, moved.parent.with_name("elsewhere"))
    again = Study(moved.parent.with_name("elsewhere") / "a" / "study")
    assert study_model(again).sha == again.manifest.model.sha
    assert again.lost() == []
    assert again.damaged() == []
    assert again.log["seconds"] == study.log["seconds"]


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
