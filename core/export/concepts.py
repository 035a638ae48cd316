"""Files of the concepts of a study: tables, arrays, and a sheet of their strongest patches."""

import json

import numpy as np

from core.export.files import npz
from core.export.spreadsheet import as_csv
from core.figures.sheet import Kind, Panel, sheet
from core.study import Study
from core.units.concepts import Importance, StudyConcepts, tables

_PATCHES, _SIDE = 7, 112  # of a concept in the sheet; pixels of each
_NAMED = 4  # filters in the title of a concept
_KINDS: tuple[Kind, ...] = ("png", "svg")


def concept_files(study: Study, found: StudyConcepts, measured: Importance | None = None) -> dict[str, bytes]:
    """CSV files of the tables, result.npz, the sheet as PNG and SVG, and result.json, by their names."""
    concepts = found.concepts
    files = {f"{name}.csv": as_csv(table).encode() for name, table in tables(found, measured).items()}
    labels = found.patches["label"].to_numpy(np.int64)
    files["result.npz"] = npz({
        "directions": concepts.directions,
        "strengths": concepts.strengths,
        "by_class": concepts.by_class(labels, len(found.names)),
    })  # fmt: skip
    files |= {f"concepts.{kind}": concept_sheet(study, found, kind) for kind in _KINDS}
    facts = {
        "study": study.name,
        "digest": study.manifest.digest,
        "model": study.manifest.model.name,
        "layer": study.manifest.model.layer,
        "concepts": len(concepts.directions),
        "error": concepts.error,
        "converged": concepts.converged,
        "complete": found.complete,
        "draws": measured.draws if measured else None,
        "skipped": dict(measured.skipped) if measured else {},
    }
    files["result.json"] = (json.dumps(facts, indent=2, ensure_ascii=False) + "\n").encode()
    return files


def concept_sheet(study: Study, found: StudyConcepts, kind: Kind = "png") -> bytes:
    """The strongest patches of each concept as a PNG, PDF or SVG file, a row for each."""
    crops = study.array("crops")
    rows = []
    for concept in range(len(found.concepts.directions)):
        shown = found.concepts.patches(concept)[:_PATCHES]
        filters = ", ".join(f"F{number}" for number in found.concepts.filters(concept)[:_NAMED])
        rows.append(
            [
                Panel(
                    f"Concept {concept}" if first else "",
                    (filters, strength) if first else (strength,),
                    view=np.asarray(crops[row]),
                )
                for row in shown
                for first in [row == shown[0]]
                for strength in [f"strength {found.concepts.strengths[row, concept]:.3g}"]
            ]
        )
    title = f"{study.name} · {study.manifest.model.layer} · {len(rows)} concepts, strongest patches"
    return sheet(np.asarray(crops[0]), title, rows, side=_SIDE, kind=kind)
