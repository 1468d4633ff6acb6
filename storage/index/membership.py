"""Sets of texts that index entries are compared with: what joins resources in a search."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from typing import Any

import apsw
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from storage.index.condition import Bounds, Columns, Sql
from storage.index.texts import Texts
from storage.packed_ids import pack

# Below this, a set is looked up text by text.
_FEW = 32

# What Python needs for a text besides its bytes: itself, and as string, as key and in Arrow, which
# are made when they are asked for.
_TEXT_BYTES = 160

_numbers = count(1)


class TextSet:
    """An immutable set of texts, in the order of their UTF-8 bytes."""

    def __init__(self, ordered: list[bytes]) -> None:
        """`ordered`: ascending, each once."""
        self._values = ordered
        self._heads: np.ndarray | None = None
        self.number = next(_numbers)
        """By which what is kept of this set is known; no other set of this process has it."""

    @classmethod
    def of(cls, texts: Iterable[str]) -> TextSet:
        """The set of some texts."""
        return cls(sorted({text.encode() for text in texts}))

    @classmethod
    def of_arrays(cls, arrays: Sequence[Any]) -> TextSet:
        """The set of the texts in Arrow arrays (binary, no nulls)."""
        values: list[bytes] = []
        for array in arrays:
            values += array.to_pylist()
        # Segments are sorted by patient: their ids come in order, and sorting them is one pass.
        values.sort()
        return cls(list(dict.fromkeys(values)))

    def __len__(self) -> int:
        return len(self._values)

    def __contains__(self, text: str) -> bool:
        place = bisect_left(self._values, text.encode())
        return place < len(self._values) and self._values[place] == text.encode()

    @cached_property
    def strings(self) -> tuple[str, ...]:
        """The texts."""
        return tuple(value.decode() for value in self._values)

    @cached_property
    def bound(self) -> Any:
        """The texts as an argument of SQL, for `carray(?)`; there must be one."""
        return apsw.carray(self.strings)

    @cached_property
    def packed(self) -> tuple[tuple[bytes, ...], tuple[str, ...]]:
        """As keys of `storage.packed_ids`: those of UUIDs, and those of other ids."""
        keys = [pack(text) for text in self.strings]
        return (
            tuple(key for key in keys if isinstance(key, bytes)),
            tuple(key for key in keys if isinstance(key, str)),
        )

    @cached_property
    def known(self) -> frozenset[bytes]:
        """The texts, for looking up few of them."""
        return frozenset(self._values)

    @cached_property
    def _array(self) -> Any:
        return pa.array(self._values, pa.binary())

    @cached_property
    def nbytes(self) -> int:
        """Bytes held in memory, at most, about."""
        return sum(map(len, self._values)) + _TEXT_BYTES * (len(self._values) + 1)

    def with_more(self, texts: Iterable[str]) -> TextSet:
        """The texts of this set and some others; this very set where it has them all."""
        more = {text.encode() for text in texts if text not in self}
        if not more:
            return self
        # Two runs in order, which sorting merges.
        return TextSet(sorted([*self._values, *sorted(more)]))

    def both(self, other: TextSet) -> TextSet:
        """The texts that are in both sets."""
        small, large = sorted((self, other), key=len)
        known = set(large._values)
        return TextSet([value for value in small._values if value in known])

    def between(self, low: bytes, high: bytes) -> tuple[int, int]:
        """The places of the texts from `low` to `high`, both included: first, and one beyond."""
        return bisect_left(self._values, low), bisect_right(self._values, high)

    def heads(self, head: Any) -> np.ndarray:
        """The first bytes of each text as a number, as `head` tells it; ascending."""
        if self._heads is None:
            heads = (head(value) for value in self._values)
            self._heads = np.fromiter(heads, np.uint64, len(self._values))
        return self._heads

    def mask(self, column: Texts) -> np.ndarray:
        """Which texts of a column are in the set."""
        if not len(column) or not self._values:
            return np.zeros(len(column), bool)
        first, last = 0, len(self._values)
        if column.ordered:
            first, last = self.between(column[0], column[len(column) - 1])
            if last - first < _FEW:
                found = np.zeros(len(column), bool)
                for value in self._values[first:last]:
                    found |= column.compare("=", value)
                return found
        chosen = self._array.slice(first, last - first)
        among: np.ndarray = pc.is_in(column.arrow(), value_set=chosen).to_numpy(
            zero_copy_only=False
        )
        return among


@dataclass(frozen=True, slots=True)
class Among:
    """`column` is one of some texts (at least one)."""

    column: str
    texts: TextSet

    def sql(self, names: Mapping[str, str] | None = None) -> Sql:
        """As SQL."""
        column = (names or {}).get(self.column, self.column)
        return f"{column} IN (SELECT value FROM carray(?))", (self.texts.bound,)

    def mask(self, columns: Columns) -> np.ndarray:
        """Which of the values meet it."""
        column = columns[self.column]
        assert isinstance(column, Texts)
        return self.texts.mask(column)

    def possible(self, bounds: Bounds) -> bool:
        """Whether a value within the bounds could meet it."""
        if self.column not in bounds:
            return True
        first, last = self.texts.between(*bounds[self.column])
        return first < last


@dataclass(frozen=True, slots=True)
class Differs:
    """A value that does not meet a condition, for comparisons that ask for another value."""

    condition: Any

    def sql(self, names: Mapping[str, str] | None = None) -> Sql:
        """As SQL."""
        text, args = self.condition.sql(names)
        return f"NOT ({text})", args

    def mask(self, columns: Columns) -> np.ndarray:
        """Which of the values meet it."""
        found: np.ndarray = ~self.condition.mask(columns)
        return found

    def possible(self, bounds: Bounds) -> bool:
        """Bounds say nothing of what differs."""
        return True


@dataclass(frozen=True, slots=True)
class EndsWith:
    """`column` ends with a text."""

    column: str
    text: str

    def sql(self, names: Mapping[str, str] | None = None) -> Sql:
        """As SQL."""
        column = (names or {}).get(self.column, self.column)
        return f"substr({column}, -?) = ?", (len(self.text), self.text)

    def mask(self, columns: Columns) -> np.ndarray:
        """Which of the values meet it."""
        column = columns[self.column]
        assert isinstance(column, Texts)
        found: np.ndarray = pc.ends_with(
            column.arrow().cast(pa.string()), pattern=self.text
        ).to_numpy(zero_copy_only=False)
        return found

    def possible(self, bounds: Bounds) -> bool:
        """Bounds say nothing of how a text ends."""
        return True
