"""Invitations to a review."""

from pathlib import Path

import pytest

from core.errors import Unavailable
from core.review import invitations
from core.review.invitations import Invitation, given, invite, invited, withdraw

OF_ANNE = Invitation("/home/anne", study="/home/anne/studies/hers")


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path))
    return tmp_path / "invitations"


def test_whoever_has_the_word_is_invited_until_it_is_withdrawn(folder: Path) -> None:
    other = Invitation("/home/anne", folder="/photos", model="alexnet")
    first, second, third = invite(OF_ANNE), invite(OF_ANNE), invite(other)
    assert len({first, second, third}) == 3
    assert (invited(first), invited(third)) == (OF_ANNE, other)
    assert (given(OF_ANNE), given(other)) == (2, 1)
    assert not any(word in file.name + file.read_text() for file in folder.iterdir() for word in (first, second, third))
    withdraw(OF_ANNE)
    for word in (first, second):
        with pytest.raises(Unavailable, match="does not hold, or no longer"):
            invited(word)
    assert invited(third) == other


def test_only_those_of_the_review_are_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = [invite(OF_ANNE), invite(OF_ANNE)]
    for number in range(5):
        invite(Invitation("/home/bert", folder=f"/photos/{number}", model="alexnet"))
    read, files = invitations.read_json, list[Path]()

    def counted(file: Path, most: int) -> object:
        files.append(file)
        return read(file, most)

    monkeypatch.setattr(invitations, "read_json", counted)
    assert given(OF_ANNE) == 2
    assert len(files) == 2
    assert invited(words[0]) == OF_ANNE
    assert len(files) == 3
    withdraw(OF_ANNE)
    assert len(files) == 5
    assert len(list(folder.iterdir())) == 5


@pytest.mark.parametrize("word", ["", "x", "../../etc/passwd", "a" * 32, "ä" * 32, "a" * 10_000])
def test_a_word_that_was_never_given_opens_nothing(word: str) -> None:
    invite(OF_ANNE)
    with pytest.raises(Unavailable, match="does not hold, or no longer"):
        invited(word)


@pytest.mark.parametrize("text", ["", "[]", '{"home": 1}', '{"home": "a", "more": 1}', "{"])
def test_a_damaged_file_is_no_invitation(text: str, folder: Path) -> None:
    word = invite(OF_ANNE)
    (file,) = folder.iterdir()
    file.write_text(text)
    with pytest.raises(Unavailable, match="does not hold"):
        invited(word)
    assert given(OF_ANNE) == 0


def test_a_user_gives_a_limited_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(invitations, "MOST", 2)
    invite(OF_ANNE)
    invite(Invitation("/home/anne", folder="/photos"))
    with pytest.raises(Unavailable, match="You have given 2 invitations"):
        invite(OF_ANNE)
    invite(Invitation("/home/bert", folder="/photos"))


def test_what_cannot_be_stored_is_said(folder: Path) -> None:
    folder.write_text("")
    with pytest.raises(Unavailable, match="cannot be stored: "):
        invite(OF_ANNE)
