import io

import pytest

from core.errors import Cancelled
from core.progress import chunks, printed, silent, subrange


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
