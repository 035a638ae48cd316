"""Values from the environment and forms: device, cache budget, seed; and the memory of the process."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from core.cli import main
from core.environment import LIMITS, budget, device, home, limit, seed
from core.errors import BadParameter, Unavailable
from core.models.model import Model
from core.resources import ROOT
from tests import nets


def test_the_device_is_the_one_asked_for_or_the_best(monkeypatch):
    monkeypatch.setenv("VITRINE_DEVICE", "cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert device() == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for unset in ("", None):
        monkeypatch.setenv("VITRINE_DEVICE", unset) if unset is not None else monkeypatch.delenv("VITRINE_DEVICE")
        assert device() == torch.device("cpu")


@pytest.mark.parametrize("name", ["abacus", "cuda:99", "cpu:x", "meta", " ", "²"])
def test_a_device_that_is_none_is_a_sentence(monkeypatch, name):
    monkeypatch.setenv("VITRINE_DEVICE", name)
    with pytest.raises(
        BadParameter, match=r"VITRINE_DEVICE is .*, which is not available on this machine\. Use cpu, cuda or mps\."
    ):
        device()


def test_commands_load_models_there(monkeypatch, capsys):
    asked = []

    def load(name: str, device: torch.device, **rest: object) -> Model:
        asked.append(device)
        return nets.model("gap")

    monkeypatch.setattr("core.models.load", load)
    monkeypatch.setenv("VITRINE_DEVICE", "cpu")
    assert main(["check", "--model", "gap"]) == 0
    assert asked == [torch.device("cpu")]
    monkeypatch.setenv("VITRINE_DEVICE", "abacus")
    assert main(["check", "--model", "gap"]) == 2
    assert capsys.readouterr().err.startswith("vitrine: VITRINE_DEVICE is 'abacus'")


def test_the_budget_is_what_was_asked_for(monkeypatch):
    monkeypatch.setenv("VITRINE_DEVICE", "cpu")
    for text, megabytes in {"": 512, "7": 7, "0": 0}.items():
        monkeypatch.setenv("VITRINE_CACHE_MB", text)
        assert budget() == megabytes << 20
    monkeypatch.delenv("VITRINE_CACHE_MB")
    assert budget() == 512 << 20


@pytest.mark.parametrize("text", ["²", "-1", "1.5", "many", "1e3", " ", "9" * 5000])
def test_a_budget_that_is_none_is_a_sentence(monkeypatch, text):
    monkeypatch.setenv("VITRINE_DEVICE", "cpu")
    monkeypatch.setenv("VITRINE_CACHE_MB", text)
    with pytest.raises(BadParameter, match=r"VITRINE_CACHE_MB is .* Give a whole number of megabytes\.") as error:
        budget()
    assert len(str(error.value)) < 120


def test_home_is_the_folder_asked_for(monkeypatch, tmp_path):
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path))
    assert home() == tmp_path
    monkeypatch.setenv("VITRINE_HOME", "")
    assert home().name == ".vitrine"
    monkeypatch.setenv("VITRINE_HOME", "~/mine")
    assert home() == Path.home() / "mine"


def test_a_user_without_a_folder_is_told_what_to_set(monkeypatch):
    def nobody(self):
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "expanduser", nobody)
    monkeypatch.delenv("VITRINE_HOME")
    with pytest.raises(
        Unavailable, match=r"The home folder of this user cannot be found\. Set VITRINE_HOME to a writable folder"
    ):
        home()
    monkeypatch.setenv("VITRINE_HOME", "/somewhere")
    assert home() == Path("/somewhere")


@pytest.mark.parametrize("value", ["~no-such-user", "~no-such-user/x", "~no-such-user/../x"])
def test_an_unknown_user_is_no_folder_of_that_name(monkeypatch, tmp_path, capsys, value):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VITRINE_HOME", value)
    with pytest.raises(
        Unavailable,
        match=r"The home folder of a user named .no-such-user. cannot be found\. Set VITRINE_HOME to a writable folder",
    ):
        home()
    assert main(["storage"]) == 2
    assert capsys.readouterr().err.startswith("vitrine: The home folder of a user named 'no-such-user'")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("value", "found"), [("0", 0), (7, 7), ("999999999", 999_999_999)])
def test_a_seed_is_read(value, found):
    assert seed(value) == found


@pytest.mark.parametrize("value", ["-5", -5, "²", "", "1.0", "x", "1000000000", "9" * 5000])
def test_a_seed_that_is_none_is_a_sentence(value):
    with pytest.raises(BadParameter, match=r"The seed cannot be .* Give a whole number from 0 to 999,999,999\."):
        seed(value)


def test_limits_are_the_tables_or_those_of_the_environment(monkeypatch):
    for kind, megabytes in LIMITS.items():
        monkeypatch.delenv(f"VITRINE_{kind.upper()}_MB", raising=False)
        assert limit(kind) == megabytes * 1_000_000
    monkeypatch.setenv("VITRINE_IMAGE_MB", "7")
    assert limit("image") == 7_000_000
    monkeypatch.setenv("VITRINE_IMAGE_MB", "much")
    with pytest.raises(BadParameter, match="VITRINE_IMAGE_MB is 'much'"):
        limit("image")


def test_the_readme_lists_every_limit():
    readme = (ROOT / "README.md").read_text("utf-8")
    for kind, megabytes in LIMITS.items():
        row = next(line for line in readme.splitlines() if f"`VITRINE_{kind.upper()}_MB`" in line)
        assert row.rstrip(" |").endswith(f"| {megabytes}")


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")
@pytest.mark.parametrize("variables", [{}, {"MALLOC_ARENA_MAX": "8"}])
def test_freed_memory_is_used_again(variables):
    """Counted in pages that the system had to provide while maps of 100 MB came and went, after a first time."""
    code = (
        "import resource, sys\n"
        "from core.environment import keep_freed_memory\n"
        "sys.argv[1:] and keep_freed_memory()\n"
        "def pages():\n"
        "    maps = [bytearray(2 << 20) for _ in range(50)]\n"
        "    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "pages()\n"
        "before = pages()\n"
        "print((pages() - before) * resource.getpagesize() >> 20)\n"
    )

    def megabytes(*arguments):
        run = [sys.executable, "-c", code, *arguments]
        return int(subprocess.run(run, cwd=ROOT, env=variables, capture_output=True, check=True).stdout)

    returned = megabytes()
    assert returned > 50
    assert megabytes("keep") < 10 if not variables else megabytes("keep") > 50, "what a user has set is left"


def test_threads_of_openblas_take_no_core_once_they_are_idle():
    code = (
        "import time\n"
        "from core.environment import let_idle_threads_sleep\n"
        "let_idle_threads_sleep()\n"
        "import numpy as np\n"
        "from sklearn.linear_model import Ridge\n"
        "rng = np.random.default_rng(0)\n"
        "Ridge().fit(rng.random((512, 34)), rng.random(512))\n"
        "start = time.process_time()\n"
        "time.sleep(0.3)\n"
        "print(time.process_time() - start)"
    )
    command, environment = [sys.executable, "-c", code], {**os.environ, "PYTHONPATH": str(ROOT)}
    environment.pop("OPENBLAS_THREAD_TIMEOUT", None)
    out = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    assert float(out) < 0.02
