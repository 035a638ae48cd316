"""Which study it is: the same bytes again, or another one that is refused."""

import json
import shutil
from dataclasses import replace

import pytest

from core.errors import Cancelled, StudyError, TooLarge
from core.study.build import build_study, config_of
from tests.tiny_build import MINING, bitmaps, config, content, draw, told


def test_the_same_build_gives_the_same_bytes_and_so_does_a_resumed_one(data, gap, study, tmp_path):
    settings = config_of(study)
    again = build_study(settings, tmp_path / "again", model=gap)
    assert content(again) == content(study)
    assert json.loads((again.path / "build.json").read_text())["seconds"]

    def stop_in_the_third_shard(fraction, note):
        if note.startswith("reading images 9"):
            raise Cancelled

    with pytest.raises(Cancelled):
        build_study(settings, tmp_path / "s", model=gap, report=stop_in_the_third_shard)
    assert not (tmp_path / "s").exists()
    notes = []
    resumed = build_study(settings, tmp_path / "s", model=gap, report=lambda f, note: notes.append(note))
    assert not any(note.startswith(("reading images 1 ", "reading images 5 ")) for note in notes)
    assert content(resumed) == content(study)


def test_a_finished_study_is_returned_and_other_settings_are_refused(data, gap, study):
    assert build_study(config_of(study), study.path, model=gap).manifest == study.manifest
    with pytest.raises(Exception, match="contains a study with other settings"):
        build_study(replace(config_of(study), seed=1), study.path, model=gap)


def test_other_rules_need_no_new_passes(data, gap, tmp_path, monkeypatch):
    settings, other = config(data, limit=8), config(data, limit=8, mining=replace(MINING, support=0.8))

    def too_many(*args, **kwargs):
        raise TooLarge("too many")

    with monkeypatch.context() as patch:
        patch.setattr("core.study.build.mine", too_many)
        with pytest.raises(TooLarge):
            build_study(settings, tmp_path / "s", model=gap)
    notes = told(other, tmp_path / "s", gap)
    assert not any(note.startswith("reading images") for note in notes)
    whole = build_study(other, tmp_path / "t", model=gap)
    assert content(build_study(other, tmp_path / "s", model=gap)) == content(whole)
    with pytest.raises(StudyError, match="other settings"):
        build_study(settings, tmp_path / "s", model=gap)


def test_changed_images_make_another_study(data, gap, tmp_path):
    root = tmp_path / "copy"
    shutil.copytree(data, root, symlinks=True)
    build_study(config(root, limit=6), tmp_path / "s", model=gap)
    draw(root / "class_0" / "0.png", 999, size=(90, 90))
    with pytest.raises(Exception, match="other settings, images or weights"):
        build_study(config(root, limit=6), tmp_path / "s", model=gap)


def test_images_of_the_same_size_are_other_images(gap, tmp_path):
    root = bitmaps(tmp_path / "data", range(6))
    settings = config(root)
    build_study(settings, tmp_path / "s", model=gap)
    told(settings, tmp_path / "t", gap, until="reading images 5")
    bitmaps(root, range(1, 7))
    with pytest.raises(StudyError, match="other settings, images or weights"):
        build_study(settings, tmp_path / "s", model=gap)
    fresh = build_study(settings, tmp_path / "u", model=gap)
    assert content(build_study(settings, tmp_path / "t", model=gap)) == content(fresh)


def test_images_that_change_under_the_build_are_refused(gap, tmp_path):
    root = bitmaps(tmp_path / "data", range(6))

    def exchange(fraction, note):
        if note.startswith("reading images 5"):
            bitmaps(root, range(1, 7))

    with pytest.raises(StudyError, match=r"class_1/3\.bmp changed while the study was being built\. Build it again"):
        build_study(config(root), tmp_path / "s", model=gap, report=exchange)
    fresh = build_study(config(root), tmp_path / "t", model=gap)
    assert content(build_study(config(root), tmp_path / "s", model=gap)) == content(fresh)


def test_other_names_of_classes_make_another_study(gap, tmp_path):
    root = bitmaps(tmp_path / "data", range(4))
    build_study(config(root), tmp_path / "s", model=gap)
    with pytest.raises(StudyError, match="other settings"):
        build_study(config(root), tmp_path / "s", model=replace(gap, labels=gap.labels[::-1]))


def test_a_folder_given_from_here_is_found_from_anywhere(gap, tmp_path, monkeypatch):
    bitmaps(tmp_path / "here" / "fl", range(4))
    monkeypatch.chdir(tmp_path / "here")
    study = build_study(config("fl"), "s", model=gap)
    assert study.manifest.data.folder == "../fl"
    assert study.lost() == []
    monkeypatch.chdir("/")
    again = type(study)(tmp_path / "here" / "s")
    assert again.lost() == []
    (tmp_path / "here" / "fl" / "class_0" / "0.bmp").unlink()
    assert again.lost() == ["class_0/0.bmp"]
    absolute = build_study(config(tmp_path / "here" / "fl"), tmp_path / "t", model=gap)
    assert absolute.manifest.data.folder == str(tmp_path / "here" / "fl")


def test_settings_of_another_version_are_a_sentence(study, tmp_path):
    shutil.copytree(study.path, tmp_path / "s")
    manifest = json.loads((tmp_path / "s" / "study.json").read_text())
    manifest["config"]["mining"]["speed"] = 1
    (tmp_path / "s" / "study.json").write_text(json.dumps(manifest))
    with pytest.raises(StudyError, match=r"The study s is damaged: its settings do not belong to this version .*speed"):
        config_of(type(study)(tmp_path / "s"))
