"""Reading of studies: damaged, foreign and newer ones, lists of them, and whatever may be wrong with a file."""

import json
from dataclasses import replace

import numpy as np
import pytest

from core.errors import StudyError
from core.store.schema import LOG, Values
from core.store.writer import remove
from core.study import Study, list_studies
from core.study.schema import STUDY
from tests.small_studies import MANIFEST, SMALL, interrupted, write

pytestmark = pytest.mark.usefixtures("small_studies")


def test_damaged_foreign_and_newer_studies_are_refused_in_one_sentence(tmp_path):
    path = write(tmp_path / "s").path
    manifest = json.loads((path / MANIFEST).read_text())

    def refused(match):
        with pytest.raises(StudyError, match=match) as caught:
            Study(path)
        assert caught.value.message.endswith(".")
        assert "\n" not in str(caught.value)

    crops = (path / "crops.npy").read_bytes()
    (path / "crops.npy").write_bytes(crops[:-1])
    refused("The study s is damaged: crops.npy is missing or incomplete")
    (path / "crops.npy").write_bytes(crops[:-1] + b"x")
    assert Study(path).damaged() == ["crops.npy"]
    (path / "crops.npy").unlink()
    refused("crops.npy is missing")
    (path / "crops.npy").write_bytes(crops)
    (path / MANIFEST).write_text(json.dumps({**manifest, "version": 99}))
    refused("has format 99, and this version of Vitrine reads up to 2")
    for text in ('{"version": 1}', "[1, 2]", '{"name": "another app"}'):
        (path / MANIFEST).write_text(text)
        refused("is not the manifest of a study")
    (path / MANIFEST).write_text(json.dumps(manifest)[:-40])
    refused("damaged: study.json cannot be read")
    (path / MANIFEST).write_bytes(b"\xff\xfe\x00")
    refused("damaged: study.json cannot be read")
    (path / MANIFEST).unlink()
    refused("damaged: study.json is missing")
    (path / "letter.txt").write_text("dear")
    refused("There is no study in")
    with pytest.raises(StudyError, match="is a file, and a study is a folder"):
        Study(path / "crops.npy")


def test_studies_are_listed_broken_ones_with_the_reason(tmp_path):
    write(tmp_path / "b")
    write(tmp_path / "a")
    (tmp_path / "b" / "crops.npy").unlink()
    (tmp_path / "other").mkdir()
    with pytest.raises(InterruptedError):
        interrupted(tmp_path / "c", {})
    listed = list_studies(tmp_path, tmp_path / "nowhere")
    assert [(one.path.name, one.study is not None) for one in listed] == [("a", True), ("b", False)]
    assert "damaged" in listed[1].problem


def test_a_study_is_listed_from_memory_until_a_file_of_it_changes(tmp_path, monkeypatch):
    path, opened = write(tmp_path / "s").path, []
    monkeypatch.setattr("core.study.Study", lambda path: opened.append(path) or Study(path))
    (first,) = list_studies(tmp_path)
    assert list_studies(tmp_path) == [first]
    assert list_studies(tmp_path)[0].study is first.study
    assert opened == [path]
    crops = (path / "crops.npy").read_bytes()
    (path / "crops.npy").write_bytes(crops[:-1])
    assert "crops.npy is missing or incomplete" in list_studies(tmp_path)[0].problem
    (path / "crops.npy").write_bytes(crops)
    manifest = json.loads((path / MANIFEST).read_text())
    (path / MANIFEST).write_text(json.dumps({**manifest, "window": 3}))
    assert list_studies(tmp_path)[0].study.manifest.window == 3
    (path / LOG).unlink()
    assert list_studies(tmp_path)[0].study.log == {}
    remove(STUDY, path)
    assert list_studies(tmp_path) == []
    assert write(path).manifest == list_studies(tmp_path)[0].study.manifest


def test_lost_images_are_named(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.png").write_bytes(b"")
    assert write(tmp_path / "s").lost(tmp_path / "images") == ["b.png"] * 3


def spoiled(study, name):
    """A file of a study cut short, emptied, zeroed, zeroed in part, with others' bytes, and gone, one after another."""
    file = study / name
    whole = file.read_bytes()
    other = (study / ("rules.parquet" if name != "rules.parquet" else "crops.npy")).read_bytes()
    for content in (
        whole[: len(whole) // 2], b"", b"{", b"{}", b"[]", b"null", bytes(len(whole)), bytes(20) + whole[20:], other,
        (other * (1 + len(whole) // len(other)))[: len(whole)], whole[:-8] + bytes(8),
    ):  # fmt: skip
        if content != whole:
            file.write_bytes(content)
            yield content
    file.unlink()
    yield None
    file.mkdir()
    yield "a folder"
    file.rmdir()
    file.symlink_to(name)
    yield "a link to itself"
    file.unlink()
    file.write_bytes(whole)


def read(path):
    study = Study(path)
    for name in study.manifest.tables:
        study.table(name)
    for name in study.manifest.arrays:
        np.asarray(study.array(name)).sum()
    assert isinstance(study.log.get("seconds", {}), dict)
    assert isinstance(study.labels, tuple)
    study.lost()
    return study


def test_whatever_is_wrong_with_a_file_is_one_sentence(tmp_path):
    path = write(tmp_path / "s").path
    for name in sorted(file.name for file in path.iterdir()):
        refused = 0
        for content in spoiled(path, name):
            error = refusal(path)
            if error:
                refused += 1
                assert error.message.endswith(".")
                assert error.hint
            else:  # numbers within an array may change unseen, and a log may be gone
                assert name.endswith(".npy") or (name == LOG and content is None)
                assert Study(path).damaged() == ([name] if name != LOG else [])
            list_studies(tmp_path)
        assert refused >= 11, name
    assert refusal(path) is None


def refusal(path):
    try:
        read(path)
    except StudyError as error:
        return error
    return None


def parts(value, place=()):
    """Every path in a manifest; of similar ones only the first."""
    alike = place[:1] and place[0] in {"tables", "arrays", "files"}
    for key in list(value)[: 1 if alike and len(place) == 1 else None] if isinstance(value, dict) else ():
        yield (*place, key)
        yield from parts(value[key], (*place, key))


def test_a_manifest_of_other_kinds_is_one_sentence(tmp_path):
    path = write(tmp_path / "s").path
    whole = (path / MANIFEST).read_text()
    tried = 0
    for place in parts(json.loads(whole)):
        for value in (None, [], {}, "x", -1, 1.5, [None], "../x"):
            manifest = json.loads(whole)
            inner = manifest
            for key in place[:-1]:
                inner = inner[key]
            inner[place[-1]] = value
            (path / MANIFEST).write_text(json.dumps(manifest))
            tried += 1
            refusal(path)
            assert len(list_studies(tmp_path)) == 1
    assert tried > 200


def test_a_file_that_became_a_folder_is_damaged(tmp_path):
    study = write(tmp_path / "s")
    (study.path / "crops.npy").unlink()
    (study.path / "crops.npy").mkdir()
    assert study.damaged() == ["crops.npy"]


def test_values_out_of_range_are_named(tmp_path, monkeypatch):
    study = write(tmp_path / "s")
    limited = replace(SMALL, arrays={**SMALL.arrays, "crops": Values("uint8", low=0, high=1)})
    monkeypatch.setattr("core.study.STUDY", limited)
    with pytest.raises(StudyError, match=r"The study s is damaged: crops\.npy has values out of range"):
        Study(study.path).array("crops")
