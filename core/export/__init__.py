"""Export: raw maps, figures, records, and the command that reproduces them."""

from core.export.command import command_line
from core.export.files import figure, npy, npz, overlays, tile, unwritable, write
from core.export.record import Answers, agreement, arrays, key, record, table

__all__ = [
    "Answers",
    "agreement",
    "arrays",
    "command_line",
    "figure",
    "key",
    "npy",
    "npz",
    "overlays",
    "record",
    "table",
    "tile",
    "unwritable",
    "write",
]
