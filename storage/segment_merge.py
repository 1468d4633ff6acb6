"""Several segments of a type as one sorted stream of versions, in bounded memory.

Of each segment one row group is held at a time. A segment is sorted by (patient, when, v), missing
values last, as `segment_columns.sorted_by_patient` sorts it. Were one not, every row of it would
come out once all the same, only in another order.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from storage import segment_columns
from storage.segments import SegmentFile

_Key = tuple[bool, str, bool, int, int]


def merged(
    resource_type: str, inputs: Sequence[SegmentFile], leave_out: pa.Array
) -> Iterator[pa.Table]:
    """The versions of the segments without those whose `v` is in `leave_out`, in their order.

    Tables of any size, with the columns of `segment_columns.schema`; a column that a segment was
    written without is null. Raises FhirError when a segment cannot be read.
    """
    with ExitStack() as opened:
        sources = []
        for segment in inputs:
            source = _Source(resource_type, segment, leave_out)
            opened.callback(source.close)
            if source.fill():
                sources.append(source)
        while sources:
            # What is not beyond the last key of any held row group can have no row before it in
            # the row groups still to be read.
            bound = min(source.last_key for source in sources)
            pieces = [source.take(bound) for source in sources]
            table = pa.concat_tables(piece for piece in pieces if piece.num_rows)
            yield segment_columns.sorted_by_patient(resource_type, table)
            sources = [source for source in sources if source.fill()]


def regrouped(tables: Iterable[pa.Table], rows: int) -> Iterator[pa.Table]:
    """The same rows in tables of exactly `rows` rows; the last one may have fewer."""
    held: list[pa.Table] = []
    count = 0
    for table in tables:
        held.append(table)
        count += table.num_rows
        while count >= rows:
            joined = pa.concat_tables(held)
            yield joined.slice(0, rows).combine_chunks()
            held = [joined.slice(rows)]
            count -= rows
    if count:
        yield pa.concat_tables(held).combine_chunks()


class _Source:
    """One segment: the rest of the row group that is being merged, and the groups after it."""

    def __init__(self, resource_type: str, segment: SegmentFile, leave_out: pa.Array) -> None:
        self._schema = segment_columns.schema(resource_type)
        self._when = segment_columns.sort_column(resource_type)
        self._segment = segment
        self._leave_out = leave_out
        self._file: pq.ParquetFile | None = None
        self._group = 0
        self._rows: pa.Table | None = None
        self._keys: list[_Key] = []

    @property
    def last_key(self) -> _Key:
        """The key of the last row held."""
        return self._keys[-1]

    def fill(self) -> bool:
        """Hold a row at least; False when the segment has no more."""
        try:
            if self._file is None:
                self._file = self._segment.open(pre_buffer=False)
            while not self._keys and self._group < self._file.num_row_groups:
                table = self._file.read_row_group(self._group)
                self._group += 1
                if len(self._leave_out):
                    gone = pc.is_in(table["v"], value_set=self._leave_out)
                    table = table.filter(pc.invert(gone))
                self._rows = self._conformed(table)
                self._keys = self._keys_of(self._rows)
        except (OSError, ValueError, pa.ArrowException) as failure:
            raise self._segment.failure(failure) from None
        return bool(self._keys)

    def take(self, bound: _Key) -> pa.Table:
        """The rows held up to the key `bound`; they are no longer held."""
        assert self._rows is not None
        count = len(self._keys) if self.last_key <= bound else bisect_right(self._keys, bound)
        taken = self._rows.slice(0, count)
        self._rows, self._keys = self._rows.slice(count), self._keys[count:]
        return taken

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close(force=True)

    def _conformed(self, table: pa.Table) -> pa.Table:
        if table.schema.equals(self._schema):
            return table
        columns = [
            table[field.name].cast(field.type)
            if field.name in table.column_names
            else pa.nulls(table.num_rows, field.type)
            for field in self._schema
        ]
        return pa.table(columns, schema=self._schema)

    def _keys_of(self, table: pa.Table) -> list[_Key]:
        patients: list[str | None] = table["patient_id"].to_pylist()
        versions: list[int] = table["v"].to_pylist()
        moments: list[Any] = [None] * table.num_rows
        if self._when is not None:
            when = table[self._when]
            if pa.types.is_date32(when.type):
                when = when.cast(pa.int32())
            moments = when.cast(pa.int64()).to_pylist()
        return [
            (patient is None, patient or "", moment is None, moment or 0, v)
            for patient, moment, v in zip(patients, moments, versions, strict=True)
        ]
