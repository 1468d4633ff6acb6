"""From entries in any order to the blocks of a part: sorted, each value once, cut by size."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from storage.index.block import Block
from storage.index.condition import Column
from storage.index.texts import Texts

PART_ROWS = 1 << 15
"""Rows of a segment that are indexed together: their numbers fit in 16 bits, and what is asked of
a patient is read from one part, since segments are sorted by patient."""

# A block is what a look-up decodes: a tenth of a millisecond.
_BLOCK_ENTRIES = 1 << 13
_BLOCK_TEXT_BYTES = 1 << 18

Array: TypeAlias = Any
"""Values of entries: integers or floats (NumPy), or texts (Arrow binary, no nulls)."""


def blocks(columns: dict[str, Array], rows: np.ndarray) -> Iterator[Block]:
    """The blocks of the entries `columns[…][n], rows[n]`; rows are below `PART_ROWS`."""
    value, distinct = _distinct(list(columns.values()))
    keys = np.sort(value * PART_ROWS + rows)
    rows = (keys % PART_ROWS).astype(np.uint16)
    counts = np.bincount(keys // PART_ROWS, minlength=len(distinct))
    starts = np.zeros(len(counts) + 1, np.int64)
    np.cumsum(counts, out=starts[1:])
    taken = {name: _take(array, distinct) for name, array in columns.items()}
    for first, last in _cuts(starts, taken):
        yield Block(
            {
                name: _slice(array, first, last, ordered=not position)
                for position, (name, array) in enumerate(taken.items())
            },
            starts[first : last + 1] - starts[first],
            rows[starts[first] : starts[last]],
        )


def _slice(array: Array, first: int, last: int, *, ordered: bool) -> Column:
    if isinstance(array, np.ndarray):
        return array[first:last]
    return Texts.from_arrow(array.slice(first, last - first), ordered=ordered)


def _take(array: Array, positions: np.ndarray) -> Array:
    return array[positions] if isinstance(array, np.ndarray) else array.take(pa.array(positions))


def _distinct(arrays: list[Array]) -> tuple[np.ndarray, np.ndarray]:
    """For each entry the rank of its value among the distinct ones; where each is first found."""
    combined: np.ndarray | None = None
    for array in arrays:
        ranks, most = _ranks(array)
        combined = ranks if combined is None else combined * most + ranks
        # Ranks stay below the number of entries, so the next product fits in 64 bits.
        _, first, combined = np.unique(combined, return_index=True, return_inverse=True)
    assert combined is not None
    return combined.astype(np.int64), first


def _ranks(array: Array) -> tuple[np.ndarray, int]:
    """The rank of each value among the distinct ones of its column, and how many there are."""
    if isinstance(array, np.ndarray):
        distinct, ranks = np.unique(array, return_inverse=True)
        return ranks.astype(np.int64), max(len(distinct), 1)
    found: Any = array.dictionary_encode()
    order = pc.sort_indices(found.dictionary).to_numpy()
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    return rank[found.indices.to_numpy()], max(len(order), 1)


def _cuts(starts: np.ndarray, columns: dict[str, Array]) -> Iterator[tuple[int, int]]:
    """Ranges of values that make a block each: all rows of a value are in one."""
    size = np.zeros(len(starts), np.int64)
    for array in columns.values():
        if not isinstance(array, np.ndarray):
            lengths = pc.binary_length(array).to_numpy().astype(np.int64)
            size[1:] += np.cumsum(lengths)
    first, count = 0, len(starts) - 1
    while first < count:
        by_entries = np.searchsorted(starts, starts[first] + _BLOCK_ENTRIES, side="right") - 1
        by_text = np.searchsorted(size, size[first] + _BLOCK_TEXT_BYTES, side="right") - 1
        last = max(first + 1, min(int(by_entries), int(by_text)))
        yield first, last
        first = last
