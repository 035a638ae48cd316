"""What a build tells while it works, and how it ends before its time."""

import resource

import pytest
import torch

from core.errors import Cancelled, StudyError
from core.explain.execution import Execution
from core.network import cancellation
from core.study import heatmaps
from core.study.build import build_study
from core.study.config import TransactionConfig
from tests.nets import SIDE
from tests.tiny_build import config, content, told


@pytest.mark.parametrize("ranking", ["raw", "zscore"])
def test_progress_rises_to_one(data, gap, tmp_path, ranking):
    seen = []
    settings = config(data, transactions=TransactionConfig(filters=8, ranking=ranking))
    build_study(settings, tmp_path / "s", model=gap, report=lambda f, note: seen.append(f))
    assert seen == sorted(seen)
    assert seen[-1] == 1


def test_every_image_and_every_average_is_reported(data, gap, tmp_path):
    settings = config(data, limit=8)
    notes = told(settings, tmp_path / "s", gap)
    study = build_study(settings, tmp_path / "s", model=gap)
    for start in (1, 5):
        shard = start // 4 + 1
        assert notes.count(f"reading images {start} to {start + 3} (shard {shard} of 2)") > 4
    assert notes.count("comparing images") > 8
    assert notes.count("averaging patches") >= 2 * len(study.table("averages"))
    assert notes.count("joining") > 10


@pytest.mark.parametrize(
    "stage", ["comparing images", "reading images 5", "heatmaps", "averaging patches", "finishing"]
)
def test_a_build_stops_in_the_midst_of_a_stage(data, gap, tmp_path, stage):
    told(config(data, limit=8), tmp_path / "s", gap, until=stage)
    assert not (tmp_path / "s").exists()


def test_a_forward_of_a_whole_batch_can_be_stopped_in_its_midst(data, gap, tmp_path, monkeypatch):
    before = build_study(config(data, limit=8, batch=64), tmp_path / "s", model=gap)
    monkeypatch.setattr(cancellation, "EVERY", 0)
    again = build_study(config(data, limit=8, batch=64), tmp_path / "t", model=gap)
    assert content(again) == content(before)
    seen = []

    def third(fraction, note):
        seen.append(note)
        if note.startswith("heatmaps") and seen.count(note) > 3:
            raise Cancelled

    reached = []
    handle = gap.net.features[-1].register_forward_hook(lambda *args: reached.append(1))
    with pytest.raises(Cancelled):
        build_study(config(data, limit=8, batch=64), tmp_path / "u", model=gap, report=third)
    handle.remove()
    assert not reached, "the first forward did not come to its end"


def test_unfinished_maps_enter_no_study(gap, monkeypatch):
    calls = []

    def stop(fraction, note):
        calls.append(note)
        if len(calls) > 20:
            raise Cancelled

    images = torch.randn(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    run = Execution(4, report=stop)
    with pytest.raises(Cancelled):
        heatmaps.read(gap, images, gap.survey.default, explainer="rise", settings={"masks": 500}, execution=run)


def test_a_disk_that_fills_up_at_the_end_loses_no_shard(data, gap, tmp_path):
    settings = config(data, limit=6)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    notes = []
    for stage in ("joining", "rules mined", "averaging patches", "finishing"):

        def filling(fraction, note, stage=stage):
            notes.append(note)
            if note == stage:
                resource.setrlimit(resource.RLIMIT_FSIZE, (500, hard))

        try:
            with pytest.raises(
                StudyError, match=r"The disk is full: the study s could not be written\. Free some space"
            ):
                build_study(settings, tmp_path / "s", model=gap, report=filling)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert notes[-1] == stage
        assert not (tmp_path / "s").exists()
    notes += told(settings, tmp_path / "s", gap)
    assert notes.count("reading images 1 to 4 (shard 1 of 2)") == 5, "only the first of five builds read them"
    whole = build_study(settings, tmp_path / "t", model=gap)
    assert content(build_study(settings, tmp_path / "s", model=gap)) == content(whole)
