"""Manifests from JSON that may have been edited."""

import pytest

from core.store.manifest import ArrayFacts, FileFacts, Manifest, Misfit, TableFacts, dump, parse

WHOLE = Manifest(
    version=3,
    digest="ab",
    tables={"patches": TableFacts(2, ("label",))},
    arrays={"items": ArrayFacts((2, 5), "int16")},
    files={"items.npy": FileFacts(148, "cd")},
)


def test_a_manifest_is_read_as_it_was_written():
    assert parse(Manifest, dump(WHOLE)) == WHOLE
    assert parse(Manifest, {**dump(WHOLE), "later": 1}) == WHOLE, "what later versions add is ignored"


@pytest.mark.parametrize("value", [-1, -(2**70), True, 2.0, "2", None])
@pytest.mark.parametrize(
    ("place", "name"),
    [
        (("version",), "version"),
        (("tables", "patches", "rows"), "tables.patches.rows"),
        (("arrays", "items", "shape", 1), "arrays.items.shape"),
        (("files", "items.npy", "bytes"), "files.items.npy.bytes"),
    ],
)
def test_a_count_is_a_whole_number_that_is_not_negative(place, name, value):
    data = dump(WHOLE)
    inner = data
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    with pytest.raises(Misfit) as refused:
        parse(Manifest, data)
    assert str(refused.value) == name


def test_nothing_counted_is_a_count():
    data = dump(WHOLE)
    data["tables"]["patches"]["rows"] = data["files"]["items.npy"]["bytes"] = 0
    assert parse(Manifest, data).tables["patches"].rows == 0


@pytest.mark.parametrize("missing", ["version", "digest", "tables"])
def test_what_is_missing_is_named(missing):
    data = dump(WHOLE)
    del data[missing]
    with pytest.raises(Misfit) as refused:
        parse(Manifest, data)
    assert str(refused.value) == missing
