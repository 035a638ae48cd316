"""One lookup for every text that means a class."""

import os
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.data.labels import class_index, class_note, class_text, folder_classes, labels_file, namesake, sides
from core.errors import BadModel, BadParameter, UnknownName

LABELS = ("tabby", "Tiger_Cat", "1", "crane", "crane", "Crane", "cardigan", "Cardigan")


@pytest.mark.parametrize(
    ("wanted", "index"),
    [
        ("tabby", 0),
        ("TABBY", 0),
        ("tiger cat", 1),
        ("1", 2),
        (1, 1),
        ("0", 0),
        ("007", 7),
        ("Crane", 5),
        ("Cardigan", 7),
        ("cardigan", 6),
    ],
)
def test_exact_labels_come_first_then_indices_then_other_spellings(wanted, index):
    assert class_index(wanted, LABELS, "m") == index


def test_a_text_that_is_no_label_gets_the_nearest():
    with pytest.raises(UnknownName, match=r"no class called 'cardi-gan'\. Did you mean 'Cardigan'"):
        class_index("cardi-gan", LABELS, "m")


@pytest.mark.parametrize(("wanted", "indices"), [("crane", "3 and 4"), ("CRANE", "3 and 4 and 5")])
def test_a_label_of_several_classes_names_their_numbers(wanted, indices):
    with pytest.raises(BadParameter, match=f"^The label '{wanted}' is shared by the classes {indices}") as error:
        class_index(wanted, LABELS, "m")
    assert error.value.hint == "Give the number of the one you mean."


def test_the_class_of_another_model_that_is_called_the_same():
    assert namesake("b", ("a", "b")) == 1
    assert namesake("Tiger_Cat", ("tabby", "tiger cat")) == 1
    assert namesake("tiger cat", ("Tiger Cat", "tiger cat")) == 1, "the exact spelling comes first"
    assert namesake("crane", ("crane", "heron", "crane")) is None, "two classes may be meant"
    assert namesake("crane", ("crane", "heron", "crane"), 2) == 2
    assert namesake("crane", ("heron", "crane"), 0) == 1, "the number is another model's"
    assert namesake("3", ("a", "b", "c", "d"), 3) is None, "a label is no number"


def test_numbers_beyond_the_last_class():
    for wanted in ("8", 8):
        with pytest.raises(UnknownName, match=r"There is no class 8\. m has classes 0 to 7\."):
            class_index(wanted, LABELS, "m")
    with pytest.raises(UnknownName):
        class_index(-1, LABELS, "m")


@given(st.lists(st.text(), min_size=1))
def test_every_label_is_found_or_ambiguous(labels):
    for index, label in enumerate(labels):
        if labels.count(label) == 1:
            assert class_index(label, labels, "m") == index
        else:
            with pytest.raises(BadParameter, match="is shared by the classes"):
                class_index(label, labels, "m")


# The order of torchvision's ImageFolder: class 2 is called "10".
DIGITS = tuple(sorted(str(number) for number in range(12)))


def test_a_text_that_is_a_label_and_another_number_means_the_label_and_says_so():
    assert class_index("10", DIGITS, "m") == 2
    assert class_index(10, DIGITS, "m") == 10, "an int is always an index"
    assert class_note("10", DIGITS) == ("'10' is the label of class 2; class number 10 is 8; the label was taken.")
    for text in ("0", "1", "99", "tabby", "predicted", ""):  # one meaning, or none
        assert class_note(text, DIGITS) == ""
    assert class_note("3", LABELS) == "", "no label"


def test_a_class_written_as_text_is_read_as_the_same_class():
    for labels in (DIGITS, ("a", "b"), ("1", "0"), ("x", "0", "1")):
        assert [class_index(class_text(index, labels), labels, "m") for index in range(len(labels))] == list(
            range(len(labels))
        )


NAMES = ("rose", "tulip", "lily", "iris")
MADE_UP = tuple(f"class {index}" for index in range(4))


@pytest.mark.parametrize(
    ("folders", "labels", "expected"),
    [
        (("0", "1", "2", "3"), NAMES, {"0": 0, "1": 1, "2": 2, "3": 3}),
        (("0", "2"), NAMES, {"0": 0, "2": 2}),
        (("00", "01", "02", "03"), NAMES, {"00": 0, "01": 1, "02": 2, "03": 3}),
        (("rose", "2"), NAMES, {"rose": 0, "2": 2}),
        (("class_0", "class_3"), MADE_UP, {"class_0": 0, "class_3": 3}),
        (DIGITS, DIGITS, {name: index for index, name in enumerate(DIGITS)}),
        (("1", "2"), ("1", "2"), {"1": 0, "2": 1}),
    ],
)
def test_folders_that_match_classes(folders, labels, expected):
    assert folder_classes(folders, labels) == (expected, {})


@pytest.mark.parametrize(
    ("folders", "labels"),
    [
        (("1", "2", "3", "4"), NAMES),
        (("001", "002", "003", "004"), NAMES),
        (("2", "4"), NAMES),
        (("1", "2", "3", "4"), MADE_UP),
        (("class_1", "class_2", "class_4"), MADE_UP),
        (("Class 1", "Class 4"), MADE_UP),
    ],
)
def test_folders_counted_from_one_match_no_class_rather_than_the_next(folders, labels):
    classes, reasons = folder_classes(folders, labels)
    assert classes == {}
    assert set(reasons) == set(folders)
    (reason,) = set(reasons.values())
    assert reason.endswith("to 4 and seem to count from 1, the model's classes 0 to 3: name them by label.")


def test_folders_of_other_numbers_match_no_class_by_number():
    classes, reasons = folder_classes(("rose", "0", "200"), NAMES)
    assert classes == {"rose": 0}
    assert (
        reasons["0"]
        == reasons["200"]
        == ("Folders are numbered 0 to 200, the model's classes 0 to 3: name them by label.")
    )


def test_a_number_is_not_taken_for_an_index_where_labels_are_numbers():
    classes, reasons = folder_classes(("0", "1", "2"), ("1", "2", "3"))
    assert classes == {"1": 0, "2": 1}
    assert reasons == {"0": "The model's labels are numbers themselves, and it has none of this name."}


ORDERED = ("cat", "dog", "eel")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("l.txt", b"cat\ndog\neel\n"),
        ("l.names", b"\n  cat \n\ndog\neel"),
        ("crlf.txt", b"\xef\xbb\xbfcat\r\ndog\r\neel\r\n"),
        ("mac.txt", b"cat\rdog\reel\r"),
        ("utf16.txt", "cat\ndog\neel\n".encode("utf-16")),
        ("utf16be.txt", b"\xfe\xff" + "cat\ndog\neel".encode("utf-16-be")),
        ("numbered.txt", b"0 cat\n1 dog\n2 eel\n"),
        ("colons.txt", b"2: eel\n0: cat\n1: dog\n"),
        ("from_one.txt", b"1\tcat\n2\tdog\n3\teel\n"),
        ("dict.txt", b"{0: 'cat',\n 1: 'dog',\n 2: 'eel'}"),
        ("l.json", b'["cat", "dog", "eel"]'),
        ("index.json", b'{"cat": 0, "eel": 2, "dog": 1}'),
        ("names.json", b'{"0": "cat", "1": "dog", "2": "eel"}'),
        ("imagenet.json", b'{"0": ["n1", "cat"], "1": ["n2", "dog"], "2": ["n3", "eel"]}'),
        ("config.json", b'{"id2label": {"0": "cat", "1": "dog", "2": "eel"}, "size": 224}'),
        ("list.json", b'{"classes": ["cat", "dog", "eel"]}'),
        ("l.csv", b"id,name\n0,cat\n1,dog\n2,eel\n"),
        ("swapped.csv", b"name,id\neel,2\ncat,0\ndog,1\n"),
        ("bare.csv", b"0,cat\n1,dog\n2,eel\n"),
        ("one.csv", b"cat\ndog\neel\n"),
        ("head.csv", b"label\ncat\ndog\neel\n"),
        ("l.tsv", b"0\tcat\n1\tdog\n2\teel\n"),
    ],
)
def test_files_of_labels(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    assert labels_file(tmp_path / name, 3)[0] == ORDERED


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("1 euro\n2 euro", ("1 euro", "2 euro")),
        ("10\n2", ("10", "2")),
        ("3 sheep\n7 dwarfs", ("3 sheep", "7 dwarfs")),
        ("cat\ncat", ("cat", "cat")),
        ("[l](http:x)\n{b}", ("[l](http:x)", "{b}")),
        ("a, b\nline\u2028separator", ("a, b", "line\u2028separator")),
    ],
)
def test_texts_that_only_look_numbered_are_labels(tmp_path, text, labels):
    (tmp_path / "l.txt").write_text(text, "utf-8")
    assert labels_file(tmp_path / "l.txt", 2) == (labels, ())


def test_labels_in_the_order_of_torchvisions_folders(tmp_path):
    (tmp_path / "l.txt").write_text("\n".join(DIGITS))
    assert labels_file(tmp_path / "l.txt", 12) == (DIGITS, ())


def test_umlauts_of_windows_are_read(tmp_path):
    (tmp_path / "l.txt").write_bytes("Kätzchen\nHund\n".encode("latin-1"))
    names, notes = labels_file(tmp_path / "l.txt", 2)
    assert names == ("Kätzchen", "Hund")
    assert notes == ("l.txt is not UTF-8 and was read as Windows-1252.",)


def test_numbered_lines_are_said(tmp_path):
    (tmp_path / "l.txt").write_text("1 dog\n0 cat")
    assert labels_file(tmp_path / "l.txt", 2) == (
        ("cat", "dog"),
        ("The lines of l.txt are numbered, and the labels were taken in this order.",),
    )


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("l.txt", b"cat", "l.txt holds 1 label, the model has 3 classes."),
        ("l.txt", b"", "l.txt holds 0 labels, the model has 3 classes."),
        ("l.json", b"[", "l.json is not complete JSON."),
        ("deep.json", b"[" * 100_000, "deep.json is not complete JSON."),
        ("l.json", b"{}", "l.json is neither a list of labels nor an object of labels and their numbers."),
        ("l.json", b"[1, 2, 3]", "l.json is neither a list of labels nor an object of labels and their numbers."),
        ("l.json", b'{"a": 0, "b": 2, "c": 3}', "l.json is neither a list of labels nor"),
        ("l.csv", b"id,name\n0,cat\n0,dog\n2,eel\n", "l.csv has no column of labels with one of their numbers"),
        ("l.csv", b"a,b\nc,d\ne,f\n", "l.csv has no column of labels with one of their numbers"),
        ("l.txt", b"\x00\x01\x02", "l.txt is not a text file."),
        ("l.txt", "cat\ndog".encode("utf-16-le"), "l.txt is not a text file."),
        ("l.txt", b"\x81\x8d", "l.txt is not a text file."),
    ],
)
def test_files_that_are_no_labels_are_refused(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadModel) as error:
        labels_file(tmp_path / name, 3)
    assert error.value.message.startswith(message)
    assert error.value.hint


def test_what_is_no_regular_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, tmp_path / "none.txt"):
        with pytest.raises(BadModel, match=r"^The labels file .* cannot be opened: .*\. Check its path\.$"):
            labels_file(path, 3)


def test_a_large_file_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("VITRINE_TEXT_MB", "1")
    (tmp_path / "l.txt").write_bytes(b"a" * 1_000_001)
    with pytest.raises(BadModel, match="is over the limit of 1 MB"):
        labels_file(tmp_path / "l.txt", 3)


def test_the_two_sides_of_one_logit(tmp_path):
    assert sides(("dog",)) == ("not dog", "dog")
    assert sides(("cat", "dog")) == ("cat", "dog")


@settings(deadline=None)
@given(st.lists(st.text(min_size=1), min_size=2, max_size=4))
def test_every_file_of_labels_is_read_or_refused(tmp_path_factory, lines):
    file = tmp_path_factory.mktemp("labels") / "l.txt"
    file.write_text("\n".join(lines), "utf-8", errors="replace")
    with suppress(BadModel):
        assert len(labels_file(file, len(lines))[0]) == len(lines)
