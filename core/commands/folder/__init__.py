"""`vitrine explain` of a whole folder: batches, one table of results, and a second call that continues the first."""

from argparse import Namespace
from collections import Counter
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from core.commands import complain, say
from core.commands.interruption import Interruption
from core.commands.requests import Reading, listed, report_failure
from core.errors import Cancelled
from core.progress import Report

if TYPE_CHECKING:
    from core.commands.explain import Work
    from core.workbench import Workbench

_SHOWN = 5  # problems that are printed; the table holds all of them


def is_whole(args: Namespace) -> bool:
    """Whether a command is about one folder or archive, and asks for nothing that only single images have."""
    from core.data.image_files import is_collection

    alone = args.edit or args.settle or args.json or args.figure
    return len(args.images) == 1 and not alone and is_collection(args.images[0])


def explain_whole(args: Namespace, how: Reading, bench: "Workbench", work: "Work", report: Report) -> int:
    """Write the maps of a folder's images; returns 2 if any of them could not be explained."""
    from core.stored_maps.run import Image, explain_folder
    from core.stored_maps.settings import settings_of

    judged = work.true is None and bench.model.output != "regression"  # by the class folders
    images = listed(args, how, bench.model, report, judged=judged)
    if not images.files:
        return 2
    every = [
        Image(partial(how.picture, image), image.path, image.true if work.true is None else work.true)
        for image in images.files
    ]
    settings = settings_of(
        bench.model,
        {name: work.settings[name] for name in work.methods},
        work.targets,
        work.layers,
        seed=work.seed,
        page=how.page,
        window=how.window,
        true=work.true,
        images=[(image.path, image.true) for image in every],
        source=Path(args.images[0]),
    )
    with Interruption(report) as interruption, suppress(Cancelled):
        explain_folder(bench, every, settings, args.out, interruption.report)
    failed = _summary(args.out, len(every))
    if interruption.requested:
        raise KeyboardInterrupt
    return 2 if failed else 0


def _summary(out: Path, total: int) -> bool:
    """Print what the table holds; returns whether it has errors."""
    from core.stored_maps.writer import TABLE, finished, rows

    images, maps, problems, last, judged = finished(out), 0, 0, "", Counter[str]()
    for row in rows(out):
        maps += bool(row["array"])
        judged[row["right"]] += row["number"] != last
        last = row["number"]
        if row["error"]:
            problems += 1
            if problems <= _SHOWN:
                report_failure(row["image"], row["error"])
    if problems > _SHOWN:
        complain(f"{problems - _SHOWN:,} more problems are in the column `error` of {out / TABLE}.")
    rest = f" of {total:,}" if images < total else ""
    count = "1 map" if maps == 1 else f"{maps:,} maps"
    say(f"{out / TABLE}: {images:,}{rest} images, {count}.")
    known = judged["True"] + judged["False"]
    if known > 1:
        say(f"The prediction is right for {judged['True']:,} of {known:,} images.")
    if images < total:
        say("Repeat the command to continue.")
    return bool(problems)
