"""The rules of a study that fire in a picture that is none of its images."""

import numpy as np

from core.data.image_folder import ImageFolder
from core.images import Picture
from core.study import Study
from core.study.build import config_of, plan_of
from core.study.shard import transactions_in
from core.workbench import Workbench


def rules_fired(study: Study, bench: Workbench, picture: Picture) -> tuple[int, ...]:
    """The rules of a study, by number, all of whose filters are active together in a patch of a picture.

    The picture counts as of its predicted class; a model whose filters are edited gives the rules after the edit. A
    study that ranks filters by z-scores has their means and deviations, which one image does not give.
    """
    folder = ImageFolder(study.folder, study.folder, (), (), ())
    plan = plan_of(config_of(study), bench.model, folder)
    (label, _, _), *_ = bench.top(picture, 1)
    spread = (study.table("filters")[name].to_numpy(np.float64) for name in ("mean", "deviation"))
    found = transactions_in(plan, bench.model.preprocess.seen(picture), label, *spread)
    rules = study.table("rules")[["rule", "filters"]].itertuples(index=False)
    return tuple(int(rule) for rule, filters in rules if len(found.holding(map(int, filters))))
