"""Folders of images as people have them: any ending, levels above and below the classes, archives, tables of labels."""

import io
import json
import os
import struct
import time
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from core.data import archive, unpacked_folders
from core.data.image_folder import image_folder, scan
from core.data.layout import UNKNOWN
from core.errors import BadParameter, Cancelled, Unavailable
from core.store import storage


@pytest.fixture(autouse=True)
def home(tmp_path_factory, monkeypatch):
    """A home of this test's own, where archives are unpacked."""
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path_factory.mktemp("home")))


def saved(kind="PNG", colour=0):
    stream = io.BytesIO()
    Image.new("RGB", (5, 4), (colour, 90, 30)).save(stream, kind)
    return stream.getvalue()


def tree(root, files):
    """Files with these contents below a folder; None stands for an image."""
    for number, (name, content) in enumerate(
        files.items() if isinstance(files, dict) else dict.fromkeys(files).items()
    ):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(saved(colour=number) if content is None else content)
    return root


def by_class(found):
    """The paths with the names of their classes."""
    names = [None if label == UNKNOWN else found.folders[label] for label in found.labels]
    return dict(zip(found.paths, names, strict=True))


def test_an_image_is_told_by_its_content(tmp_path):
    kinds = {
        "a.jfif": "JPEG",
        "b.ppm": "PPM",
        "c.JPG": "JPEG",
        "d.dat": "WEBP",
        "e": "PNG",
        "f.png": "JPEG",
        "g.jp2": "JPEG2000",
    }
    kinds |= {"h.avif": "AVIF", "i.tif": "TIFF", "j.bmp": "BMP", "k.txt": "GIF"}
    tree(tmp_path, {f"cat/{name}": saved(kind) for name, kind in kinds.items()})
    (tmp_path / "cat" / "photo.nef").write_bytes(saved("TIFF"))
    found = scan(tmp_path)
    assert found.paths == tuple(f"cat/{name}" for name in sorted(kinds))
    assert dict(found.skipped) == {"raw camera images, which are not read (photo.nef)": 1}


def test_system_files_are_counted_under_one_reason(tmp_path):
    system = ("a/._x.png", "a/.DS_Store", "a/Thumbs.db", "a/desktop.ini", "a/__MACOSX/._y.png")
    found = scan(tree(tmp_path, ["a/x.png", "b/x.png", *system, "__MACOSX/a/z.png"]))
    assert found.paths == ("a/x.png", "b/x.png")
    assert dict(found.skipped) == {"system and hidden files": 5}


@pytest.mark.parametrize(
    ("files", "expected", "note"),
    [
        (["a/x.png", "a/more/deeper/y.png"], {"a/x.png": "a", "a/more/deeper/y.png": "a"}, ""),
        (["set/a/x.png", "set/b/y.png"], {"a/x.png": "a", "b/y.png": "b"}, "The class folders are taken from"),
        (["set/one/a/x.png", "set/one/b/y.png", "set/__MACOSX/u.png"], {"a/x.png": "a", "b/y.png": "b"}, "set/one."),
        (["train/a/x.png", "train/b/y.png"], {"a/x.png": "a", "b/y.png": "b"}, "train."),
        (["images/a/x.png", "masks/a/x.png"], {"a/x.png": "a"}, ""),
        (["train/x.png", "test/y.png"], {"test/y.png": "test", "train/x.png": "train"}, ""),
        (["train/x.png", "car/y.png"], {"car/y.png": "car", "train/x.png": "train"}, ""),
    ],
)
def test_class_folders_at_any_level(tmp_path, files, expected, note):
    found = scan(tree(tmp_path, files))
    assert by_class(found) == expected
    assert note in " ".join(found.notes)
    assert bool(note) == bool(found.notes)


@pytest.mark.parametrize("splits", [("train", "val"), ("Train", "test", "valid"), ("test", "training")])
@pytest.mark.parametrize("above", ["", "data/"])
def test_one_of_several_splits_is_asked_for(tmp_path, splits, above):
    tree(tmp_path, [f"{above}{split}/{name}/x.png" for split in splits for name in ("cat", "dog")])
    with pytest.raises(BadParameter, match="contains") as error:
        scan(tmp_path)
    assert all(split in error.value.message for split in splits)
    assert f"--data {tmp_path}/{above}{sorted(splits)[0]}" in error.value.hint
    assert set(by_class(scan(tmp_path / above / splits[0])).values()) == {"cat", "dog"}


def test_links_that_lead_in_circles_are_followed_once(tmp_path):
    tree(tmp_path, ["a/x.png", "b/y.png"])
    (tmp_path / "a" / "to_b").symlink_to(tmp_path / "b")
    (tmp_path / "b" / "to_a").symlink_to(tmp_path / "a")
    assert sorted(by_class(scan(tmp_path))) == ["a/to_b/y.png", "a/x.png", "b/to_a/x.png", "b/y.png"]
    names = [f"d{number}" for number in range(9)]
    for name in names:  # 9! ways through
        (tmp_path / "many" / name).mkdir(parents=True)
    for name in names:
        for other in names:
            (tmp_path / "many" / name / other).symlink_to(tmp_path / "many" / other)
    tree(tmp_path, ["many/d3/z.png"])
    assert sum("d3/z.png" in path for path in scan(tmp_path).paths) == 1


def test_linked_class_folders_are_used(tmp_path):
    tree(tmp_path / "real", ["a/x.png", "b/y.png"])
    (tmp_path / "linked").mkdir()
    for name in ("a", "b", "c"):
        (tmp_path / "linked" / name).symlink_to(tmp_path / "real" / name.replace("c", "b"))
    assert by_class(scan(tmp_path / "linked")) == {"a/x.png": "a", "b/y.png": "b", "c/y.png": "c"}


def zipped(path, files, **options):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, **options) as file:
        for name, content in files.items():
            file.writestr(name, saved() if content is None else content)
    return path


@pytest.mark.parametrize("inside", [False, True])
def test_a_zip_archive_is_used_like_its_folder(tmp_path, inside):
    names = ["cats and dogs/cat/x.png", "cats and dogs/dog/y.png", "__MACOSX/cat/._x.png", "cats and dogs/dog/note.txt"]
    path = zipped(tmp_path / "data.zip", {**dict.fromkeys(names), "cats and dogs/dog/note.txt": b"hello"})
    found = scan(tmp_path if inside else path)
    assert by_class(found) == {"cat/x.png": "cat", "dog/y.png": "dog"}
    assert "data.zip is unpacked in" in found.notes[0]
    assert "files that are no images (note.txt)" in found.skipped
    assert scan(path).root == found.root, "it is unpacked once"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data.zip"]


def test_members_that_lead_out_of_the_archive_are_left_out(tmp_path):
    link = zipfile.ZipInfo("a/link.png")
    link.external_attr = 0o120777 << 16
    names = ["a/x.png", "../out.png", "/abs.png", "a/../../up.png", "C:/drive.png", "..\\back.png"]
    path = zipped(tmp_path / "data.zip", dict.fromkeys(names))
    with zipfile.ZipFile(path, "a") as file:
        file.writestr(link, "/etc/passwd")
    found = scan(path)
    assert found.paths == ("x.png",) or by_class(found) == {"a/x.png": "a"}
    assert found.skipped["members of the archive: links, hidden, encrypted or too large files"] == 6
    assert sorted(one.name for one in tmp_path.iterdir()) == ["data.zip"]
    assert {one.name for one in found.base.parent.iterdir()} == {found.base.name}


def test_archives_beyond_the_limits_are_refused(tmp_path, monkeypatch):
    path = zipped(tmp_path / "bomb.zip", {f"a/{number}.png": bytes(3_000_000) for number in range(4)})
    monkeypatch.setattr(archive, "_FREE", 10_000_000)
    with pytest.raises(Unavailable, match=r"bomb\.zip claims 4 files of 12 MB in 0\.0 MB"):
        scan(path)
    monkeypatch.setattr(archive, "MEMBERS", 3)
    with pytest.raises(Unavailable, match="claims 4 files"):
        scan(path)
    content = bytearray(path.read_bytes())
    for cut in (10, len(content) // 2, len(content) - 5):
        (tmp_path / "cut.zip").write_bytes(content[:cut])
        with pytest.raises(Unavailable, match=r"cut\.zip (is damaged|cannot be)"):
            scan(tmp_path / "cut.zip")
    struct.pack_into("<I", content, content.rfind(b"PK\5\6") + 12, 2**31)
    (tmp_path / "long.zip").write_bytes(content)
    with pytest.raises(Unavailable, match=r"long\.zip is damaged"):
        scan(tmp_path / "long.zip")


def test_stopping_leaves_nothing_half_unpacked(tmp_path):
    path = zipped(tmp_path / "data.zip", dict.fromkeys([f"a/{number}.png" for number in range(9)]))

    def stop(fraction, note):
        if note.startswith("unpacking") and fraction > 0.5:
            raise Cancelled

    with pytest.raises(Cancelled):
        scan(path, stop)
    assert not list((archive.home() / "unpacked").iterdir())
    assert len(scan(path)) == 9


def test_what_is_being_unpacked_is_listed_and_cannot_be_deleted(tmp_path):
    path = zipped(tmp_path / "data.zip", {"a/x.png": None, "a/y.png": None})
    states = []

    def look(fraction, note):
        if note.startswith("unpacking"):
            (entry,) = storage.listed(archive.home())
            states.append((entry.kind, entry.state))
            with pytest.raises(Unavailable, match="is being built"):
                storage.delete(archive.home(), entry.kind, entry.name)

    assert len(scan(path, look)) == 2
    assert set(states) == {("archive", "building")}
    (entry,) = storage.listed(archive.home())
    assert (entry.state, sum(one.is_file() for one in entry.path.rglob("*"))) == ("", 2)


def test_what_an_interrupted_process_has_left_is_listed_and_deleted(tmp_path):
    path = zipped(tmp_path / "data.zip", {"a/x.png": None, "a/y.png": None})

    def stop(fraction, note):
        if note.startswith("unpacking") and fraction > 0.5:
            os._exit(3)

    if not (child := os.fork()):
        try:
            scan(path, stop)
        finally:
            os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3
    (entry,) = storage.listed(archive.home())
    assert (entry.kind, entry.state) == ("archive", "unfinished")
    assert entry.bytes
    storage.delete(archive.home(), entry.kind, entry.name)
    assert not list((archive.home() / "unpacked").iterdir())


def used(folder, days):
    """Make it look as if a folder was last used so many days ago."""
    then = time.time() - 86400 * days
    os.utime(folder, (then, then))


def test_unpacked_archives_beyond_the_limit_are_removed_oldest_first(tmp_path, monkeypatch):
    monkeypatch.setenv("VITRINE_UNPACKED_MB", "3")
    files = [zipped(tmp_path / f"{n}.zip", {"a/x.png": None, "a/y.png": bytes([n]) * 900_000}) for n in range(6)]
    old, older, studied, recent = (scan(path).base for path in files[:4])
    assert all(one.is_dir() for one in (old, older, studied, recent)), "none is old yet"
    draft = unpacked_folders.draft_beside(old)
    draft.mkdir()
    for folder, days in ((old, 8), (older, 9), (studied, 10), (recent, 6), (draft, 8)):
        used(folder, days)
    study = archive.home() / "studies" / "s" / "study.json"
    study.parent.mkdir(parents=True)
    study.write_text(json.dumps({"data": {"folder": f"{studied}/a"}}))
    new = scan(files[4]).base
    assert [one for one in (old, older, studied, recent, new, draft) if one.is_dir()] == [studied, recent, new]
    used(recent, 8)
    assert scan(files[3]).base == recent
    scan(files[5])
    assert recent.is_dir(), "it was used again"
    assert len(scan(files[0])) == 1, "what was removed is unpacked again"


def test_an_archive_used_while_room_is_made_stays(tmp_path, monkeypatch):
    path = zipped(tmp_path / "data.zip", {"a/x.png": None})
    folder = scan(path).base
    used(folder, 8)
    rename = Path.rename

    def late(self, target):  # another process uses it after its age was read
        if self == folder:
            assert unpacked_folders.touch(folder)
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", late)
    monkeypatch.setenv("VITRINE_UNPACKED_MB", "0")
    unpacked_folders.make_room(folder.parent, keep=folder.parent / "other")
    assert sorted(one.name for one in folder.parent.iterdir()) == [folder.name]


@pytest.mark.parametrize("content", [b"\x1f\x8b" + bytes(99), b"text", b""])
def test_other_files_in_place_of_a_folder_get_a_sentence(tmp_path, content):
    (tmp_path / "x.tar.gz").write_bytes(content)
    with pytest.raises(Unavailable, match=r"x\.tar\.gz is a .*, not a folder"):
        scan(tmp_path / "x.tar.gz")


IMAGES = ["1.png", "2.png", "3.png"]


@pytest.mark.parametrize(
    "table",
    [
        "file,label\n1.png,cat\n2.png,dog\n3.png,cat\n",
        "Label;File Name\ncat;1.png\ndog;2.png\ncat;3.png\n",
        "image_id\tbreed\n1\tcat\n2\tdog\n3\tcat\n",
        "\ufeffid,extra,class\r\n1,7,cat\r\n2,7,dog\r\n3,7,cat\r\n",
        "1.png,cat\n2.png,dog\n3.png,cat\n",
        "path,target\n./1.png,cat\nimages\\2.png,dog\n/home/you/3.png,cat\n",
        '"image","category"\n"1.png","cat"\n"2.png","dog"\n"3.png","cat"\n\n',
    ],
)
@pytest.mark.parametrize("inside", ["", "images/", "photos/"])
def test_a_table_gives_loose_images_their_classes(tmp_path, table, inside):
    tree(tmp_path, [f"{inside}{name}" for name in IMAGES])
    (tmp_path / "labels.csv").write_text(table, "utf-8")
    found = scan(tmp_path)
    assert found.folders == ("cat", "dog")
    assert [found.folders[label] for label in found.labels] == ["cat", "dog", "cat"]
    assert found.notes == ("The classes are taken from labels.csv.",)
    assert image_folder(tmp_path, ["dog", "cat"]).labels == (1, 0, 1)


def test_what_a_table_lacks_is_said(tmp_path):
    tree(tmp_path, IMAGES)
    (tmp_path / "other.csv").write_text("file,label\n1.png,x\n")
    (tmp_path / "labels.csv").write_text("file,label\n1.png,cat\n2.png,dog\n9.png,cow\nshort\n")
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "binary.csv").write_bytes(bytes(range(256)) * 4)
    os.mkfifo(tmp_path / "pipe.csv")
    found = scan(tmp_path)
    assert by_class(found) == {"1.png": "cat", "2.png": "dog", "3.png": None}
    assert found.notes[1:] == ("It has no label for 1 of the images.", "1 of its rows name no image.")


def test_class_folders_come_before_a_table(tmp_path):
    tree(tmp_path, ["a/1.png", "b/2.png"])
    (tmp_path / "labels.csv").write_text("file,label\n1.png,cat\n2.png,dog\n")
    assert by_class(scan(tmp_path)) == {"a/1.png": "a", "b/2.png": "b"}


def test_listing_many_files_reports_and_can_be_cancelled(tmp_path):
    (tmp_path / "a").mkdir()
    for number in range(1100):
        (tmp_path / "a" / f"{number}.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    notes = []
    assert len(scan(tmp_path, lambda fraction, note: notes.append(note))) == 1100
    assert "listing images (1,000 files)" in notes
