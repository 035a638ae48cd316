"""Ratings: which of two explanations is more reasonable, said without knowing which model each is of, in SQLite."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from reprlib import repr as short

import numpy as np
import pandas as pd

from core.environment import home
from core.errors import BadParameter, printable
from core.measure.intervals import Interval, interval
from core.review.reviews import LONGEST_WORD, SOURCE_TABLE, store_name
from core.review.two_models.reliability import ordinal_alpha
from core.serialization import digest
from core.store.database import Database

# The scale on which Selvaraju et al. 2017 evaluate trust.
SCALE = {
    2: "A is clearly more reasonable",
    1: "A is slightly more reasonable",
    0: "Both are equally reasonable",
    -1: "B is slightly more reasonable",
    -2: "B is clearly more reasonable",
}
_STEPS = (
    """
    CREATE TABLE ratings (pair TEXT NOT NULL, image TEXT NOT NULL, rater TEXT NOT NULL, score INTEGER NOT NULL,
        at TEXT NOT NULL, PRIMARY KEY (pair, image, rater)) WITHOUT ROWID;
    """,
    SOURCE_TABLE,
)


@dataclass(frozen=True)
class Rating:
    """What one rater says of one image: positive if the first model's explanation is more reasonable."""

    image: str
    rater: str
    score: int  # -2 to 2
    at: str


def is_swapped(pair: str, image: str, rater: str) -> bool:
    """Whether the second model's explanation is shown as A: for every rater and image by a coin of its own."""
    return int(digest(["swapped", pair, image, rater])[:8], 16) % 2 == 1


class Ratings:
    """The ratings of one pair of models on one study or folder; any number of threads and processes may add some.

    Every method raises Unavailable with one sentence if the database is locked, read-only, damaged or of a newer
    version of Vitrine. The file is made by the first rating.
    """

    def __init__(
        self, key: str, first: str, second: str, method: str, folder: Path | None = None, *, name: str = ""
    ) -> None:
        """Open the ratings of the source with this `key` and `name`.

        They are for the models with these hashes, explained by `method`.
        """
        self.pair, self.name = digest([first, second, method]), name
        self.database = Database((folder or home() / "reviews") / f"{key[:16]}-ratings.db", _STEPS)

    def all(self) -> list[Rating]:
        """All ratings, by image and rater."""
        with self.database.reading() as connection:
            if connection is None:
                return []
            query = "SELECT image, rater, score, at FROM ratings WHERE pair = ? ORDER BY image, rater"
            return [self._rating(row) for row in connection.execute(query, (self.pair,))]

    def set(self, image: str, rater: str, score: int | None) -> None:
        """Store a rating in place of the rater's earlier one; None takes it back. Raises BadParameter for other scores.

        `score` is positive if the first model's explanation is more reasonable, whether it was shown as A or B.
        """
        if score is not None and score not in SCALE:
            raise BadParameter(f"A rating cannot be {short(score)}.", f"Give {min(SCALE)} to {max(SCALE)}.")
        if not rater.strip() or len(rater) > LONGEST_WORD or rater != printable(rater):
            message = f"A rater cannot be called {short(rater)}."
            raise BadParameter(message, f"Use 1 to {LONGEST_WORD} characters that can be printed.")
        with self.database.writing() as connection:
            if score is None:
                place = (self.pair, image, rater)
                connection.execute("DELETE FROM ratings WHERE pair = ? AND image = ? AND rater = ?", place)
                return
            row = (self.pair, image, rater, score, time.strftime("%Y-%m-%d %H:%M:%S"))
            connection.execute("INSERT OR REPLACE INTO ratings VALUES (?, ?, ?, ?, ?)", row)
            store_name(connection, self.name)

    def _rating(self, row: tuple[object, ...]) -> Rating:
        """The rating in a row of the database. Raises Unavailable if there is something else in it."""
        image, rater, score, at = row
        if not (isinstance(image, str) and isinstance(rater, str) and isinstance(score, int) and score in SCALE):
            raise self.database.damaged()
        return Rating(image, rater, score, str(at))


@dataclass(frozen=True)
class Summary:
    """What all raters say together."""

    raters: int
    images: int
    ratings: int
    preference: Interval | None  # the mean over images of their mean rating: positive for the first model
    alpha: float | None  # Krippendorff's, ordinal; None if it is not defined


def summary(ratings: Sequence[Rating]) -> Summary:
    """The mean preference, with the interval over images, and the raters' agreement."""
    table = as_table(ratings)
    means = [float(one) for one in np.nanmean(table.to_numpy(), axis=1)] if len(table) else []
    alpha = ordinal_alpha(table.to_numpy().T) if len(table) else None
    return Summary(table.shape[1], table.shape[0], len(ratings), interval(means), alpha)


def as_table(ratings: Sequence[Rating]) -> pd.DataFrame:
    """The scores with a row for each image and a column for each rater; nan where there is none."""
    if not ratings:
        return pd.DataFrame(dtype=float)
    rows = [(one.image, one.rater, float(one.score)) for one in ratings]
    return pd.DataFrame(rows, columns=["image", "rater", "score"]).pivot_table(
        index="image", columns="rater", values="score"
    )
