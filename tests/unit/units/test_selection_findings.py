"""What the bundled comparisons of metrics say beside the paper: whole tables, and verdicts that follow the numbers."""

from pathlib import Path

import pandas as pd
import pytest

from core.figures.units import selections
from core.units.resampling import METRICS, findings

EPOCHS = {
    "network": (0.2, 0.9), "accuracy_corr": (0.3, 0.4), "accuracy_prec": (0.5, 0.6), "similarity": (0.1, 0.5),
    "low": (0.0, 0.4), "high": (0.2, 0.6), "random": (0.05, 0.05),
}  # fmt: skip


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A folder of made-up tables: metrics by the localisation of precision and of the rest, and the epochs."""
    monkeypatch.setattr(findings, "FOLDER", tmp_path)

    def keep(own: tuple[float, float], others: tuple[float, float], **epochs: tuple[float, float]) -> list[bool | None]:
        rows = [
            {
                "metric": name, "title": METRICS[name].title, "top": top, "localisation": share, "low": share - 0.05,
                "high": share + 0.05,
            }
            for name in findings.PAPER
            for top, share in zip(findings.TOPS, own if name == "prec" else others, strict=True)
        ]  # fmt: skip
        pd.DataFrame(rows).to_csv(tmp_path / findings.METRICS_FILE, index=False)
        table = pd.DataFrame({"epoch": [1, 2], **EPOCHS, **epochs})
        for training in findings.TRAININGS:
            table.to_csv(tmp_path / training.file, index=False)
        findings.metrics.cache_clear()
        findings.epochs.cache_clear()
        return [claim.holds for claim in findings.claims()]

    yield keep
    findings.metrics.cache_clear()
    findings.epochs.cache_clear()


def test_every_claim_holds_where_the_numbers_are_those_of_the_paper(kept) -> None:
    assert kept((0.9, 0.8), (0.6, 0.5)) == [True] * 5


def test_no_claim_holds_where_they_are_the_opposite(kept) -> None:
    opposite = {"accuracy_prec": (0.1, 0.2), "low": (0.4, 0.0), "high": (0.6, 0.2)}
    assert kept((0.5, 0.6), (0.8, 0.9), **opposite) == [False] * 5


def test_intervals_that_overlap_decide_nothing(kept) -> None:
    mixed = {"accuracy_prec": (0.2, 0.6), "low": (0.0, 0.1), "high": (0.3, 0.5)}
    assert kept((0.62, 0.5), (0.6, 0.7), **mixed) == [False, False, None, None, False]


def test_the_bundled_tables_are_whole() -> None:
    rows = findings.metrics()
    assert {(row["metric"], row["top"]) for row in rows} == {(name, top) for name in METRICS for top in findings.TOPS}
    assert all(0 <= row["low"] <= row["localisation"] <= row["high"] <= 1 for row in rows)
    for training in findings.TRAININGS:
        table = findings.epochs(training)
        assert table["epoch"].tolist() == list(range(1, len(table) + 1))
        assert table[["network", "accuracy_corr", "accuracy_prec", "similarity", "random"]].stack().between(0, 1).all()
        assert (table["low"] <= table["similarity"]).all()
        assert (table["similarity"] <= table["high"]).all()
        names = [trace.name for trace in selections.similarities(table).data if trace.name]
        assert names == [
            "similarity of the two selections",
            "random selections",
            "accuracy of the network, on whole images",
        ]
        assert [list(trace.y) for trace in selections.accuracies(table).data][1] == table["accuracy_prec"].tolist()
    claims = findings.claims()
    assert len(claims) == 5
    assert all("nan" not in claim.measured for claim in claims)
