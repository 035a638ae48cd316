import io

import pytest

from core import progress
from core.errors import Cancelled
from core.progress import Counted, Progress, chunks, item, line, located, printed, silent, subrange, time_left


class Told:
    def __init__(self) -> None:
        self.fractions: list[float] = []

    def __call__(self, fraction: float, note: str) -> None:
        self.fractions.append(fraction)


@pytest.mark.parametrize(("total", "size"), [(10, 3), (9, 3), (1, 5), (0, 4), (7, 1)])
def test_chunks_cover_the_range_and_reach_one(total: int, size: int) -> None:
    told = Told()
    spans = list(chunks(total, size, told))
    assert [index for span in spans for index in span] == list(range(total))
    assert all(0 < len(span) <= size for span in spans)
    assert told.fractions == sorted(told.fractions)
    assert (told.fractions[0], told.fractions[-1]) == (0.0, 1.0)


def test_parts_of_parts() -> None:
    told = Told()
    inner = subrange(subrange(told, 0.2, 0.6), 0.5, 1.0)
    inner(0.0, "")
    inner(1.0, "")
    assert told.fractions == pytest.approx([0.4, 0.6])


def test_a_raising_report_ends_the_loop() -> None:
    done: list[int] = []

    def stop(fraction: float, note: str) -> None:
        if fraction >= 0.5:
            raise Cancelled

    with pytest.raises(Cancelled):
        done.extend(span.start for span in chunks(10, 1, stop))
    assert done == [0, 1, 2, 3, 4]


def test_counted_chunks_say_how_many_are_done() -> None:
    notes: list[str] = []
    list(chunks(2500, 1000, lambda fraction, note: notes.append(note), "masks evaluated", counted=True))
    assert notes == [f"masks evaluated {done} of 2,500" for done in ("0", "1,000", "2,000", "2,500")]
    last = notes[-1]
    assert isinstance(last, Counted)
    assert (last.unit, last.done, last.total) == ("masks evaluated", 2500, 2500)


def test_an_item_is_named_where_there_are_several() -> None:
    told: list[tuple[float, str]] = []
    report = item(lambda fraction, note: told.append((fraction, note)), 1, 4, "image")
    report(0.5, "steps 3 of 6")
    item(lambda fraction, note: told.append((fraction, note)), 0, 1, "image")(0.5, "steps 3 of 6")
    assert told == [(0.375, "steps 3 of 6 (image 2 of 4)"), (0.5, "steps 3 of 6")]
    assert located("", 0, 2, "image") == "(image 1 of 2)"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, ""),
        (4, "a few seconds left"),
        (44, "about 40 s left"),
        (200, "about 3 min left"),
        (9000, "about 2.5 h left"),
    ],
)
def test_the_time_left_in_words(seconds: float | None, text: str) -> None:
    assert time_left(seconds) == text
    assert line("Building x", "", text) == " · ".join(["Building x", text][: 1 + bool(text)])


class Clock:
    """A clock that moves only when it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(progress, "time", self)

    def monotonic(self) -> float:
        return self.now


def test_the_time_left_follows_the_measured_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, work = Clock(monkeypatch), Progress()
    assert str(work) == ""
    work(0.0, "steps 0 of 50")
    assert str(work) == "steps 0 of 50", "the speed is unknown"
    clock.now += 1
    work(0.02, "steps 1 of 50")
    assert str(work) == "steps 1 of 50", "too little time"
    clock.now += 9
    work(0.2, "steps 10 of 50")
    assert str(work) == "steps 10 of 50 · about 40 s left"
    clock.now += 10
    assert work.seconds_left == pytest.approx(80), "no report means slower"
    work(1.0, "steps 50 of 50")
    assert str(work) == "steps 50 of 50"


def test_work_that_begins_again_is_measured_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, work = Clock(monkeypatch), Progress()
    work(0.0, "reading weights")
    clock.now += 100
    work(1.0, "reading weights")
    work(0.0, "masks evaluated 0 of 1,000")
    assert work.seconds_left is None
    clock.now += 20
    work(0.5, "masks evaluated 500 of 1,000")
    assert work.seconds_left == pytest.approx(20)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_printed_rewrites_one_line_of_a_terminal_only() -> None:
    terminal = Terminal()
    report = printed(terminal)
    report(0.25, "masks")
    report(1.0, "masks")
    assert terminal.getvalue() == "\r\x1b[K 25% masks\r\x1b[K100% masks\n"
    assert printed(io.StringIO()) is silent


def test_printed_says_the_time_left_and_fits_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, terminal = Clock(monkeypatch), Terminal()
    monkeypatch.setenv("COLUMNS", "60")
    report = printed(terminal)
    report(0.0, "masks evaluated 0 of 1,000")
    clock.now += 30
    report(0.5, "masks evaluated 500 of 1,000")
    assert terminal.getvalue().split("\r\x1b[K")[-1] == " 50% masks evaluated 500 of 1,000 · about 30 s left"
    monkeypatch.setenv("COLUMNS", "30")
    report(0.5, "masks evaluated 500 of 1,000")
    assert len(terminal.getvalue().split("\r\x1b[K")[-1]) < 30
