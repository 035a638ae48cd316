"""Concepts: what parts of images show, in categories such as colour and part."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Concept:
    """Something that parts of images show."""

    name: str
    category: str
