"""What lies on disk: listed whatever it is, deleted only when it is ours, and never through a link."""

import io
import json
import os
import sqlite3
import time
from contextlib import closing

import pytest

from core.cli import main
from core.errors import Unavailable, UnknownName
from core.review.reviews import Review, Reviews
from core.review.two_models.ratings import Ratings
from core.store import storage
from core.store.downloads import record
from core.store.locking import lock_of
from core.store.storage import KINDS, delete, listed, studies_of, totals
from tests.said import sentence


@pytest.fixture
def home(tmp_path, monkeypatch):
    folder = tmp_path / "home"
    for name in ("studies/one", "studies/two", "predictions/p", "unpacked/0123abcd", "pace"):
        (folder / name).mkdir(parents=True)
        (folder / name / "content").write_bytes(b"x" * 1000)
    monkeypatch.setenv("VITRINE_HOME", str(folder))
    return folder


def names(home, kind="study"):
    return [entry.name for entry in listed(home) if entry.kind == kind]


def one(home, kind, name):
    return next(entry for entry in listed(home) if (entry.kind, entry.name) == (kind, name))


def test_everything_is_listed_with_its_size_and_date(home):
    before = time.time() - 60
    entries = listed(home)
    assert [(entry.kind, entry.name, entry.bytes) for entry in entries] == [
        ("study", "one", 1000), ("study", "two", 1000), ("predictions", "p", 1000), ("archive", "0123abcd", 1000),
        ("cache", "pace", 1000),
    ]  # fmt: skip
    assert all(entry.complete and entry.changed > before and not entry.state for entry in entries)
    assert totals(entries)["study"] == (2, 2000, True)


def test_what_a_result_is_of(home):
    facts = {"data": {"folder": "/photos/cats"}, "model": {"name": "alexnet"}}
    (home / "predictions" / "p" / "prediction.json").write_text(json.dumps(facts))
    (home / "studies" / "one" / "study.json").write_text('{"data": 3}')
    Reviews("key", "model").set(Review("cats/7.png", "unclear"), "Ada")
    Reviews("named", "model", name="cats").set(Review("7.png"), "Ada")
    Reviews("named", "model", name="dogs").set(Review("8.png"), "Ada")  # the first name stays
    Ratings("named", "first", "second", "rise", name="study \ud800").set("7.png", "Ada", 1)
    (home / "reviews" / "damaged.db").write_bytes(b"no database")
    assert (one(home, "predictions", "p").of, one(home, "predictions", "p").model) == ("/photos/cats", "alexnet")
    assert (one(home, "study", "one").of, one(home, "study", "two").of) == ("", "")
    assert one(home, "review", "key.db").of == "cats/7.png"
    Reviews("key", "model").set(Review("cats/5.png", "unclear"), "Ada")
    assert one(home, "review", "key.db").of == "2 cases, such as cats/5.png"
    with closing(sqlite3.connect(home / "reviews" / "key.db")) as review, review:
        review.execute("DELETE FROM cases")
    assert one(home, "review", "key.db").of == ""
    assert one(home, "review", "named.db").of == "cats"
    assert one(home, "review", "named-ratings.db").of == "study �"
    assert one(home, "review", "damaged.db").of == ""


def test_the_largest_comes_first(home):
    (home / "studies" / "two" / "more").write_bytes(b"x")
    assert names(home) == ["two", "one"]


def test_no_home_is_nothing(tmp_path):
    assert listed(tmp_path / "none") == []


@pytest.mark.parametrize("name", ["a b", "é", "-rf", "*", "a\nb", "%s", "x" * 200, os.fsdecode(b"bad-\xff")])
def test_names_with_odd_characters(home, name, capsys):
    (home / "studies" / name).mkdir()
    assert name in names(home)
    assert main(["storage"]) == 0
    assert main(["storage", "--json"]) == 0
    capsys.readouterr().out.encode()
    delete(home, "study", name)
    assert sorted(names(home)) == ["one", "two"]


@pytest.mark.parametrize("name", ["", ".", "..", "../studies/one", "one/content", "/", "no", "\0"])
def test_only_what_is_listed_can_be_deleted(home, name):
    with pytest.raises(UnknownName):
        delete(home, "study", name)
    with pytest.raises(UnknownName):
        delete(home, "../home/study", "one")
    assert sorted(names(home)) == ["one", "two"]


@pytest.mark.parametrize("kind", ["study", "archive", "visitor", "review"])
def test_a_link_is_deleted_and_not_its_target(home, tmp_path, kind):
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "photo").write_bytes(b"x" * 5000)
    folder = home / KINDS[kind].folder
    folder.mkdir(exist_ok=True)
    (folder / "link").symlink_to(precious)
    entry = one(home, kind, "link")
    assert entry.state == "link"
    assert entry.bytes < 1000, "what it leads to takes no room here"
    delete(home, kind, "link")
    assert (precious / "photo").exists()
    assert not (folder / "link").is_symlink()


def test_links_inside_are_not_followed(home, tmp_path):
    (tmp_path / "photo").write_bytes(b"x" * 5000)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "photo").write_bytes(b"x" * 5000)
    (home / "studies" / "one" / "out").symlink_to(tmp_path / "folder")
    (home / "studies" / "one" / "loop").symlink_to("loop")
    assert one(home, "study", "one").bytes < 2000
    delete(home, "study", "one")
    assert (tmp_path / "folder" / "photo").exists()
    assert names(home) == ["two"]


def test_a_folder_that_is_elsewhere_by_a_link_is_left_alone(home, tmp_path):
    (tmp_path / "elsewhere" / "three").mkdir(parents=True)
    (home / "exams").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Unavailable, match="outside the folder"):
        delete(home, "exam", "three")
    assert (tmp_path / "elsewhere" / "three").is_dir()


def test_a_draft_that_is_a_link_does_not_lead_out(home, tmp_path):
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "photo").touch()
    (home / "studies" / ".one.draft").symlink_to(tmp_path / "precious")
    delete(home, "study", "one")
    assert (tmp_path / "precious" / "photo").exists()


def test_a_broken_link_is_listed(home):
    (home / "studies" / "gone").symlink_to(home / "nowhere")
    assert one(home, "study", "gone").state == "link"
    delete(home, "study", "gone")
    assert sorted(names(home)) == ["one", "two"]


def test_what_is_being_built_cannot_be_deleted(home):
    with lock_of(home / "studies" / ".one.draft"):
        entry = one(home, "study", "one")
        assert entry.state == "building"
        assert entry.kept
        with pytest.raises(Unavailable, match="is being built by process"):
            delete(home, "study", "one")
        with pytest.raises(Unavailable, match="may be in use: one is being built"):
            delete(home, "archive", "0123abcd")
        delete(home, "study", "two")
    assert names(home) == ["one"]
    delete(home, "study", "one")
    delete(home, "archive", "0123abcd")
    assert names(home) == []
    assert not list((home / "studies").iterdir())


def test_a_visitor_who_builds_cannot_be_deleted(home):
    folder = home / "visitors" / "abc" / "studies"
    folder.mkdir(parents=True)
    with lock_of(folder / ".mine.draft"):
        assert one(home, "visitor", "abc").kept
        with pytest.raises(Unavailable, match="mine is being built"):
            delete(home, "visitor", "abc")
        with pytest.raises(Unavailable, match="mine is being built"):
            delete(home, "archive", "0123abcd")
    delete(home, "visitor", "abc")
    assert not (home / "visitors" / "abc").exists()


def test_an_unfinished_build_is_listed_and_deleted(home):
    draft = home / "studies" / ".three.draft"
    draft.mkdir()
    (draft / "shard").write_bytes(b"x" * 300)
    entry = one(home, "study", "three")
    assert (entry.state, entry.bytes) == ("unfinished", 300)
    delete(home, "study", "three")
    assert not draft.exists()


def test_an_archive_says_nothing_of_itself(home):
    facts = {"data": {"folder": "/photos/cats"}, "model": {"name": "alexnet"}}
    (home / "unpacked" / "0123abcd" / "study.json").write_text(json.dumps(facts))
    assert one(home, "archive", "0123abcd").of == "", "its files are a stranger's"


def test_a_deletion_that_was_interrupted_is_listed(home):
    (home / "unpacked" / "0123abcd").rename(home / "unpacked" / ".f00.deleted")
    assert one(home, "archive", ".f00.deleted").state == "unfinished"
    delete(home, "archive", ".f00.deleted")
    assert not list((home / "unpacked").iterdir())


def test_what_vanishes_meanwhile_is_left_out(home, monkeypatch):
    real = storage._names

    def deleted_after(home, kind):
        found = list(real(home, kind))
        if kind == "study":
            (home / "studies" / "one" / "content").unlink()
            (home / "studies" / "one").rmdir()
        return iter(found)

    monkeypatch.setattr(storage, "_names", deleted_after)
    assert names(home) == ["two"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_without_permission_is_listed(home):
    (home / "studies" / "one").chmod(0)
    assert (one(home, "study", "one").state, one(home, "study", "one").complete) == ("unreadable", False)
    (home / "studies" / "one").chmod(0o700)


def test_a_deletion_that_the_system_refuses_gets_a_sentence_and_leaves_it_listed(home, monkeypatch):
    def refuses(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(storage.shutil, "rmtree", refuses)
    with pytest.raises(Unavailable, match=r"0123abcd cannot be deleted \(Permission denied\)"):
        delete(home, "archive", "0123abcd")
    assert names(home, "archive") == ["0123abcd"]


def test_ten_thousand_entries_are_listed_within_the_time(home):
    for number in range(10_000):
        (home / "unpacked" / f"{number:05}").mkdir()
    entries = listed(home, seconds=0)
    assert len(entries) == 10_005
    assert not any(entry.complete for entry in entries)
    assert totals(entries)["archive"][2] is False


def test_a_review_goes_with_the_files_of_its_database(home):
    (home / "reviews").mkdir()
    for ending in ("", "-wal", "-shm"):
        (home / "reviews" / f"a.db{ending}").write_bytes(b"x" * 100)
    assert (names(home, "review"), one(home, "review", "a.db").bytes) == (["a.db"], 300)
    delete(home, "review", "a.db")
    assert not list((home / "reviews").iterdir())


def test_only_downloads_of_ours_are_listed_as_long_as_they_are_unchanged(home, tmp_path):
    hub = tmp_path / "hub"
    hub.mkdir()
    for name in ("ours.pth", "changed.pth", "linked.pth", "foreign.pth"):
        (hub / name).write_bytes(b"x" * 10)
        if name != "foreign.pth":
            record(home, hub / name)
    (hub / "changed.pth").write_bytes(b"y" * 11)
    (hub / "linked.pth").unlink()
    (hub / "linked.pth").symlink_to(hub / "foreign.pth")
    (name,) = names(home, "download")
    assert name.startswith("ours.pth (")
    delete(home, "download", name)
    assert sorted(path.name for path in hub.iterdir()) == ["changed.pth", "foreign.pth", "linked.pth"]
    assert names(home, "download") == []


def test_the_studies_that_would_lose_their_images_are_named(home):
    (home / "studies" / "one" / "study.json").write_text(json.dumps({"folder": str(home / "unpacked" / "0123abcd")}))
    assert studies_of(home, one(home, "archive", "0123abcd")) == ["one"]
    assert studies_of(home, one(home, "study", "two")) == []


def test_the_command_lists_and_deletes(home, capsys):
    assert main(["storage"]) == 0
    told = capsys.readouterr().out
    assert "Study: 2, 0.0 MB" in told
    assert main(["storage", "--json"]) == 0
    assert [entry["name"] for entry in json.loads(capsys.readouterr().out)][:2] == ["one", "two"]
    assert main(["storage", "delete", "study", "one", "--yes"]) == 0
    assert "Deleted: study one" in capsys.readouterr().out
    assert names(home) == ["two"]
    assert main(["storage", "delete", "study", "tow", "--yes"]) == 2
    assert "no study called 'tow'. Did you mean 'two'" in sentence(capsys)
    assert main(["storage", "delete", "sudy", "two", "--yes"]) == 2
    assert "Did you mean 'study'" in sentence(capsys)


def test_the_command_asks_first(home, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    assert main(["storage", "delete", "study", "one"]) == 2
    assert "Add --yes." in sentence(capsys)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    assert main(["storage", "delete", "study", "one"]) == 2
    assert "Nothing was deleted." in capsys.readouterr().err
    assert sorted(names(home)) == ["one", "two"]
    monkeypatch.setattr("builtins.input", lambda question: "y")
    assert main(["storage", "delete", "study", "one"]) == 0
    assert names(home) == ["two"]
