"""Schemas of stores: tables, arrays, additional manifest fields, and the words for them in messages."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from core.errors import StoreDamaged, StoreError
from core.store.manifest import Manifest

M = TypeVar("M", bound=Manifest)

LOG = "build.json"  # durations, which are not reproducible; comparisons of stores ignore it


@dataclass(frozen=True)
class Schema(Generic[M]):
    """A kind of store. A reader of this version refuses a newer format and opens older ones."""

    noun: str  # its name in messages; the manifest is the file of that name
    version: int  # of the format
    manifest: type[M]
    tables: Mapping[str, tuple[str, ...]]  # the columns of each; () allows any
    arrays: Mapping[str, str]  # the dtype of each
    optional: Mapping[str, str] = field(default_factory=dict)  # arrays that only some have
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
    def dtypes(self) -> Mapping[str, str]:
        """The dtype of every possible array."""
        return {**self.arrays, **self.optional}

    @property
    def files(self) -> frozenset[str]:
        """The names of all files that such a store may contain."""
        tables = (f"{name}.parquet" for name in self.tables)
        return frozenset({self.file, LOG, *tables, *(f"{name}.npy" for name in self.dtypes)})
