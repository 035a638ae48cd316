import pytest

from core.errors import Unavailable
from core.tags import Tags


def test_tags_survive_and_leave(tmp_path):
    tags = Tags(tmp_path / "tags", "a" * 64)
    assert tags.all() == {}
    tags.change([7, 3], "artefact", True)
    tags.change([3], "ünusual", True)
    again = Tags(tmp_path / "tags", "a" * 64)
    assert again.all() == {3: ("artefact", "ünusual"), 7: ("artefact",)}
    assert again.patches("artefact") == (3, 7)
    again.change([3, 9], "artefact", False)
    assert tags.all() == {3: ("ünusual",), 7: ("artefact",)}
    assert [file.name for file in (tmp_path / "tags").iterdir()] == ["a" * 16 + ".json"]


def test_a_damaged_file_is_a_sentence(tmp_path):
    tags = Tags(tmp_path, "b" * 64)
    tags.file.write_text("{")
    with pytest.raises(Unavailable, match="cannot be read"):
        tags.all()


def test_a_folder_that_is_a_file_is_a_sentence(tmp_path):
    (tmp_path / "tags").write_text("")
    with pytest.raises(Unavailable, match="cannot be"):
        Tags(tmp_path / "tags", "c" * 64).change([1], "x", True)
