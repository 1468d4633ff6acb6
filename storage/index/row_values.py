"""What the rows of a part have of one parameter of numbers, row by row.

A block is in the order of values, which finds the rows of a value. Who has a few rows and wants
their values would go through all entries of all blocks; here they are found by row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from storage.index.block import Block
from storage.index.condition import Condition

NUMERIC = frozenset({"date", "number"})
"""Kinds whose columns are all numbers."""


@dataclass(frozen=True, slots=True)
class RowValues:
    """Distinct values by column, where the entries of each row begin, the value of each entry.

    `single`: no row has more than one entry.
    """

    columns: Mapping[str, np.ndarray]
    starts: np.ndarray
    numbers: np.ndarray
    single: bool

    @classmethod
    def of(cls, blocks: Sequence[Block], rows: int) -> RowValues:
        """Those of all blocks of a parameter of a part with so many rows; at least one block."""
        columns: dict[str, np.ndarray] = {}
        for name in blocks[0].columns:
            columns[name] = np.concatenate([np.asarray(one.columns[name]) for one in blocks])
        counts = np.concatenate([np.diff(one.starts) for one in blocks])
        row_of_entries = np.concatenate([one.rows for one in blocks])
        order = np.argsort(row_of_entries, kind="stable")
        starts = np.zeros(rows + 1, np.int32)
        of_rows = np.bincount(row_of_entries, minlength=rows)
        np.cumsum(of_rows, out=starts[1:])
        smallest = np.uint16 if len(counts) <= 2**16 else np.int32
        numbers = np.repeat(np.arange(len(counts)), counts)[order].astype(smallest)
        return cls(columns, starts, numbers, bool(of_rows.max(initial=0) <= 1))

    @property
    def nbytes(self) -> int:
        """Bytes held in memory."""
        values = sum(int(column.nbytes) for column in self.columns.values())
        return values + int(self.starts.nbytes + self.numbers.nbytes)

    def entries(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The entries of some rows: which of `rows` each is of (ascending), and its value's number.

        The entries of a row are in the order of their values.
        """
        begin, end = self.starts[rows], self.starts[rows + 1]
        counts = end - begin
        if self.single:
            which = counts.nonzero()[0]
            return which, self.numbers[begin[which]]
        which = np.repeat(np.arange(len(rows)), counts)
        first = np.repeat(begin - (np.cumsum(counts) - counts), counts)
        return which, self.numbers[first + np.arange(len(which))]

    def select(self, rows: np.ndarray, condition: Condition) -> np.ndarray:
        """Those of some rows that have a value meeting the condition; one may come repeatedly."""
        which, numbers = self.entries(rows)
        if not len(which):
            return rows[:0]
        mask = condition.mask({name: column[numbers] for name, column in self.columns.items()})
        return rows[which[mask]]
