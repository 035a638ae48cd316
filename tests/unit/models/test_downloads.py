"""Downloads of weights: whole or absent, cancelled, offline, and torch's own cache."""

import hashlib
import http.server
import socketserver
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torchvision import models

from core.errors import Cancelled, Unavailable
from core.models import load
from core.models.sources.download import fetch
from tests import nets


class Server(http.server.BaseHTTPRequestHandler):
    """Responds with the bytes of its server, truncated on request."""

    def do_GET(self) -> None:
        data = self.server.files.get(self.path)  # type: ignore[attr-defined]
        if data is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(data) * (2 if "cut" in self.path else 1)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, dict[str, bytes]]]:
    """A file server on this machine: its address and its files."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Server) as server:
        server.files = {}  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}", server.files  # type: ignore[attr-defined]
        server.shutdown()


def test_a_download_is_whole_or_absent(served: tuple[str, dict[str, bytes]], tmp_path: Path) -> None:
    address, files = served
    data = bytes(range(256)) * 8000
    name = f"net-{hashlib.sha256(data).hexdigest()[:8]}.pth"
    files.update({f"/{name}": data, "/net-00000000.pth": data, f"/cut/{name}": data})
    seen: list[tuple[float, str]] = []
    path = fetch(f"{address}/{name}", tmp_path, lambda *told: seen.append(told))
    assert path.read_bytes() == data
    assert [fraction for fraction, _ in seen] == sorted(fraction for fraction, _ in seen)
    assert seen[-1] == (1.0, "downloading weights, 2 of 2 MB")
    files.clear()
    assert fetch(f"{address}/{name}", tmp_path) == path, "the second time nothing is fetched"

    files.update({"/net-00000000.pth": data, f"/cut/{name}": data})
    folder = tmp_path / "new" / "folder"
    for address_of, sentence in [
        ("net-00000000.pth", "is damaged"),
        (f"cut/{name}", "could not be downloaded \\(the connection was interrupted"),
        ("none.pth", "could not be downloaded \\(Not Found"),
    ]:
        with pytest.raises(Unavailable, match=sentence):
            fetch(f"{address}/{address_of}", folder)
    assert list(folder.iterdir()) == []


def test_a_cancelled_download_leaves_nothing(served: tuple[str, dict[str, bytes]], tmp_path: Path) -> None:
    address, files = served
    files["/net.pth"] = bytes(3_000_000)

    def report(fraction: float, note: str) -> None:
        if fraction > 0.3:
            raise Cancelled

    with pytest.raises(Cancelled):
        fetch(f"{address}/net.pth", tmp_path, report)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable, match="could not be downloaded"):
        fetch("http://127.0.0.1:9/net.pth", tmp_path / "file")


def test_offline_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(*args: object, **options: object) -> None:
        raise OSError(101, "Network is unreachable")

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(Unavailable) as error:
        load("resnet18")
    assert error.value.message.startswith("resnet18-f37072fd.pth could not be downloaded (Network is unreachable)")
    assert "/models/resnet18-f37072fd.pth in " in error.value.hint
    assert str(tmp_path / "hub" / "checkpoints") in error.value.hint


def test_a_registry_model_reads_torch_s_own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    net = nets.seeded(lambda: models.get_model("shufflenet_v2_x0_5", weights=None)).eval()
    file = models.get_model_weights("shufflenet_v2_x0_5").DEFAULT.url.rsplit("/", 1)[-1]
    torch.save(net.state_dict(), folder / file, _use_new_zipfile_serialization=False)
    model = load("shufflenet_v2_x0_5")
    assert (model.name, model.labels[1], model.preprocess.resize) == ("shufflenet_v2_x0_5", "goldfish", 256)
    assert torch.equal(model.net(torch.ones(1, 3, 224, 224)), net(torch.ones(1, 3, 224, 224)))
    assert model.facts["weights"] == "IMAGENET1K_V1"
