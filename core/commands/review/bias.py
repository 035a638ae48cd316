"""`vitrine bias`: what a region of the images is worth to a model, and its accuracy by group."""

import sys
from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING, get_args

from core.commands import complain, path_argument, say, say_json, write_text
from core.commands.interruption import Interruption
from core.commands.review.source import images_limit, predicted, source_options
from core.errors import BadParameter, Cancelled
from core.params import finite
from core.progress import printed, subrange

if TYPE_CHECKING:
    from collections.abc import Sequence

    from core.review.regions import Region
    from core.review.sampled_maps import Box

_SIDES = ("left", "top", "width", "height")
_SIDE = 0.25  # of the box that is placed where the mean map is strongest


def bias(parser: ArgumentParser) -> None:
    """Declare `vitrine bias`."""
    source_options(parser)
    region = (
        "left, top, width and height of the region in %% of what the model sees, such as 0,75,25,25; by default a "
        "quarter of each side where the evidence of all classes is strongest"
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--region", default="", metavar="L,T,W,H", help=region)
    masks = "the objects as the region, by their masks: pictures named as the images are, COCO JSON, or XML boxes"
    where.add_argument("--masks", type=path_argument, metavar="PATH", help=masks)
    fill = "what the region is filled with: grey (the mean colour), black or blur (default: grey)"
    parser.add_argument("--fill", default="grey", metavar="FILL", help=fill)
    groups = "the accuracy by group: folder for the sub-folders below the classes, or a column of a CSV file of images"
    parser.add_argument("--groups", default="", metavar="folder|FILE.csv:COLUMN", help=groups)
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--csv", type=path_argument, metavar="FILE", help="write the table by class as CSV")
    form.add_argument("--json", action="store_true", help="print everything as JSON")
    parser.set_defaults(run=_bias)


def _bias(args: Namespace) -> int:
    from core.export.bias import bias_json, bias_table, flip_sentence, share_sentence, spread_sentence
    from core.export.spreadsheet import as_csv
    from core.review.bias import Fill, accuracy_by_group, counterfactual
    from core.review.regions import box_mask, box_region, objects
    from core.review.sampled_maps import sampled_maps, strongest_box

    limit, box = images_limit(args), _box(args.region)
    if args.fill not in get_args(Fill):
        raise BadParameter(f"--fill cannot be {args.fill!r}.", f"Choose {', '.join(get_args(Fill))}.")
    with Interruption(printed(sys.stderr)) as interruption:
        report = interruption.report
        try:
            found, model = predicted(args, limit, subrange(report, 0.0, 0.3))
            groups = accuracy_by_group(found, _groups(args.groups, found.source.paths)) if args.groups else None
            maps = sampled_maps(found, model, report=subrange(report, 0.3, 0.6))
            if args.masks:
                masked = objects(found.source, model, args.masks)
                region: Region = masked
                notes, placed, mask = masked.notes, str(args.masks), maps.regions(masked)
            else:
                box = box or strongest_box(maps.overall, _SIDE, _SIDE)
                region, mask = box_region(*box, model.preprocess.size), box_mask(*box, model.preprocess.size)
                notes, placed = (
                    (),
                    ", ".join(f"{name} {100 * side:g}%" for name, side in zip(_SIDES, box, strict=True)),
                )
            filled = counterfactual(found, model, region, args.fill, subrange(report, 0.6, 1.0))
        except Cancelled:
            complain("stopped. The same command starts from the stored predictions.")
            return 130
    table = bias_table(found, maps, mask, filled)
    if args.json:
        say_json(bias_json(found, box or placed, filled.without, table, groups), allow_nan=False)
    elif args.csv:
        write_text(args.csv, as_csv(table), f"{len(table) - 1:,} classes")
    else:
        say(f"{found.source.name}: {found.model}, {len(found.images):,} images", *found.notes, *notes)
        say(f"region: {placed}", share_sentence(maps, mask), flip_sentence(filled))
        for name, share, flips in table[["class", "share", "flips"]].itertuples(index=False):
            say(f"{share:6.1%} of the evidence, {flips:6.1%} flips: {name}")
        if groups is not None:
            say(spread_sentence(groups))
            say(*(f"{row.accuracy:6.1%} of {row.images:,}: {row.group}" for row in groups.itertuples()))
    return 0


def _box(text: str) -> "Box | None":
    """The region of --region; None to place it."""
    if not text:
        return None
    numbers = [finite(part) for part in text.split(",")]
    if len(numbers) != len(_SIDES) or None in numbers:
        message = f"--region cannot be {text!r}."
        raise BadParameter(message, "Give left, top, width and height in % of the image, such as 0,75,25,25.")
    left, top, width, height = (float(number or 0) / 100 for number in numbers)
    return left, top, width, height


def _groups(text: str, paths: "Sequence[str]") -> "tuple[str, ...]":
    """The group of each image by --groups."""
    from core.review.bias import column_groups, folder_groups

    if text == "folder":
        return folder_groups(paths)
    file, separator, column = text.rpartition(":")
    if not separator or not file or not column:
        raise BadParameter(f"--groups cannot be {text!r}.", "Give folder, or FILE.csv:COLUMN.")
    return column_groups(file, column, paths)
