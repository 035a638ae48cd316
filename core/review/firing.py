"""The rules of a study that fire in a picture which need not be one of its images."""

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
from PIL import Image

from core.data.image_folder import ImageFolder
from core.data.layout import UNKNOWN
from core.errors import Unsupported
from core.images import Picture
from core.mining.transactions import Transactions
from core.models.model import Model
from core.progress import Report, silent
from core.study import Study
from core.study.plan import StudyPlan
from core.study.shard import shard_of


def firing(study: Study, model: Model, picture: Picture, report: Report = silent) -> pd.DataFrame:
    """The rows of table `rules` whose filters are all active in a patch of the picture.

    Its patches are selected by the study's settings, for the class that the model predicts; `model` is the study's, or
    one with edited filters. Raises Unsupported where filters are ranked by their deviation from the study's mean.
    """
    config = study.manifest.settings
    if config.transactions.ranking == "zscore":
        message = f"The study {study.name} ranks filters by z-scores, which need all of its images."
        raise Unsupported(message, "Rules that fire are known for its own images only.")
    with TemporaryDirectory() as folder:
        Image.fromarray(picture.pixels).save(Path(folder) / "picture.png")
        plan = StudyPlan.of(
            model,
            ImageFolder(Path(folder), Path(folder), ("picture.png",), (), (UNKNOWN,)),
            layer=config.layer,
            explainer=config.explainer,
            settings=config.settings,
            patches=replace(config.patches, target="predicted", correct_only=False),
            transactions=config.transactions,
            seed=config.seed,
        )
        shard = shard_of(plan, range(1), report)
    found = Transactions(np.asarray(shard.arrays["items"]), shard.tables["patches"]["label"].to_numpy(np.int64))
    rules = study.table("rules")
    holds = [len(found.holding(map(int, filters))) > 0 for filters in rules["filters"]]
    return rules[holds]
