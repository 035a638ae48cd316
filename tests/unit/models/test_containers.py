"""Storages that a pickle of torch names, also where what it says of them is malformed."""

from io import BytesIO

import pytest

from core.models.containers import Storage, _storage
from core.models.unpickler import StandIn
from core.models.weights_file import WeightsFile

FLOATS = StandIn("torch.FloatStorage")


def named(*identity):
    return _storage(WeightsFile(BytesIO(bytes(400)), "w.pth"), "data/", identity)


def test_a_storage_has_its_name_type_and_count():
    found = named("storage", FLOATS, "7", "cpu", 25)
    assert isinstance(found, Storage)
    assert (found.name, found.count, found.start) == ("data/7", 25, 0)


@pytest.mark.parametrize(
    ("view", "part"),
    [(("k", 3, 2), (3, 2)), (("k", 3), (0, 0)), (("k", 3, 2, 1), (0, 0)), (("k", "3", 2), (0, 0)), (7, (0, 0))],
)
def test_a_view_is_a_part_of_a_storage(view, part):
    found = named("storage", FLOATS, "7", "cpu", 25, view)
    assert (found.start, found.count) == part


def test_another_identity_is_passed_on():
    assert named("module", "source") == "source"
    assert named("module") is None
