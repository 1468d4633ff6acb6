"""A column of texts in memory: their UTF-8 bytes one after another, and where each begins.

Compared byte by byte, as SQLite compares them, which is the order of code points.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_COMPARE = {
    "=": pc.equal,
    "<": pc.less,
    "<=": pc.less_equal,
    ">": pc.greater,
    ">=": pc.greater_equal,
}


class Texts:
    """An immutable column of texts. `ordered` when they ascend, which makes look-ups seek."""

    __slots__ = ("data", "offsets", "ordered")

    def __init__(self, offsets: np.ndarray, data: bytes, *, ordered: bool = False) -> None:
        """`offsets` (int32, one more than there are texts) into `data`."""
        self.offsets = offsets
        self.data = data
        self.ordered = ordered

    @classmethod
    def of(cls, texts: Sequence[str]) -> Texts:
        """A column of the texts, in their order."""
        return cls.from_arrow(pa.array(texts, pa.string()))

    @classmethod
    def from_arrow(cls, array: pa.Array, *, ordered: bool = False) -> Texts:
        """A column of an Arrow array (string or binary) without nulls."""
        _, where, data = array.buffers()
        offsets = np.frombuffer(where, np.int32)[array.offset : array.offset + len(array) + 1]
        if not len(array):
            return cls(np.zeros(1, np.int32), b"", ordered=ordered)
        begin, end = int(offsets[0]), int(offsets[-1])
        content = data.slice(begin, end - begin).to_pybytes() if data is not None else b""
        return cls(offsets - offsets[0], content, ordered=ordered)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, position: int) -> bytes:
        return self.data[self.offsets[position] : self.offsets[position + 1]]

    def __iter__(self) -> Iterator[bytes]:
        return (self[position] for position in range(len(self)))

    @property
    def nbytes(self) -> int:
        """Bytes held in memory."""
        return len(self.data) + int(self.offsets.nbytes)

    def arrow(self) -> pa.Array:
        """The column as an Arrow array (binary), without copying."""
        buffers = [None, pa.py_buffer(self.offsets), pa.py_buffer(self.data)]
        return pa.Array.from_buffers(pa.binary(), len(self), buffers)

    def take(self, positions: np.ndarray) -> Texts:
        """The texts at some positions, which ascend."""
        return Texts.from_arrow(self.arrow().take(pa.array(positions)), ordered=self.ordered)

    def between(self, low: int, high: int) -> Texts:
        """The texts from one place to before another."""
        offsets = self.offsets[low : high + 1]
        begin = int(offsets[0])
        data = self.data[begin : int(offsets[-1])]
        return Texts(offsets - begin, data, ordered=self.ordered)

    def places(self, value: bytes) -> tuple[int, int]:
        """Where a text stands in an ordered column: its first place, and one beyond its last."""
        low = self._position(value, after=False)
        if low == len(self) or self[low] != value:
            return low, low
        if low + 1 == len(self) or self[low + 1] != value:
            return low, low + 1
        return low, self._position(value, after=True)

    def lengths(self) -> np.ndarray:
        """The bytes in each text."""
        return np.diff(self.offsets)

    def compare(self, operator: str, value: bytes) -> np.ndarray:
        """Which texts compare so with `value`."""
        if not self.ordered:
            found: np.ndarray = _COMPARE[operator](self.arrow(), value).to_numpy(
                zero_copy_only=False
            )
            return found
        found = np.zeros(len(self), bool)
        low, high = 0, len(self)
        if operator in ("=", ">=", ">"):
            low = self._position(value, after=operator == ">")
        if operator in ("=", "<=", "<"):
            high = self._position(value, after=operator != "<")
        found[low:high] = True
        return found

    def contains(self, part: bytes) -> np.ndarray:
        """Which texts have `part` within them."""
        found: np.ndarray = pc.match_substring(self.arrow(), part).to_numpy(zero_copy_only=False)
        return found

    def _position(self, value: bytes, *, after: bool) -> int:
        """How many texts, of an ordered column, come before `value` (or are it, with `after`)."""
        low, high = 0, len(self)
        offsets, data = self.offsets, self.data
        while low < high:
            middle = (low + high) // 2
            text = data[offsets[middle] : offsets[middle + 1]]
            if text < value or (after and text == value):
                low = middle + 1
            else:
                high = middle
        return low
