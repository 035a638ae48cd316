"""`vitrine app` until it becomes Streamlit."""

import json
import os
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from core.cli import main
from core.commands import app
from tests import nets
from tests.said import sentence

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("words", [[], ["--port", "9000", "--address", "0.0.0.0", "--model", "resnet18"]])
def test_app_becomes_streamlit_on_this_machine(words, monkeypatch):
    called = {}
    monkeypatch.setattr(os, "execve", lambda path, command, env: called.update(command=command, env=env))
    monkeypatch.setattr(app, "_free", lambda address, port: None)  # whoever else listens on this machine
    monkeypatch.chdir(ROOT)
    monkeypatch.delenv("VITRINE_MODEL", raising=False)
    assert main(["app", *words]) == 0
    command = called["command"]
    assert command[1:5] == ["-m", "streamlit", "run", str(ROOT / "app.py")]
    assert command[command.index("--server.address") + 1] == ("0.0.0.0" if words else "127.0.0.1")
    assert command[command.index("--server.port") + 1] == ("9000" if words else "8501")
    assert called["env"].get("VITRINE_MODEL") == ("resnet18" if words else None)
    assert command[command.index("--server.maxUploadSize") + 1] == "1010"
    monkeypatch.setenv("VITRINE_IMAGE_MB", "90")
    monkeypatch.setenv("VITRINE_UPLOAD_MB", "80")
    assert main(["app", *words]) == 0
    assert called["command"][called["command"].index("--server.maxUploadSize") + 1] == "100"


def test_a_place_where_the_app_cannot_listen_is_told(monkeypatch, capsys):
    monkeypatch.setattr(os, "execve", lambda *_: pytest.fail("the server was started"))
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert main(["app", "--port", str(port)]) == 2
    assert f"Port {port} is in use. Choose another one with --port." in sentence(capsys)
    assert main(["app", "--address", ""]) == 2
    assert (
        "--address is empty. Omit it to accept connections from this machine only; 0.0.0.0 accepts others."
        in sentence(capsys)
    )
    for address in ("192.0.2.1", "no such host", "a..b", "1:2"):
        assert main(["app", "--address", address]) == 2
        assert f"The app cannot listen on {address!r}" in sentence(capsys)


def test_app_takes_labels_for_own_weights(monkeypatch, tmp_path, capsys):
    asked, called = [], {}

    def load(name, **rest):
        asked.append((name, rest["options"].changed()))
        return replace(nets.model("gap"), name=name)

    monkeypatch.setattr("core.models.load", load)
    monkeypatch.setattr(app, "_free", lambda address, port: None)
    monkeypatch.setattr(os, "execve", lambda path, command, env: called.update(env))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("VITRINE_MODEL_OPTIONS", raising=False)
    assert main(["app", "--model", "resnet18:w.pth", "--labels", "l.txt"]) == 0
    file = tmp_path / "l.txt"
    assert asked == [(f"resnet18:{tmp_path / 'w.pth'}", {"labels": str(file)})]
    assert json.loads(called["VITRINE_MODEL_OPTIONS"]) == {"labels": str(file)}
    assert main(["app", "--labels", "l.txt"]) == 2
    assert "--labels is for your own weights. Give --model ARCH@FILE with it." in sentence(capsys)
    called.clear()
    assert main(["app", "--model", "resnet18:w.pth"]) == 0
    assert called["VITRINE_MODEL_OPTIONS"] == "{}"


def test_app_needs_its_script(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(app, "SCRIPT", tmp_path / "app.py")
    assert main(["app"]) == 2
    assert "not part of this installation" in sentence(capsys)


def test_an_own_model_of_tables_is_named_absolutely_and_a_pickle_is_refused(tmp_path, monkeypatch, capsys):
    called = {}
    monkeypatch.setattr(os, "execve", lambda path, command, env: called.update(env=env))
    monkeypatch.setattr(app, "_free", lambda address, port: None)
    monkeypatch.chdir(tmp_path)
    assert main(["app", "--table-model", "mine.py:build"]) == 0
    assert called["env"]["VITRINE_TABLE_MODEL"] == f"{tmp_path / 'mine.py'}:build"
    assert str(tmp_path) in called["env"]["PYTHONPATH"].split(os.pathsep)
    assert main(["app", "--table-model", "mine.pkl"]) == 2
    assert "FILE.py:FUNCTION" in capsys.readouterr().err
