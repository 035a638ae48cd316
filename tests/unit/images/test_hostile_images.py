"""Files that hide work, claim what they do not hold, or are damaged: a picture or one sentence, soon."""

import time

import pytest

from core.errors import BadImage
from core.images import decode, process
from tests.hostile import pictures

FILES = list(pictures.files())


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorter than for users, whose machines may be busy."""
    monkeypatch.setattr(process, "SECONDS", 4)


def sentence(name: str, content: bytes) -> str:
    """Why a file is refused; "" if it is a picture."""
    try:
        picture = decode(content, f"{name}.png")
    except BadImage as error:
        return str(error)
    assert picture.pixels.size
    assert picture.pixels.dtype == "uint8"
    return ""


def picture_or_sentence(name: str, content: bytes) -> None:
    start = time.perf_counter()
    text = sentence(name, content)
    assert len(text) < 300
    assert text.isprintable()
    assert time.perf_counter() - start < 20


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("name", "content"), FILES, ids=[name for name, _ in FILES])
def test_a_hostile_file_is_a_picture_or_a_sentence(name: str, content: bytes) -> None:
    picture_or_sentence(name, content)


def test_there_are_many_of_them() -> None:
    assert len({name for name, _ in FILES}) == len(FILES) > 150
    assert max(len(content) for _, content in FILES) < 16_000_000


@pytest.mark.filterwarnings("ignore")
def test_mutated_files_are_pictures_or_sentences() -> None:
    for name, content in pictures.mutated(150):
        picture_or_sentence(name, content)


def test_a_process_that_takes_too_long_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "SECONDS", 0.5)
    content = dict(FILES)["jpeg-100000 scans"]
    start = time.perf_counter()
    with pytest.raises(BadImage, match=r"needs more than 0\.5 seconds or 1\.5 GB"):
        decode(content, "x.jpg")
    assert time.perf_counter() - start < 20, "the whole file takes minutes"
    monkeypatch.setattr(process, "SECONDS", 18)
    assert decode(pictures.saved("AVIF"), "x.avif").pixels.shape == (20, 24, 3), "the next has a process of its own"


def test_a_process_has_a_limit_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "MEMORY", 150_000_000)
    process._workers.close()
    with pytest.raises(BadImage, match=r"needs more than 4 seconds or 0\.1 GB|incomplete or damaged"):
        decode(dict(FILES)["bmp-runs"], "x.bmp")
    process._workers.close()
