"""Export: raw maps, figures, records, and the command that reproduces them."""

from core.export.command import command_line
from core.export.files import figure, npy, npz, overlays, tile, unwritable, write
from core.export.gallery import Results, arrays_of_images, figure_of_images, names, tile_of_images
from core.export.record import Answers, agreement, arrays, key, record, table

__all__ = [
    "Answers",
    "Results",
    "agreement",
    "arrays",
    "arrays_of_images",
    "command_line",
    "figure",
    "figure_of_images",
    "key",
    "names",
    "npy",
    "npz",
    "overlays",
    "record",
    "table",
    "tile",
    "tile_of_images",
    "unwritable",
    "write",
]
