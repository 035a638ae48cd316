"""Export: raw maps, figures, records, and the command that reproduces them."""

from core.export.command import command_line, measure_command, model_words
from core.export.files import figure, npy, npz, overlays, tile, unwritable, write
from core.export.gallery import Results, arrays_of_images, figure_of_images, names, tile_of_images
from core.export.record import Answers, Measured, agreement, arrays, key, record, table

__all__ = [
    "Answers",
    "Measured",
    "Results",
    "agreement",
    "arrays",
    "arrays_of_images",
    "command_line",
    "figure",
    "figure_of_images",
    "key",
    "measure_command",
    "model_words",
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
