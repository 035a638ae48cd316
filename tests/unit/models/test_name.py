"""How models are named: one rule for what is before and after the separator, whatever a path holds."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import BadModel, Unavailable
from core.models import load
from core.models.name import SUFFIXES, parsed

ARCHITECTURES = st.text(st.characters(exclude_characters=":@/\\", codec="utf-8"), min_size=2).filter(
    lambda text: text not in ("timm", "hf") and not text.lower().endswith((".py", *SUFFIXES))
)


def parts(text):
    name = parsed(text)
    return name.source, name.architecture, name.file


@given(ARCHITECTURES, st.text(), st.sampled_from("@:"))
def test_both_spellings_give_back_what_they_were_made_of(architecture, file, separator):
    name = parsed(f"{architecture}{separator}{file}")
    assert (name.source, name.architecture, name.file) == ("weights", architecture, file)
    assert str(name) == f"{architecture}{separator}{file}"
    assert parts(str(name.with_file("/tmp/a@b:c.pth"))) == ("weights", architecture, "/tmp/a@b:c.pth")


@pytest.mark.parametrize("file", ["w.pth", "w.PTH", "w.ckpt", "model_best.pth.tar", "a b.bin", "w.Safetensors"])
def test_a_file_alone_asks_for_an_architecture(file):
    assert parsed(file).source == "none"
    with pytest.raises(BadModel) as error:
        load(file)
    assert error.value.hint == f"Write one before it, such as resnet18@{file}."


@given(st.text())
def test_no_text_is_too_strange(text):
    name = parsed(text)
    assert str(name) == text
    assert name.display == text or name.separator
    assert name.display.endswith(re.split(r"[/\\]", name.file)[-1])
    if name.source in ("weights", "timm", "hf", "python") and name.separator:
        assert parts(str(name.with_file(name.file))) == parts(text)


@pytest.mark.parametrize(
    ("text", "expected", "display"),
    [
        ("resnet18", ("list", "resnet18", ""), "resnet18"),
        ("", ("list", "", ""), ""),
        ("resnet18@w.pth", ("weights", "resnet18", "w.pth"), "resnet18@w.pth"),
        ("resnet18:/data/w.pth", ("weights", "resnet18", "/data/w.pth"), "resnet18@w.pth"),
        ("resnet18@C:\\data\\w.pth", ("weights", "resnet18", "C:\\data\\w.pth"), "resnet18@w.pth"),
        ("resnet18:C:\\data\\w.pth", ("weights", "resnet18", "C:\\data\\w.pth"), "resnet18@w.pth"),
        ("resnet18:me@home/w.pth", ("weights", "resnet18", "me@home/w.pth"), "resnet18@w.pth"),
        ("resnet18@9:30.pth", ("weights", "resnet18", "9:30.pth"), "resnet18@9:30.pth"),
        ("resnet18@", ("weights", "resnet18", ""), "resnet18@"),
        ("w.pth", ("none", "", "w.pth"), "w.pth"),
        ("C:\\data\\w.pth", ("none", "", "C:\\data\\w.pth"), "C:\\data\\w.pth"),
        ("/data/a@b.pth", ("none", "", "/data/a@b.pth"), "/data/a@b.pth"),
        ("@w.pth", ("none", "", "w.pth"), "@w.pth"),
        ("timm:resnet50d.a1_in1k", ("timm", "resnet50d.a1_in1k", ""), "timm:resnet50d.a1_in1k"),
        ("timm:resnet50d@x/w.pth", ("timm", "resnet50d", "x/w.pth"), "timm:resnet50d@w.pth"),
        ("hf:google/vit-base@w.pth", ("hf", "google/vit-base", "w.pth"), "hf:google/vit-base@w.pth"),
        ("mine.py:build", ("python", "mine.py:build", ""), "mine.py:build"),
        ("/a@b/mine.py:build@w.pth", ("python", "/a@b/mine.py:build", "w.pth"), "/a@b/mine.py:build@w.pth"),
        ("C:\\x\\mine.py:build", ("python", "C:\\x\\mine.py:build", ""), "C:\\x\\mine.py:build"),
        ("resnet18@mine.py:build", ("weights", "resnet18", "mine.py:build"), "resnet18@mine.py:build"),
    ],
)
def test_names(text, expected, display):
    assert parts(text) == expected
    assert parsed(text).display == display


@pytest.mark.parametrize("name", ["timm:resnet50d", "hf:google/vit-base-patch16-224", "mine.py:build@w.pth"])
def test_a_reserved_source_gets_a_sentence(name):
    with pytest.raises(Unavailable, match="is not supported yet"):
        load(name)


@pytest.mark.parametrize("name", ["C:\\weights\\x.pth", "/data/a@b.pth", "x.safetensors", "@x.pth"])
def test_a_path_alone_names_no_architecture(name):
    with pytest.raises(BadModel, match="names no architecture") as error:
        load(name)
    assert error.value.hint.endswith(f"such as resnet18@{name.removeprefix('@')}.")
