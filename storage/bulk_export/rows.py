"""The current resources of a type as of a snapshot, in columns, row group by row group.

Bodies are decrypted once, in the order in which they lie, and never all held.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from storage.snapshot import SegmentFile, Snapshot

_ROWS_AT_ONCE = 20_000


@dataclass(frozen=True)
class Wanted:
    """Which rows: changed after `since` and not after `until`; with one of `ids` (None: any)."""

    since: datetime | None = None
    until: datetime | None = None
    ids: pa.Array | None = None


def current_rows(
    snapshot: Snapshot, resource_type: str, wanted: Wanted, columns: Sequence[str]
) -> Iterator[pa.Table]:
    """Tables of `columns` (those that the type has), each of at most some 10,000 rows.

    Raises FhirError when a segment cannot be read.
    """
    hidden = snapshot.superseded(resource_type)
    for segment in snapshot.segments(resource_type):
        yield from _of_segment(segment, hidden, wanted, columns)
    hot = snapshot.hot_rows(resource_type)
    for begin in range(0, hot.num_rows, _ROWS_AT_ONCE):
        found = hot.slice(begin, _ROWS_AT_ONCE)
        found = found.filter(_mask(found, hidden, wanted))
        if found.num_rows:
            yield found.select([name for name in columns if name in found.column_names])


def _of_segment(
    segment: SegmentFile, hidden: pa.Array, wanted: Wanted, columns: Sequence[str]
) -> Iterator[pa.Table]:
    try:
        with segment.open() as file:
            present = [name for name in columns if name in file.schema_arrow.names]
            for group in range(file.num_row_groups):
                keys = file.read_row_group(group, ["v", "deleted", "last_updated", "id"])
                mask = _mask(keys, hidden, wanted)
                if not pc.any(mask).as_py():
                    continue
                table = file.read_row_group(group, present)
                yield table if pc.all(mask).as_py() else table.filter(mask)
    except (OSError, pa.ArrowException) as failure:
        raise segment.failure(failure) from None


def _mask(table: pa.Table, hidden: pa.Array, wanted: Wanted) -> pa.ChunkedArray:
    keep = pc.invert(table["deleted"])
    if len(hidden):
        keep = pc.and_(keep, pc.invert(pc.is_in(table["v"], value_set=hidden)))
    moment = pa.timestamp("us", "UTC")
    if wanted.since is not None:
        keep = pc.and_(keep, pc.greater(table["last_updated"], pa.scalar(wanted.since, moment)))
    if wanted.until is not None:
        keep = pc.and_(keep, pc.less_equal(table["last_updated"], pa.scalar(wanted.until, moment)))
    if wanted.ids is not None:
        keep = pc.and_(keep, pc.is_in(table["id"], value_set=wanted.ids))
    return keep
