"""Errors that a user can act on: one class per kind, with a sentence and a hint."""

import re

MOST = 299  # characters of a message with its hint
_WORD = 150  # characters of a word; more are left out of its middle, as in a name made to fill a screen


def printable(text: str) -> str:
    """The same text with a replacement for every control character or invalid character."""
    return "".join(c if c.isprintable() else "�" for c in text)


def brief(text: str, most: int) -> str:
    """The same text on one line, with its middle left out if it has more than `most` characters."""
    return _without_middle(printable(text), most)


class VitrineError(Exception):
    """A problem a user can solve: one sentence with the offending thing, and a hint that says what to do.

    >>> import vitrine as vt
    >>> try:
    ...     vt.load("flowers-single")
    ... except vt.VitrineError as error:
    ...     print(error.message)
    There is no model called 'flowers-single'.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        hint = _shortened(hint, max(MOST // 2, MOST - 1 - len(message)))
        message = _shortened(message, MOST - 1 - len(hint))
        super().__init__(message, hint)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


def _shortened(text: str, most: int) -> str:
    """A text without the middle of words that are too long, and of at most `most` characters."""
    text = re.sub(rf"\S{{{_WORD + 1},}}", lambda match: _without_middle(match[0], _WORD), text)
    return _without_middle(text, most)


def _without_middle(text: str, most: int) -> str:
    if len(text) <= most:
        return text
    tail = most // 3
    return f"{text[: most - tail - 1]}…{text[-tail:]}"


class UnknownName(VitrineError):
    """A name that is not in the registry, layer list or label list."""


class BadParameter(VitrineError):
    """A setting of the wrong kind or outside its range."""


class BadImage(VitrineError):
    """A file that is not an image this app can read, or one too large to open safely."""


class BadModel(VitrineError):
    """A weights file that does not fit its architecture or cannot be trusted."""


class Unsupported(VitrineError):
    """A valid request that this model or method does not support."""


class Unavailable(VitrineError):
    """Something this machine lacks: weights while offline, an optional package, a folder that can be written."""


class TooLarge(VitrineError):
    """Work that does not fit into memory even one image at a time."""


class StoreError(VitrineError):
    """A stored result that is missing, incomplete, locked or of another version."""


class StoreDamaged(StoreError):
    """A stored result with files that are missing, or not as they were written."""


class StudyError(StoreError):
    """A study that cannot be opened, written or used as it is."""


class StudyDamaged(StudyError, StoreDamaged):
    """A study with files that are missing, or not as they were written."""


class Conflict(VitrineError):
    """A change of something that another person has changed meanwhile; nothing was overwritten."""


class Cancelled(BaseException):
    """Raised inside a report to stop the work that reports."""
