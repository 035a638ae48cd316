"""Text formatting: durations, sizes, costs, and escaping for Markdown."""

import re
from typing import SupportsFloat

from core.card import Passes
from core.models.model import Model
from core.progress import line
from pages.ui.session import visitors


def plain(text: str) -> str:
    """A text escaped for Markdown, without markup, links, images or directives; of absolute paths, the last part."""
    return re.sub(r"([^\w\s,;/'\"%=?])", lambda match: f"&#{ord(match[0])};", visitors.public(text))


def cost_text(seconds: float, passes: Passes) -> str:
    """The cost of work in seconds and passes."""
    return line(duration(seconds), str(passes))


def family_title(name: str) -> str:
    """A family of methods as a heading."""
    return "Class activation maps" if name == "cam" else name.capitalize()


def percent(chance: float) -> str:
    """A probability as a percentage."""
    return "< 0.1 %" if chance < 0.001 else f"{chance:.1%}".replace("%", " %")


def size(count: float) -> str:
    """A number of bytes with its unit."""
    megabytes = count / 2**20
    return "< 1 MB" if megabytes < 1 else f"{megabytes:,.0f} MB"


def duration(seconds: float) -> str:
    """A number of seconds as a duration."""
    if seconds < 0.0995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def chance(model: Model, value: SupportsFloat) -> float | str:
    """A probability, or the value of a regression as text, as components show them."""
    return model.spelled(float(value)) if model.output == "regression" else float(value)
