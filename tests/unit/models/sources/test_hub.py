"""Downloads from a hub: with progress, once, and one sentence per failure. A server of this machine is the hub."""

import hashlib
import http.server
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
import torch
import transformers
from huggingface_hub import constants

from core.data.model_options import ModelOptions
from core.errors import Unavailable, UnknownName
from core.models import listed, load

ROOT = Path(__file__).resolve().parents[4]
COMMIT = "c0ffee" + "0" * 34


class Hub(http.server.ThreadingHTTPServer):
    """Repositories in a folder, as ORG/NAME/FILE, and what was asked for."""

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.folder = folder
        self.asked: list[str] = []


class Answers(http.server.BaseHTTPRequestHandler):
    """What the hub answers about a repository and its files."""

    server: Hub

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        self.server.asked.append(f"{self.command} {self.path}")
        words = unquote(self.path).strip("/").split("/")
        if words[:2] == ["api", "models"]:
            self._repository("/".join(words[2:4]), words[5] if words[4:5] == ["revision"] else "main")
        else:
            self._file(self.server.folder.joinpath(*words[:2], *words[4:]))

    def _repository(self, name: str, revision: str) -> None:
        folder = self.server.folder / name
        if "gated" in name:
            self._answer(403, b"{}", {"X-Error-Code": "GatedRepo"})
        elif not folder.is_dir():
            self._answer(404, b"{}", {"X-Error-Code": "RepoNotFound"})
        elif revision not in ("main", COMMIT):
            self._answer(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
        else:
            files = [{"rfilename": path.name} for path in sorted(folder.iterdir())]
            self._answer(200, json.dumps({"id": name, "sha": COMMIT, "siblings": files}).encode(), {})

    def _file(self, path: Path) -> None:
        if not path.is_file():
            self._answer(404, b"", {"X-Error-Code": "EntryNotFound"})
            return
        content = path.read_bytes()
        etag = hashlib.sha256(content).hexdigest()
        self._answer(200, content, {"X-Repo-Commit": COMMIT, "ETag": f'"{etag}"'})

    def _answer(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for key, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Nothing on the terminal."""


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub with the network org/small, and an empty cache."""
    shape = transformers.ResNetConfig(embedding_size=8, hidden_sizes=[8], depths=[1], id2label={0: "ant", 1: "bee"})
    transformers.ResNetForImageClassification(shape).save_pretrained(tmp_path / "hub" / "org" / "small")
    transformers.ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(tmp_path / "hub" / "org" / "small")
    (tmp_path / "hub" / "org" / "small" / "evil.py").write_text("raise SystemExit\n")
    with Hub(tmp_path / "hub") as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        template = "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", constants.ENDPOINT + template)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        yield server
        server.shutdown()


def test_a_model_is_downloaded_once_with_progress(hub: Hub) -> None:
    notes: list[tuple[float, str]] = []
    model = load("hf:org/small", report=lambda fraction, note: notes.append((fraction, note)))
    assert model.labels == ("ant", "bee")
    assert model.preprocess.crop == 32
    assert any("downloading weights" in note and " MB" in note for _, note in notes)
    fractions = [fraction for fraction, _ in notes]
    assert fractions == sorted(fractions)
    fetched = [line for line in hub.asked if line.startswith("GET /org/small")]
    assert sorted(line.rpartition("/")[2] for line in fetched) == [
        "config.json", "model.safetensors", "preprocessor_config.json",
    ]  # fmt: skip
    hub.asked.clear()
    again = load("hf:org/small")
    assert hub.asked == []
    assert again.sha == model.sha
    images = torch.rand(1, 3, 32, 32)
    assert torch.equal(again.net(images), model.net(images))


def test_a_revision_is_the_one_that_was_asked_for(hub: Hub) -> None:
    assert load("hf:org/small", options=ModelOptions(revision=COMMIT)).labels == ("ant", "bee")
    assert all("/main/" not in line for line in hub.asked)
    with pytest.raises(UnknownName, match="org/small has no revision 'nothing'"):
        load("hf:org/small", options=ModelOptions(revision="nothing"))


def test_what_is_not_there_is_said(hub: Hub) -> None:
    with pytest.raises(UnknownName, match="There is no model 'org/other' on the Hugging Face hub"):
        load("hf:org/other")
    with pytest.raises(Unavailable, match="org/gated is given only to people who accepted its terms"):
        load("hf:org/gated")


def test_without_a_connection_one_sentence(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(Unavailable, match="org/small could not be downloaded") as error:
        load("hf:org/small")
    assert "Connect this machine" in error.value.hint
    assert hub.asked == []


def test_nothing_else_is_asked_for(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No statistics, and nothing about this machine; in a process of its own, where the package is not imported yet."""
    monkeypatch.delenv("HF_HUB_DISABLE_TELEMETRY", raising=False)
    monkeypatch.setenv("HF_ENDPOINT", constants.ENDPOINT)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "fresh"))
    code = "from core.models import listed, load; print(load('hf:org/small').labels)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "('ant', 'bee')\n"
    assert [line for line in hub.asked if "/org/small" not in line] == []


def test_a_stopped_download_leaves_nothing_behind(hub: Hub) -> None:
    class Stop(Exception):
        pass

    def report(_fraction: float, note: str) -> None:
        if "MB" in note:
            raise Stop

    with pytest.raises(Stop):
        load("hf:org/small", report=report)
    assert load("hf:org/small").labels == ("ant", "bee")


def test_the_models_in_the_cache_are_listed_with_what_their_files_say(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert listed("hf") == ()
    net = load("hf:org/small").net
    hub.asked.clear()
    [found] = listed("hf")
    assert (found.name, found.source, found.family) == ("hf:org/small", "Hugging Face", "resnet")
    assert (found.size, found.classes) == (32, 2)
    assert found.parameters == sum(value.numel() for value in net.state_dict().values())
    weights = tmp_path / "hub" / "org" / "small" / "model.safetensors"
    assert found.megabytes == pytest.approx(weights.stat().st_size / 2**20)
    card = next((tmp_path / "cache").glob("models--org--small/snapshots/*")) / "README.md"
    card.write_text("---\ntags:\n- vision\nlicense: apache-2.0\n---\nlicense: other\n")
    assert listed("hf")[0].license == "apache-2.0"
    monkeypatch.setenv("VITRINE_MODEL", f"hf:{tmp_path / 'hub' / 'org' / 'small'}")
    assert [one.name for one in listed("hf")] == [f"hf:{tmp_path / 'hub' / 'org' / 'small'}", "hf:org/small"]
    assert hub.asked == []


@pytest.mark.parametrize(
    "change",
    [{"architectures": ["ResNetModel"]}, {"architectures": None}, {"auto_map": {"AutoModel": "evil.Net"}}, "damaged"],
)
def test_what_cannot_be_opened_is_not_listed(hub: Hub, tmp_path: Path, change: dict[str, Any] | str) -> None:
    load("hf:org/small")
    file = next((tmp_path / "cache").glob("models--org--small/snapshots/*")) / "config.json"
    config = "{" if isinstance(change, str) else json.dumps({**json.loads(file.read_text()), **change})
    file.unlink()  # a link to what was downloaded
    file.write_text(config)
    assert listed("hf") == ()
