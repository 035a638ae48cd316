"""Verdicts in SQLite: several reviewers at once, undo, kills, and databases that cannot be used."""

import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from core.errors import BadParameter, Conflict, Unavailable
from core.review.reviews import LONGEST_NOTE, Progress, Review, Reviews, progress
from core.store import database
from core.store.database import Database
from core.store.storage import listed

ROOT = Path(__file__).resolve().parents[3]
KEY, MODEL = "f" * 64, "m" * 64


@pytest.fixture
def reviews(tmp_path):
    return Reviews(KEY, MODEL, tmp_path / "reviews")


def test_verdicts_are_stored_changed_and_read_by_others(reviews, tmp_path):
    assert reviews.all() == {}
    assert reviews.get("a.png") == Review("a.png")
    assert reviews.position("Ann") is None
    assert reviews.undo("Ann") is None
    first = reviews.set(Review("a.png", "label wrong", ("brass", "ünusual"), "a\nnote", "Bo"), "Ann")
    assert first == Review("a.png", "label wrong", ("brass", "ünusual"), "a\nnote", "Bo", "Ann", first.revision)
    again = Reviews(KEY, MODEL, tmp_path / "reviews")
    assert again.all() == {"a.png": first}
    second = again.set(replace(first, verdict="ambiguous"), "Bo")
    assert reviews.get("a.png") == second
    assert second.revision > first.revision
    assert Reviews(KEY, "n" * 64, tmp_path / "reviews").all() == {}, "another model has its own"
    assert Reviews("e" * 64, MODEL, tmp_path / "reviews").all() == {}, "another folder, too"
    assert [(who, image) for _, who, image in reviews.history()] == [("Ann", "a.png"), ("Bo", "a.png")]


def test_the_second_of_two_reviewers_is_told_and_overwrites_nothing(reviews):
    seen = reviews.get("horn/1.png")
    stored = reviews.set(replace(seen, verdict="model wrong"), "Ann")
    with pytest.raises(Conflict, match=r"Ann has changed horn/1\.png meanwhile: model wrong\. Look at the case"):
        reviews.set(replace(seen, verdict="unclear"), "Bo")
    assert reviews.get("horn/1.png") == stored
    assert len(reviews.history()) == 1
    after = reviews.set(replace(reviews.get("horn/1.png"), verdict="unclear"), "Bo")
    assert (after.verdict, after.reviewer) == ("unclear", "Bo")


def test_undo_takes_back_the_own_last_changes_one_by_one(reviews):
    first = reviews.set(Review("a.png", "unclear"), "Ann")
    other = reviews.set(Review("b.png", "ambiguous"), "Bo")
    second = reviews.set(replace(first, verdict="model wrong", note="sure"), "Ann")
    assert second.revision > other.revision > first.revision
    assert reviews.undo("Ann") == first == reviews.get("a.png")
    assert reviews.undo("Ann") == Review("a.png") == reviews.get("a.png")
    assert reviews.undo("Ann") is None
    assert reviews.all() == {"b.png": other}
    with pytest.raises(Conflict, match=r"Somebody has changed a\.png meanwhile: no verdict"):
        reviews.set(replace(second, verdict="unclear"), "Bo")
    third = reviews.set(Review("a.png", "unclear"), "Ann")
    assert third.revision not in {first.revision, second.revision}, "else an old revision would pass for a new one"


def test_undo_of_what_another_reviewer_has_changed_since_is_refused(reviews):
    first = reviews.set(Review("a.png", "unclear"), "Ann")
    second = reviews.set(replace(first, verdict="ambiguous"), "Bo")
    with pytest.raises(Conflict, match="Bo has changed"):
        reviews.undo("Ann")
    assert reviews.get("a.png") == second
    assert reviews.undo("Bo") == first
    assert reviews.undo("Ann") == Review("a.png")


def test_everybody_goes_on_where_they_stopped(reviews):
    for image, who in (("a.png", "Ann"), ("b.png", "Bo"), ("c.png", "Ann")):
        reviews.stop_at(image, who)
    assert (reviews.position("Ann"), reviews.position("Bo"), reviews.position("Cy")) == ("c.png", "b.png", None)


def test_progress_counts_verdicts_alone(reviews):
    reviews.set(Review("a.png", "unclear"), "Ann")
    reviews.set(Review("b.png", note="look again"), "Ann")
    reviews.set(Review("gone.png", "unclear"), "Ann")
    done = progress(reviews.all(), ["a.png", "b.png", "c.png"])
    assert (done, str(done)) == (Progress(1, 3), "1 of 3")


@pytest.mark.parametrize(
    ("review", "who"),
    [
        (Review("a", "maybe"), "Ann"),
        (Review("a"), " "),
        (Review("a"), "A" * 101),
        (Review("a"), "A\nB"),
        (Review("a", tags=("",)), "Ann"),
        (Review("a", tags=("\0",)), "Ann"),
        (Review("a", tags=("x",) * 21), "Ann"),
        (Review("a", note="n" * (LONGEST_NOTE + 1)), "Ann"),
        (Review("a", note="\x1b[2J"), "Ann"),
        (Review("a", assignee="\t"), "Ann"),
    ],
)
def test_what_cannot_be_stored_is_a_sentence(reviews, review, who):
    with pytest.raises(BadParameter, match="cannot"):
        reviews.set(review, who)
    assert not reviews.database.file.exists()


WRITER = textwrap.dedent("""
    import sys, threading
    from pathlib import Path
    from core.errors import Conflict
    from core.review.reviews import Review, Reviews
    from dataclasses import replace

    reviews, name = Reviews("f" * 64, "m" * 64, Path(sys.argv[1])), sys.argv[2]

    def work(thread):
        for number in range(100):
            reviews.set(Review(f"{name}-{thread}-{number}.png", "unclear"), name)
            while True:  # one case that all count up
                shared = reviews.get("shared.png")
                try:
                    reviews.set(replace(shared, note=str(int(shared.note or 0) + 1)), name)
                    break
                except Conflict:
                    pass

    sys.stdin.readline()
    threads = [threading.Thread(target=work, args=(thread,)) for thread in range(2)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
""")


def test_two_processes_of_two_threads_lose_nothing(reviews, tmp_path):
    """Two hundred verdicts each, and as many increments of one note, of which a lost one would be missing."""
    command = [sys.executable, "-c", WRITER, str(tmp_path / "reviews")]
    writers = [subprocess.Popen([*command, name], cwd=ROOT, stdin=subprocess.PIPE, text=True) for name in ("Ann", "Bo")]
    for one in writers:
        one.stdin.write("\n")
        one.stdin.flush()
    assert [one.wait(120) for one in writers] == [0, 0]
    for one in writers:
        one.stdin.close()
    stored = reviews.all()
    assert stored.pop("shared.png").note == "400"
    assert set(stored) == {f"{who}-{thread}-{n}.png" for who in ("Ann", "Bo") for thread in (0, 1) for n in range(100)}
    assert all(review.reviewer == image.partition("-")[0] for image, review in stored.items())


KILLED = textwrap.dedent("""
    import os, signal, sys
    from pathlib import Path
    from core.review.reviews import Review, Reviews

    reviews = Reviews("f" * 64, "m" * 64, Path(sys.argv[1]))
    reviews.set(Review("a.png", "label wrong"), "Ann")
    reviews._write = lambda *words: os.kill(os.getpid(), signal.SIGKILL)  # after the change, before the case
    reviews.set(Review("b.png", "label wrong"), "Ann")
""")


def test_a_process_killed_within_a_transaction_leaves_all_or_nothing(reviews, tmp_path):
    command = [sys.executable, "-c", KILLED, str(tmp_path / "reviews")]
    ended = subprocess.run(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False, timeout=60)
    assert ended.returncode == -signal.SIGKILL
    assert [review.verdict for review in reviews.all().values()] == ["label wrong"]
    assert [image for _, _, image in reviews.history()] == ["a.png"]
    stored = reviews.set(Review("b.png", "ambiguous"), "Bo")
    assert reviews.get("b.png") == stored


def test_readers_see_the_state_before_a_writer_that_has_not_finished(reviews):
    first = reviews.set(Review("a.png", "unclear"), "Ann")
    with reviews.database.writing() as connection:
        connection.execute("UPDATE cases SET verdict = 'ambiguous'")
        seen = []
        thread = threading.Thread(target=lambda: seen.append(reviews.get("a.png")))
        thread.start()
        thread.join(60)
        assert seen == [first]
    assert reviews.get("a.png").verdict == "ambiguous"


def test_a_file_of_version_0_becomes_one_of_this_version(reviews):
    reviews.database.file.parent.mkdir(parents=True)
    with sqlite3.connect(reviews.database.file) as connection:
        connection.execute("PRAGMA user_version=0")
        connection.execute("VACUUM")  # writes a file without tables
    connection.close()
    assert reviews.all() == {}
    assert reviews.set(Review("a.png", "unclear"), "Ann") == reviews.get("a.png")


def test_a_database_of_an_earlier_version_is_migrated_with_its_content(tmp_path):
    first = "CREATE TABLE cases (image TEXT PRIMARY KEY)"
    old, new = (Database(tmp_path / "a.db", steps) for steps in ((first,), (first, "ALTER TABLE cases ADD tag TEXT")))
    with old.writing() as connection:
        connection.execute("INSERT INTO cases VALUES ('a.png')")
    with new.reading() as connection:
        assert connection.execute("SELECT * FROM cases").fetchall() == [("a.png", None)]
    with (
        pytest.raises(Unavailable, match=r"a\.db was written by a newer version of Vitrine\. Update Vitrine"),
        old.reading(),
    ):
        pass


def test_reviews_of_an_earlier_version_get_the_name_of_their_images(tmp_path):
    reviews = Reviews(KEY, MODEL, tmp_path / "home" / "reviews", name="photos")
    earlier = Database(reviews.database.file, reviews.database.steps[:1])
    with earlier.writing() as connection:
        connection.execute("INSERT INTO cases VALUES (?, 'a.png', 1, 'unclear', '[]', '', '', 'Ann')", (MODEL,))
        connection.execute("INSERT INTO changes VALUES (1, ?, 'a.png', 'Ann', '', '[]', 0)", (MODEL,))

    def said():
        return [one.of for one in listed(tmp_path / "home")]

    assert said() == ["a.png"]
    assert reviews.get("a.png").verdict == "unclear"
    assert said() == ["a.png"], "reading stores nothing"
    reviews.set(Review("b.png"), "Ben")
    assert said() == ["photos"]
    assert reviews.get("a.png").reviewer == "Ann"


def test_a_locked_database_is_a_sentence(reviews, monkeypatch):
    reviews.set(Review("a.png"), "Ann")
    monkeypatch.setattr(database, "WAIT", 0.1)
    other = sqlite3.connect(reviews.database.file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Unavailable, match=r"ffff\.db is in use by another program\. Try again"):
        reviews.set(Review("b.png"), "Ann")
    other.close()
    assert reviews.set(Review("b.png"), "Ann").revision == 2


def test_a_read_only_database_is_a_sentence(reviews, monkeypatch):
    reviews.set(Review("a.png", "unclear"), "Ann")
    connect = sqlite3.connect
    address = f"file:{reviews.database.file}?mode=ro"  # as root may write every file
    monkeypatch.setattr(sqlite3, "connect", lambda file, **how: connect(address, uri=True, **how))
    assert reviews.get("a.png").verdict == "unclear"
    for act in (lambda: reviews.set(Review("b.png"), "Ann"), lambda: reviews.undo("Ann")):
        with pytest.raises(Unavailable, match=r"cannot be stored in .*readonly database\. Make that folder writable"):
            act()


@pytest.mark.parametrize(
    "change", ["verdict = 'x'", "tags = '{'", "tags = '[1]'", "note = x'ff'", "revision = 'one'", "reviewer = x'41'"]
)
def test_a_row_that_is_no_review_is_a_sentence(reviews, change):
    reviews.set(Review("a.png"), "Ann")
    with reviews.database.writing() as connection:
        connection.execute(f"UPDATE cases SET {change}")
    for act in (reviews.all, lambda: reviews.get("a.png"), lambda: reviews.set(Review("a.png"), "Bo")):
        with pytest.raises(Unavailable, match="is damaged"):
            act()


def test_a_damaged_file_is_a_sentence_and_stays(reviews):
    reviews.database.file.parent.mkdir(parents=True)
    reviews.database.file.write_bytes(b"no database" * 400)
    for act in (reviews.all, lambda: reviews.set(Review("a.png"), "Ann"), lambda: reviews.stop_at("a.png", "Ann")):
        with pytest.raises(Unavailable, match=r"ffff\.db is damaged and cannot be read\. Restore it"):
            act()
    assert reviews.database.file.read_bytes() == b"no database" * 400
