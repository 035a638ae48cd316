"""The study or folder that a command of review is about, and its predictions."""

import os
from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from core.commands import chosen_model, named_model, options
from core.data.model_options import ModelOptions
from core.errors import BadParameter
from core.params import expanded, whole
from core.progress import Report, subrange

if TYPE_CHECKING:
    from core.models.model import Model
    from core.review.predictions import Predictions


def source_options(parser: ArgumentParser) -> None:
    """Declare the study or folder, the model, and the number of images."""
    text = "a study, by folder or name, or a folder of images, with one sub-folder per class where these are known"
    parser.add_argument("source", metavar="STUDY|DIR", help=text)
    model = "of a folder: name, or ARCH@FILE for your own weights; of a study only if its model was moved"
    parser.add_argument("--model", default="", metavar="MODEL", help=model)
    options(parser, ModelOptions)
    parser.add_argument("--images", default="0", metavar="N", help="use at most N images, evenly spread; 0 for all")


def images_limit(args: Namespace) -> int:
    """The number of --images."""
    limit = whole(args.images)
    if limit is None:
        raise BadParameter(f"--images cannot be {args.images!r}.", "Give a whole number; 0 for all images.")
    return limit


def predicted(args: Namespace, limit: int, report: Report) -> "tuple[Predictions, Model]":
    """The predictions of the study or folder that the command names, and the model that made them."""
    from core.environment import device
    from core.models import load
    from core.review.predictions import predictions
    from core.review.source import folder_source, study_source
    from core.study.schema import STUDY
    from core.workbench import find_study, study_model

    reading, computing = subrange(report, 0.0, 0.1), subrange(report, 0.1, 1.0)
    path = expanded(args.source)
    if os.path.lexists(path) and not os.path.lexists(path / STUDY.file):
        if not args.model:
            message = f"{args.source} is a folder of images, and no model is named."
            raise BadParameter(message, "Add --model NAME, such as --model resnet18.")
        model = load(named_model(args), device=device(), report=report, options=chosen_model(args))
        source = folder_source(path, model.labels, limit=limit, report=reading)
    else:
        study = find_study(args.source)
        if changed := chosen_model(args).changed():
            message = f"A study says itself how its model is read, so {', '.join(changed)} cannot be chosen."
            raise BadParameter(message, "Leave these options out, or give a folder of images.")
        model = study_model(study, device(), model=named_model(args) if args.model else "")
        source = study_source(study, limit=limit)
    return predictions(source, model, report=computing), model
