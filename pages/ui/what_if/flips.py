"""The smallest change that flips the answer: superpixels or filters that are taken away one after the other."""

from pages.ui.what_if.edit_list import EditList
from pages.ui.what_if.outcome import Outcome


def smallest(shown: Outcome, known: EditList) -> None:
    """x"""
