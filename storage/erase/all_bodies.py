"""Every body that the lake holds, in batches: current, superseded, hot and flushed.

What is to be erased is found by looking at what is stored, not at an index of it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import apsw
import pyarrow as pa
import pyarrow.compute as pc

from storage.erase.references import Key
from storage.packed_ids import unpack
from storage.segment_store import SegmentStore
from storage.terms import Terms

_HOT_ROWS = 1_000


@dataclass(frozen=True, slots=True)
class Batch:
    """Versions: whose they are and their bodies, row by row (a tombstone's body is empty)."""

    keys: Sequence[Key]
    bodies: pa.Array | pa.ChunkedArray

    def holding(self, needle: bytes) -> Iterator[tuple[Key, bytes]]:
        """Those whose body has these bytes somewhere."""
        for row in pc.indices_nonzero(pc.match_substring(self.bodies, needle)).to_pylist():
            yield self.keys[row], self.bodies[row].as_py()

    def __iter__(self) -> Iterator[tuple[Key, bytes]]:
        """All of them."""
        return zip(self.keys, self.bodies.to_pylist(), strict=True)


def all_bodies(connection: apsw.Connection, store: SegmentStore, terms: Terms) -> Iterator[Batch]:
    """Every version's body, in the connection's read transaction.

    One that is being flushed may come twice. Raises FhirError when a segment cannot be read.
    """
    for segment in store.all(connection):
        try:
            with segment.file.open() as file:
                for group in range(file.num_row_groups):
                    table = file.read_row_group(group, columns=["id", "body"])
                    keys = [(segment.resource_type, id) for id in table["id"].to_pylist()]
                    yield Batch(keys, table["body"])
        except (OSError, ValueError, pa.ArrowException) as failure:
            raise segment.file.failure(failure) from None
    yield from hot_bodies(connection, terms, 0)


def hot_bodies(connection: apsw.Connection, terms: Terms, after_v: int) -> Iterator[Batch]:
    """Hot bodies of versions beyond `after_v`, in commit order."""
    rows = connection.execute(
        "SELECT r.type, r.id, b.body FROM hot_body b CROSS JOIN version r ON r.v = b.v "
        "WHERE b.v > ? ORDER BY b.v",
        (after_v,),
    )
    while chunk := list(itertools.islice(rows, _HOT_ROWS)):
        keys = [(terms.text(connection, number), unpack(id)) for number, id, _ in chunk]
        yield Batch(keys, pa.array([body for _, _, body in chunk], pa.binary()))
