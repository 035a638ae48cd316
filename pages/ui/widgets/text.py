"""Text formatting: durations, sizes, costs, and escaping for Markdown."""

import re

from core.card import Passes
from core.explain.target_name import TargetName
from core.images import Picture
from core.progress import line
from core.workbench import Workbench
from pages.ui.session import visitors


def plain(text: str) -> str:
    """A text escaped for Markdown, without markup, links, images or directives; of absolute paths, the last part."""
    return re.sub(r"([^\w\s,;/'\"%=?])", lambda match: f"&#{ord(match[0])};", visitors.public(text))


def folder_name(name: str, otherwise: str) -> str:
    """A name usable as that of a folder; `otherwise` if nothing of it is."""
    return "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in name).strip("-.") or otherwise


def cost_text(seconds: float, passes: Passes) -> str:
    """The cost of work in seconds and passes."""
    return line(duration(seconds), str(passes))


def family_title(name: str) -> str:
    """A family of methods as a heading."""
    return "Class activation maps" if name == "cam" else name.capitalize()


def percent(chance: float) -> str:
    """A probability as a percentage."""
    return "< 0.1%" if chance < 0.001 else f"{chance:.1%}"


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


def chance(bench: Workbench, picture: Picture, target: TargetName) -> float | str:
    """The probability of a target, or another quantity as text, as components show them."""
    quantity = target.quantity(bench.model.output)
    if quantity == "probability":
        return bench.value(picture, target)
    text = bench.spelled(picture, target)
    return text if quantity == "value" else f"{quantity} {text}"
