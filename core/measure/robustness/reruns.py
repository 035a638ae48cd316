"""Runs of the measured method on changed queries."""

import numpy as np
from numpy.typing import NDArray

from core.cache import TensorCache
from core.errors import Unsupported
from core.explain.execution import NOTHING, Execution
from core.explain.query import Query
from core.measure.measure import Evidence
from core.progress import Report


def apart(query: Query) -> Execution:
    """The execution of a changed query that shares no passes with `query`: what it caches is dropped with it."""
    return query.execution.changed(cache=TensorCache(query.cache.budget), prefetch=NOTHING)


def rerun(evidence: Evidence, query: Query, report: Report) -> NDArray[np.float64]:
    """The maps (N, H, W) of the measured method for another query; its passes count in the query of the evidence.

    Raises Unsupported if the evidence has maps alone.
    """
    if evidence.explain_again is None:
        message = "This measure runs the method again, and only maps of it are given."
        raise Unsupported(message, "Choose a measure of maps.")
    changed, log = query.run_with(report=report), evidence.query.log
    try:
        maps = evidence.explain_again(changed)
    finally:
        log.forwards += changed.log.forwards
        log.backwards += changed.log.backwards
    report(1.0, "")  # raises if the run was cancelled: a method then returns the map that it had
    return maps.numpy(force=True).astype(np.float64)
