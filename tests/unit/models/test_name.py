"""How models are named: one rule for what is before and after the separator, whatever a path holds."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import BadModel, UnknownName, VitrineError
from core.explain import EXPLAINERS
from core.images import Preprocess
from core.models import as_model, load
from core.models.name import SUFFIXES, parsed
from tests import nets

ARCHITECTURES = st.text(st.characters(exclude_characters=":@/\\", codec="utf-8"), min_size=2).filter(
    lambda text: text not in ("timm", "hf", "onnx") and not text.lower().endswith((".py", *SUFFIXES))
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
        ("/a@b/mine.py:build@w.pth", ("python", "/a@b/mine.py:build", "w.pth"), "mine.py:build@w.pth"),
        ("C:\\x\\mine.py:build", ("python", "C:\\x\\mine.py:build", ""), "mine.py:build"),
        ("resnet18@mine.py:build", ("weights", "resnet18", "mine.py:build"), "resnet18@mine.py:build"),
        ("own.nets:build", ("python", "own.nets:build", ""), "own.nets:build"),
        ("own.nets:build@x/w.pth", ("python", "own.nets:build", "x/w.pth"), "own.nets:build@w.pth"),
        ("hf:google/vit-base", ("hf", "google/vit-base", ""), "hf:google/vit-base"),
        ("hf:/data/a@b/saved/", ("hf", "/data/a@b/saved/", ""), "hf:saved"),
        ("hf:/data/saved@x/w.pth", ("hf", "/data/saved", "x/w.pth"), "hf:saved@w.pth"),
        ("/data/net.onnx", ("onnx", "", "/data/net.onnx"), "net.onnx"),
        ("onnx:/data/net", ("onnx", "", "/data/net"), "net"),
        ("mine.py", ("none", "", "mine.py"), "mine.py"),
        ("net.pt2", ("none", "", "net.pt2"), "net.pt2"),
    ],
)
def test_names(text, expected, display):
    assert parts(text) == expected
    assert parsed(text).display == display


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("resnet18@w.pth", "w.pth"),
        ("timm:resnet18@w.pth", "w.pth"),
        ("hf:./saved", "./saved"),
        ("net.onnx", "net.onnx"),
    ],
)
def test_files_are_found_from_every_folder(name, path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert parsed(name).path == path
    assert parsed(name).absolute.path == str(tmp_path / path)
    assert parsed(name).absolute.source == parsed(name).source
    assert parsed(name).absolute.architecture in (parsed(name).architecture, str(tmp_path / path))


@pytest.mark.parametrize("name", ["resnet18", "timm:resnet18", "hf:google/vit-base", "own.nets:build"])
def test_names_without_a_file_stay(name):
    assert parsed(name).path == ""
    assert parsed(name).absolute == parsed(name)


def test_own_code_is_found_from_every_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert parsed("mine.py:build").absolute.text == f"{tmp_path}/mine.py:build"
    assert parsed("mine.py:build@w.pth").absolute.text == f"{tmp_path}/mine.py:build@{tmp_path}/w.pth"


@pytest.mark.parametrize("name", ["a.pt2", "a.torchscript", "mine.py"])
def test_programs_are_refused_with_the_way_out(name):
    with pytest.raises(BadModel) as error:
        load(name)
    assert ":FUNCTION" in error.value.hint


def test_a_colon_behind_an_unknown_name_lists_both_readings():
    with pytest.raises(UnknownName) as error:
        load("mine:build")
    assert "ARCH@FILE" in error.value.hint
    assert "PACKAGE.MODULE:FUNCTION" in error.value.hint


@pytest.mark.parametrize("name", ["C:\\weights\\x.pth", "/data/a@b.pth", "x.safetensors", "@x.pth"])
def test_a_path_alone_names_no_architecture(name):
    with pytest.raises(BadModel, match="names no architecture") as error:
        load(name)
    assert error.value.hint.endswith(f"such as resnet18@{name.removeprefix('@')}.")


def test_texts_about_a_model_name_no_folder(tmp_path):
    net = nets.seeded(nets.NETS["linear"])
    model = as_model(f"{tmp_path}/mine.py:build", net, preprocess=Preprocess(nets.SIDE, nets.SIDE))
    assert model.display == "mine.py:build"
    for attempt in (lambda: model.target("nothing"), model.resolve_layer):
        with pytest.raises(VitrineError) as error:
            attempt()
        assert str(tmp_path) not in str(error.value)
    assert all(str(tmp_path) not in method.unmet(model) for method in EXPLAINERS.values())
