"""Places of bodies, which stand for the bodies while a query runs, and the bodies at them.

A place is a struct of one number: the source (a segment, or a type's hot rows) and the row in it.
No value of a view has that type, so the columns of an answer that hold places are known by it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from storage.analytics.segment_columns import read_bodies
from storage.analytics.source import SegmentSource

_FIELD = "__lake_body"
_TYPE = pa.struct([(_FIELD, pa.int64())])

PLACE = "__lake_place"
"""Name of the column of numbers that `expression` makes places of."""

EXPRESSION = f"struct_pack({_FIELD} := {PLACE})"
"""The SQL of a place."""

_ROW_BITS = 32


class NoPlaces(Exception):
    """The other columns are too many to be held: the query must go through all of them lazily."""


class BodyPlaces:
    """The sources of one query, and what is in them."""

    def __init__(self) -> None:
        self._sources: list[SegmentSource | pa.ChunkedArray] = []

    def of_segment(self, segment: SegmentSource) -> pa.Array:
        """A number for each row of a segment."""
        return self._numbers(segment, segment.rows)

    def of_hot_rows(self, bodies: pa.ChunkedArray) -> pa.Array:
        """A number for each of some bodies in memory."""
        return self._numbers(bodies, len(bodies))

    def _numbers(self, source: SegmentSource | pa.ChunkedArray, rows: int) -> pa.Array:
        first = len(self._sources) << _ROW_BITS
        self._sources.append(source)
        return pa.array(np.arange(first, first + rows, dtype=np.int64))

    def filled(self, answer: pa.Table, check: Callable[[int], None]) -> pa.Table:
        """The answer with bodies (text) for places.

        `check` is told from time to time how many bytes of bodies there are, and may raise.
        Raises FhirError when a segment cannot be read.
        """
        for index, column in enumerate(answer.schema):
            if column.type == _TYPE:
                bodies = self._bodies(answer.column(index), check)
                answer = answer.set_column(index, pa.field(column.name, pa.string()), bodies)
        return answer

    def _bodies(self, column: pa.ChunkedArray, check: Callable[[int], None]) -> pa.Array:
        places = pa.chunked_array(
            [pc.struct_field(chunk, _FIELD) for chunk in column.chunks], pa.int64()
        )
        encoded = places.combine_chunks().dictionary_encode()
        wanted: npt.NDArray[np.int64] = encoded.dictionary.to_numpy()
        order = np.argsort(wanted)
        found: list[Any] = [None] * len(wanted)
        begin = size = 0
        while begin < len(order):
            source = int(wanted[order[begin]]) >> _ROW_BITS
            end = begin + int(np.searchsorted(wanted[order[begin:]], (source + 1) << _ROW_BITS))
            rows = (wanted[order[begin:end]] & (2**_ROW_BITS - 1)).tolist()
            for place, body in zip(
                order[begin:end].tolist(), self._read(source, rows), strict=True
            ):
                found[place] = body
                size += len(body)
                if size >> 20 != (size - len(body)) >> 20:
                    check(size)
            begin = end
        check(size)
        texts = pa.array(found, pa.binary()).cast(pa.string())
        return texts.take(encoded.indices)

    def _read(self, number: int, rows: Sequence[int]) -> Iterator[bytes]:
        source = self._sources[number]
        if isinstance(source, pa.ChunkedArray):
            yield from source.take(pa.array(rows, pa.int64())).to_pylist()
            return
        yield from read_bodies(source, rows)
