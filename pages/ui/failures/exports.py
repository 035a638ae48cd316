"""The review as files: the cases as CSV and JSON, and a report with pictures."""

import json
from collections.abc import Mapping
from shlex import quote

import streamlit as st

from core.export.reports.report import as_html
from core.export.review import review_json, review_report, review_table
from core.export.spreadsheet import as_csv
from core.review.evidence import Evidence
from core.review.predictions import Predictions
from core.review.queue import Rows
from core.review.reviews import Review
from pages.ui.session import visitors


def menu(
    found: Predictions, rows: Rows, reviews: Mapping[str, Review], evidence: Mapping[int, Evidence], masks: str
) -> None:
    """Downloads of the cases of the queue that are made on a click, and the command; `masks` is the path of masks."""
    with st.popover("Export", icon=":material/download:", key="failures-export"):
        st.caption(f"The {len(rows):,} cases of this queue, with what reviewers say:")
        kinds = {
            "CSV": ("csv", "text/csv", lambda: as_csv(review_table(found, rows, reviews))),
            "JSON": ("json", "application/json", lambda: _json(found, rows, reviews, evidence)),
            "Report": ("html", "text/html", lambda: as_html(review_report(found, rows, reviews, evidence))),
        }
        with st.container(horizontal=True, gap="small"):
            for name, (ending, media, make) in kinds.items():
                st.download_button(
                    name, make, f"{found.source.name}-failures.{ending}", media, key=f"failures-{name}",
                    on_click="ignore",
                )  # fmt: skip
        st.caption("This command writes a report of all errors:")
        st.code(visitors.public(_command(found, masks, located=bool(evidence))), language="sh", wrap_lines=True)


def _json(found: Predictions, rows: Rows, reviews: Mapping[str, Review], evidence: Mapping[int, Evidence]) -> str:
    content = review_json(found, review_table(found, rows, reviews, evidence))
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)


def _command(found: Predictions, masks: str, *, located: bool) -> str:
    source = found.source
    words = [str(source.study.path)] if source.study else [str(source.root), "--model", found.manifest.model.name]
    if located:
        words += ["--masks", masks] if masks else [] if source.study else ["--evidence"]
    return " ".join(["vitrine failures", *map(quote, words), "--report failures.html"])
