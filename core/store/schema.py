"""Schemas of stores: tables, arrays, additional manifest fields, and the words for them in messages."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from core.errors import StoreDamaged, StoreError
from core.store.manifest import Manifest

if TYPE_CHECKING:
    import pandas as pd

    from core.store.reader import Store

M = TypeVar("M", bound=Manifest)
Kind = Literal["whole", "number", "text", "truth", "wholes", "numbers"]  # the last two are lists

LOG = "build.json"  # facts that are not reproducible, such as durations; comparisons of stores ignore it


@dataclass(frozen=True)
class Column:
    """The values that a column of a table may have."""

    kind: Kind
    low: float = 0  # of a number, as are the next two
    high: float = 2.0**53 - 1  # JavaScript and float64 hold no larger integers exactly
    below: str = ""  # a count of the store that every value is lower than
    most: str = ""  # a count of the store that no value exceeds
    finite: bool = True  # else nan and infinities are values, too
    rows: bool = False  # it numbers the rows of its table


@dataclass(frozen=True)
class Values:
    """The values that an array may have."""

    dtype: str
    shape: tuple[int | str, ...] = ()  # () allows any; a text is a count of the store, or a length equal wherever it is
    low: float | None = None  # None allows any value
    high: float = 0
    below: str = ""  # as for a column


@dataclass(frozen=True)
class Schema(Generic[M]):
    """A kind of store. A reader of this version refuses a newer format and opens older ones."""

    noun: str  # its name in messages; the manifest is the file of that name
    version: int  # of the format
    manifest: type[M]
    tables: Mapping[str, Mapping[str, Column]]  # the columns of each; none allow any
    arrays: Mapping[str, Values]
    optional: Mapping[str, Values] = field(default_factory=dict)  # arrays that only some have
    counts: Callable[[M], Mapping[str, int]] = lambda manifest: {}  # that columns and arrays refer to
    # Checks what the tables of a store say about each other; raises Misfit.
    check: Callable[["Store[Any]", Mapping[str, "pd.DataFrame"]], None] = lambda store, tables: None
    error: type[StoreError] = StoreError
    damaged: type[StoreDamaged] = StoreDamaged

    @property
    def file(self) -> str:
        """The name of the manifest."""
        return f"{self.noun}.json"

    @property
    def one(self) -> str:
        """The noun with its article."""
        return f"{'an' if self.noun[0] in 'aeiou' else 'a'} {self.noun}"

    @property
    def every_array(self) -> Mapping[str, Values]:
        """The values of every possible array."""
        return {**self.arrays, **self.optional}

    @property
    def files(self) -> frozenset[str]:
        """The names of all files that such a store may contain."""
        tables = (f"{name}.parquet" for name in self.tables)
        return frozenset({self.file, LOG, *tables, *(f"{name}.npy" for name in self.every_array)})
