"""The sentences of errors."""

import pytest

from core.errors import BadParameter, printable


@pytest.mark.parametrize(
    ("message", "hint"),
    [
        ("x" * 5000, "Do this."),
        ("A word. " * 100, "Do this."),
        ("Short.", "y " * 1000),
        ("z" * 9999, "w" * 9999),
        ("", ""),
    ],
)
def test_a_message_stays_short(message, hint):
    text = str(BadParameter(message, hint))
    assert len(text) < 300
    assert text.startswith(message[:60])
    assert text.endswith(hint.strip()[-9:])


def test_an_ordinary_message_stays_as_it_is():
    error = BadParameter(f"The file {'folder/' * 20}name.png is empty.", "Use another.")
    assert str(error) == f"The file {'folder/' * 20}name.png is empty. Use another."


def test_control_characters_are_replaced():
    assert printable("a\x1b[31m\u202e\udcffb") == "a\ufffd[31m\ufffd\ufffdb"
