"""What an analytic query reads: the part of a snapshot that this package relies on.

`storage.snapshot.Snapshot` satisfies these protocols; so does the in-memory one of the tests.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

import pyarrow as pa
import pyarrow.fs as fs

from schemas.outcomes import FhirError


class BodyReader(Protocol):
    """Reads the bodies of one segment by row; for many threads."""

    def read(self, rows: Iterable[int]) -> Iterator[bytes]:
        """The bodies in some rows, in their order; faster when the rows ascend."""


class SegmentSource(Protocol):
    """One immutable encrypted Parquet file, with what is needed to open it."""

    @property
    def name(self) -> str:
        """Its name, for messages."""

    @property
    def filesystem(self) -> fs.FileSystem:
        """Where the file lies."""

    @property
    def path(self) -> str:
        """Path of the file within `filesystem`."""

    @property
    def cache_key(self) -> str:
        """Names the segment among all that the process may see; never another content's."""

    @property
    def decryption_properties(self) -> object | None:
        """`pyarrow.parquet.encryption` properties holding this segment's data key."""

    @property
    def rows(self) -> int:
        """Number of versions in the segment."""

    def open_bodies(self) -> BodyReader:
        """Reads single bodies. Opening and reading raise OSError, ArrowException or ValueError."""

    def failure(self, exception: BaseException) -> FhirError:
        """What to tell a client when reading the segment raised `exception`."""


class SnapshotSource(Protocol):
    """The lake as it was right after commit `t`."""

    @property
    def t(self) -> int:
        """The commit that this snapshot shows."""

    @property
    def instant(self) -> dt.datetime:
        """When commit `t` was made (aware, UTC)."""

    def segments(self, resource_type: str) -> Sequence[SegmentSource]:
        """The segments that hold versions of a type, in any order."""

    def hot_rows(self, resource_type: str) -> pa.Table:
        """Versions not yet in a segment, with the columns that the segments have."""

    def superseded(self, resource_type: str) -> pa.Array | pa.ChunkedArray:
        """The `v` of every version that is not current as of `t`."""

    def failure(self, exception: BaseException) -> FhirError | None:
        """What to tell a client when one of the segments could not be read, if that is known."""
