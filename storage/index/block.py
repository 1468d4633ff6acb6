"""A block: entries of one parameter in one part of a segment, by value.

Each distinct value once, in order, and for each the rows that have it, ascending. Rows are numbered
within their part (below 65,536). In bytes: the length when decompressed, a checksum, and the
columns under Zstandard.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from storage.index.column_codec import (
    Packed,
    pack_naturals,
    pack_numbers,
    pack_texts,
    unpack_naturals,
    unpack_numbers,
    unpack_texts,
)
from storage.index.condition import All, Column, Compare, Condition, equal_to
from storage.index.texts import Texts

_LEVEL = 9
_COMPRESS = pa.Codec("zstd", compression_level=_LEVEL)
_HEAD_BYTES = 8


class _Columns(msgspec.Struct, array_like=True):
    values: int
    columns: list[Packed]
    counts: bytes
    rows: bytes


@dataclass(frozen=True, slots=True)
class Block:
    """Distinct values by column, where the rows of each begin (one more at the end), the rows."""

    columns: dict[str, Column]
    starts: np.ndarray
    rows: np.ndarray

    @property
    def nbytes(self) -> int:
        """Bytes held in memory."""
        values = sum(int(column.nbytes) for column in self.columns.values())
        return values + int(self.starts.nbytes + self.rows.nbytes)

    def select(self, condition: Condition) -> np.ndarray:
        """The rows that have a value meeting the condition; one may come several times."""
        low, high = self._bounds(condition)
        if low == high:
            return self.rows[:0]
        columns = self.columns
        if high - low == 1:
            known = _is(condition, columns, low)
            if known is not None:
                return self.rows[self.starts[low] : self.starts[high]] if known else self.rows[:0]
        if high - low < len(self.starts) - 1:
            columns = {name: _cut(column, low, high) for name, column in columns.items()}
        mask = condition.mask(columns)
        chosen = mask.nonzero()[0]
        if not len(chosen):
            return self.rows[:0]
        first, last = low + int(chosen[0]), low + int(chosen[-1])
        if last - first + 1 == len(chosen):
            return self.rows[self.starts[first] : self.starts[last + 1]]
        counts = np.diff(self.starts[low : high + 1])
        return self.rows[self.starts[low] : self.starts[high]][np.repeat(mask, counts)]

    def among(self, rows: np.ndarray, condition: Condition) -> np.ndarray:
        """Those of a few rows that have a value meeting it; one may come repeatedly."""
        found = self.select(condition)
        if not len(found):
            return found
        among = np.zeros(2**16, bool)
        among[rows] = True
        return found[among[found]]

    def _bounds(self, condition: Condition) -> tuple[int, int]:
        """Between which values those that meet a condition are: the first, and one beyond."""
        column = next(iter(self.columns))
        texts = self.columns[column]
        if isinstance(texts, Texts) and texts.ordered:
            text = equal_to(condition, column)
            if text is not None:
                return texts.places(text.encode())
        return 0, len(self.starts) - 1

    def value_of_entries(self) -> np.ndarray:
        """For each of `rows`, the number of its value."""
        return np.repeat(np.arange(len(self.starts) - 1), np.diff(self.starts))


def _is(condition: Condition, columns: Mapping[str, Column], place: int) -> bool | None:
    """Whether one value meets a condition of equalities; None for other conditions."""
    if isinstance(condition, Compare):
        if condition.operator != "=":
            return None
        value = condition.value
        found = columns[condition.column][place]
        return bool(found == (value.encode() if isinstance(value, str) else value))
    if not isinstance(condition, All):
        return None
    parts = [_is(part, columns, place) for part in condition.parts]
    return None if None in parts else all(parts)


def _cut(column: Column, low: int, high: int) -> Column:
    """The values of a column from one place to before another."""
    return column.between(low, high) if isinstance(column, Texts) else column[low:high]


def compress(data: bytes) -> bytes:
    """Bytes under Zstandard with their length and checksum before."""
    head = len(data).to_bytes(4, "big") + zlib.crc32(data).to_bytes(4, "big")
    return head + _COMPRESS.compress(data, asbytes=True)


def decompress(blob: bytes) -> bytes:
    """What `compress` was given. Raises ValueError when it is not what was written."""
    size = int.from_bytes(blob[:4], "big")
    try:
        data: bytes = pa.decompress(
            blob[_HEAD_BYTES:], decompressed_size=size, codec="zstd", asbytes=True
        )
    except (OSError, pa.ArrowException):
        raise ValueError("it cannot be decompressed") from None
    if zlib.crc32(data) != int.from_bytes(blob[4:_HEAD_BYTES], "big"):
        raise ValueError("it is not what was written")
    return data


def encode(block: Block) -> bytes:
    """The block in bytes."""
    packed: list[Packed] = []
    low: np.ndarray | None = None
    for column in block.columns.values():
        if isinstance(column, Texts):
            packed.append(pack_texts(column))
        else:
            packed.append(pack_numbers(column, low if len(packed) == 1 else None))
            low = column if not packed[1:] else low
    counts = np.diff(block.starts)
    rows = block.rows.astype(np.int64)
    # Within a value, the distance from the row before; at its first, the row itself.
    steps = np.diff(rows, prepend=0)
    steps[block.starts[:-1]] = rows[block.starts[:-1]]
    content = _Columns(
        len(counts),
        packed,
        pack_naturals((counts - 1).astype(np.uint64)),
        pack_naturals(steps.astype(np.uint64)),
    )
    return compress(msgspec.msgpack.encode(content))


def decode(blob: bytes, kinds: dict[str, type]) -> Block:
    """The block of some bytes; `kinds` are the types of its columns. Raises ValueError."""
    try:
        content = msgspec.msgpack.decode(decompress(blob), type=_Columns)
    except msgspec.DecodeError:
        raise ValueError("it is not a block") from None
    count = content.values
    columns: dict[str, Any] = {}
    low: np.ndarray | None = None
    for (name, kind), packed in zip(kinds.items(), content.columns, strict=True):
        if kind is str:
            columns[name] = unpack_texts(packed, count, ordered=not columns)
            continue
        numbers = unpack_numbers(packed, count, kind, low if len(columns) == 1 else None)
        low = numbers if not columns else low
        columns[name] = numbers
    counts = unpack_naturals(content.counts, count).astype(np.int64) + 1
    starts = np.zeros(count + 1, np.int64)
    np.cumsum(counts, out=starts[1:])
    steps = unpack_naturals(content.rows, int(starts[-1])).astype(np.int64)
    # The sum over all, less what it had reached where the value began.
    total = np.cumsum(steps)
    before = total[starts[:-1]] - steps[starts[:-1]]
    rows = (total - np.repeat(before, counts)).astype(np.uint16)
    return Block(columns, starts, rows)
