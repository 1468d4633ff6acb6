"""All parts of a type, and which of them can have a value: what keeps look-ups flat as lakes grow.

A lake has many parts, and what is asked of one patient is in one or two of them. So the bounds of
all their blocks are held in arrays, shortened to eight bytes, and compared at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from storage.index.condition import All, Compare, Condition, Prefix
from storage.index.entries import BY_TYPE, Key
from storage.index.membership import Among
from storage.index.parts import Directory
from storage.index.probe import Probe

_HEAD_BYTES = 8

FEW_PARTS = 2
"""So few parts are asked themselves as fast."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part, as a look-up begins with it: how many rows, and between which versions."""

    id: int
    rows: int
    min_v: int
    max_v: int


@dataclass(frozen=True, slots=True)
class _Blocks:
    """For every block of a parameter: its part, and the heads of its least and greatest value."""

    part: np.ndarray
    low: np.ndarray
    high: np.ndarray


@dataclass(slots=True)
class PartMap:
    """The parts of a type, from the one with the earliest version; only what is kept is added."""

    parts: Sequence[Part]
    min_v: np.ndarray
    max_v: np.ndarray
    by_patient: dict[bool, list[tuple[bytes, bytes, Part]]] = field(default_factory=dict)
    """Nearest and farthest patient of each part in the order of pages (descending: true), as
    `storage.query.patient_order` found them."""
    _blocks: dict[Key, _Blocks] = field(default_factory=dict)

    @classmethod
    def of(cls, parts: Sequence[Part]) -> PartMap:
        """The map of some parts."""
        return cls(
            parts,
            np.array([part.min_v for part in parts], np.int64),
            np.array([part.max_v for part in parts], np.int64),
        )

    def with_versions(self, versions: np.ndarray) -> np.ndarray:
        """Which parts may have some of the versions (ascending)."""
        first = np.searchsorted(versions, self.min_v, side="left")
        return first < np.searchsorted(versions, self.max_v, side="right")

    def with_value(self, probe: Probe, directory: Callable[[Part], Directory]) -> np.ndarray:
        """Which parts may have an entry that a probe asks for; `directory` reads that of a part."""
        if len(self.parts) <= FEW_PARTS:
            return np.ones(len(self.parts), bool)
        key = (probe.kind, probe.p)
        first, kind = next(iter(BY_TYPE[probe.kind].VALUES.items()))
        blocks = self._blocks.get(key)
        if blocks is None:
            blocks = self._blocks[key] = self._read(key, first if kind is str else None, directory)
        found = np.zeros(len(self.parts), bool)
        heads = _heads(probe.condition, first) if kind is str else None
        if heads is None:
            found[blocks.part] = True
            return found
        low, high = heads
        # Both ascend: the first head that ends within or after a block has to begin before its end.
        place = np.searchsorted(high, blocks.low)
        within = place < len(low)
        within[within] &= low[place[within]] <= blocks.high[within]
        found[blocks.part[within]] = True
        return found

    def _read(
        self, key: Key, column: str | None, directory: Callable[[Part], Directory]
    ) -> _Blocks:
        rows = []
        for place, part in enumerate(self.parts):
            for block in directory(part).get(key, ()):
                low, high = block.bounds[column] if column is not None else (b"", b"")
                rows.append((place, _head(low), _head(high)))
        columns = np.array(rows, np.uint64).reshape(-1, 3)
        return _Blocks(columns[:, 0].astype(np.int64), columns[:, 1], columns[:, 2])


def _heads(condition: Condition, column: str) -> tuple[np.ndarray, np.ndarray] | None:
    """Ranges of heads, ascending, in one of which a text of the column must be; None: anywhere."""
    if isinstance(condition, Compare) and condition.column == column:
        if condition.operator == "=":
            heads = np.array([_head(condition.value.encode())], np.uint64)
            return heads, heads
    elif isinstance(condition, Prefix) and condition.column == column:
        begin = condition.text.encode()
        ends = [_head(begin), _head(begin, b"\xff")]
        return np.array(ends[:1], np.uint64), np.array(ends[1:], np.uint64)
    elif isinstance(condition, Among) and condition.column == column:
        heads = condition.texts.heads(_head)
        return heads, heads
    elif isinstance(condition, All):
        for part in condition.parts:
            found = _heads(part, column)
            if found is not None:
                return found
    return None


def _head(text: bytes, fill: bytes = b"\0") -> int:
    """The first bytes of a text as a number in the order of texts."""
    return int.from_bytes(text[:_HEAD_BYTES].ljust(_HEAD_BYTES, fill), "big")
