"""Values by row are those of the blocks by value."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from storage.index.block import Block
from storage.index.condition import Column, Compare
from storage.index.row_values import RowValues

ROWS = 12

entries = st.sets(st.tuples(st.integers(0, 9), st.integers(0, ROWS - 1)), min_size=1)


def blocks_of(entries: set[tuple[int, int]], cut: int) -> list[Block]:
    """Two blocks (one where all values are on one side of the cut) in the order of values."""
    blocks = []
    for side in (range(cut), range(cut, 10)):
        values = [value for value in side if any(value == one for one, _ in entries)]
        if values:
            pairs = sorted(pair for pair in entries if pair[0] in values)
            starts = np.searchsorted([value for value, _ in pairs], [*values, 10])
            low: Column = np.array(values, np.int64)
            columns = {"low": low, "high": np.array(values, np.int64) + 1}
            blocks.append(Block(columns, starts, np.array([row for _, row in pairs], np.uint16)))
    return blocks


@given(entries, st.integers(0, 10), st.sets(st.integers(0, ROWS - 1)), st.integers(0, 10))
def test_what_rows_have_is_found_by_row(
    entries: set[tuple[int, int]], cut: int, asked: set[int], least: int
) -> None:
    values = RowValues.of(blocks_of(entries, cut), ROWS)
    rows = np.array(sorted(asked), np.int64)

    found = values.select(rows, Compare("high", ">", least))
    assert set(found.tolist()) == {row for value, row in entries if row in asked and value >= least}

    which, numbers = values.entries(rows)
    pairs = list(zip(rows[which].tolist(), values.columns["low"][numbers].tolist(), strict=True))
    assert pairs == sorted((row, value) for value, row in entries if row in asked)
