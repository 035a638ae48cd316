"""Texts for people: durations, sizes, costs, and any text so that Markdown shows it as it is."""

import re


def plain(text: str) -> str:
    """Any text so that Markdown shows it as it is: no markup, no links, no images, no directives."""
    return re.sub(r"([^\w\s,;/'\"%=?])", lambda found: f"&#{ord(found[0])};", text)


def cost_text(seconds: float, passes: float) -> str:
    """What work will take, or took."""
    return f"{duration(seconds)} · {passes:,.0f} model passes"


def family_title(name: str) -> str:
    """A family of methods as a heading."""
    return "Class activation maps" if name == "cam" else name.capitalize()


def size(count: float) -> str:
    """Bytes as people say them."""
    megabytes = count / 2**20
    return "< 1 MB" if megabytes < 1 else f"{megabytes:,.0f} MB"


def duration(seconds: float) -> str:
    """Seconds as people say them."""
    if seconds < 0.0995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
