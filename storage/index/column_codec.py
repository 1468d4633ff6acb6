"""Columns of a block as bytes that compress well.

Numbers are differences where that makes them small, and are written byte plane by byte plane:
all lowest bytes, then all second ones, …; the planes of small numbers vanish in compression. Texts
are their lengths and bytes; those that are canonical UUIDs are 16 bytes.
"""

from __future__ import annotations

import numpy as np
import pyarrow.compute as pc

from storage.index.texts import Texts

_UUID = "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
_UUID_LENGTH = 36
_DASHES = (8, 13, 18, 23)
_DIGITS = np.delete(np.arange(_UUID_LENGTH), _DASHES)

_SIGN = np.uint64(1 << 63)
_HEX = np.frombuffer(b"0123456789abcdef", np.uint8)
_NIBBLE = np.zeros(256, np.uint8)
_NIBBLE[_HEX] = np.arange(16, dtype=np.uint8)

Packed = list[bytes]
"""What a column became; `msgspec` puts the parts of all columns together."""


def pack_naturals(values: np.ndarray) -> bytes:
    """Numbers from 0 on (uint64), each in as many byte planes as the greatest needs."""
    most = int(values.max()) if len(values) else 0
    width = (most.bit_length() + 7) // 8
    planes = values.astype("<u8").view(np.uint8).reshape(-1, 8)[:, :width]
    return planes.T.tobytes()


def unpack_naturals(data: bytes, count: int) -> np.ndarray:
    """The numbers (uint64) that `pack_naturals` wrote. Raises ValueError for other lengths."""
    width, rest = divmod(len(data), count) if count else (0, len(data))
    if rest or width > 8:
        raise ValueError("a column has another length than its block")
    wide = np.zeros((count, 8), np.uint8)
    if width:
        wide[:, :width] = np.frombuffer(data, np.uint8).reshape(width, count).T
    return wide.view("<u8").reshape(count)


def pack_numbers(values: np.ndarray, beside: np.ndarray | None = None) -> Packed:
    """Integers or floats; `beside`, if given, is the column that they mostly differ little from."""
    words = _to_words(values)
    if beside is not None:
        words = words - _to_words(beside)
    if not len(words):
        return [b"", b"", b"", b""]
    base = words.min()
    words = words - base
    ascending = bool((words[1:] >= words[:-1]).all())
    if ascending:
        words = np.diff(words, prepend=np.uint64(0))
    step = np.uint64(int(np.gcd.reduce(words)) or 1)
    return [
        base.tobytes(),
        step.tobytes(),
        b"\1" if ascending else b"",
        pack_naturals(words // step),
    ]


def unpack_numbers(
    packed: Packed, count: int, kind: type, beside: np.ndarray | None = None
) -> np.ndarray:
    """The column (int64 or float64, as `kind` is int or float) that `pack_numbers` wrote."""
    base, step, ascending, data = packed
    words = unpack_naturals(data, count)
    if count:
        words = words * np.frombuffer(step, np.uint64)[0]
        if ascending:
            words = np.cumsum(words, dtype=np.uint64)
        words = words + np.frombuffer(base, np.uint64)[0]
    if beside is not None:
        words = words + _to_words(beside)
    return _from_words(words, kind)


def pack_texts(texts: Texts) -> Packed:
    """Texts in any order."""
    array = texts.arrow()
    lengths = texts.lengths()
    uuid = lengths == _UUID_LENGTH
    if uuid.any():
        uuid &= pc.match_substring_regex(array, _UUID).to_numpy(zero_copy_only=False)
    flat = np.frombuffer(texts.data, np.uint8)
    if not uuid.any():
        return [b"", b"", pack_naturals(lengths), texts.data]
    within = np.repeat(uuid, lengths)
    letters = flat[within].reshape(-1, _UUID_LENGTH)[:, _DIGITS]
    nibbles = _NIBBLE[letters]
    packed = (nibbles[:, 0::2] << 4 | nibbles[:, 1::2]).tobytes()
    return [
        b"" if uuid.all() else np.packbits(uuid).tobytes(),
        packed,
        pack_naturals(lengths[~uuid]),
        flat[~within].tobytes(),
    ]


def unpack_texts(packed: Packed, count: int, *, ordered: bool) -> Texts:
    """The column that `pack_texts` wrote. Raises ValueError for other lengths."""
    bits, uuids, lengths, data = packed
    if not uuids:
        sizes = unpack_naturals(lengths, count)
        return _texts(sizes, data, ordered)
    if len(uuids) % 16:
        raise ValueError("a column has another length than its block")
    uuid = np.ones(count, bool)
    if bits:
        uuid = np.unpackbits(np.frombuffer(bits, np.uint8), count=count) > 0
    if int(uuid.sum()) * 16 != len(uuids):
        raise ValueError("a column has another length than its block")
    letters = np.full((len(uuids) // 16, _UUID_LENGTH), ord("-"), np.uint8)
    octets = np.frombuffer(uuids, np.uint8).reshape(-1, 16)
    digits = np.empty((len(octets), 32), np.uint8)
    digits[:, 0::2], digits[:, 1::2] = _HEX[octets >> 4], _HEX[octets & 15]
    letters[:, _DIGITS] = digits
    if not bits:
        return _texts(np.full(count, _UUID_LENGTH, np.uint64), letters.tobytes(), ordered)
    sizes = np.full(count, _UUID_LENGTH, np.uint64)
    sizes[~uuid] = unpack_naturals(lengths, int((~uuid).sum()))
    within = np.repeat(uuid, sizes.astype(np.int64))
    flat = np.empty(len(within), np.uint8)
    flat[within] = letters.reshape(-1)
    flat[~within] = np.frombuffer(data, np.uint8)
    return _texts(sizes, flat.tobytes(), ordered)


def _texts(sizes: np.ndarray, data: bytes, ordered: bool) -> Texts:
    offsets = np.zeros(len(sizes) + 1, np.int64)
    np.cumsum(sizes.astype(np.int64), out=offsets[1:])
    if int(offsets[-1]) != len(data):
        raise ValueError("a column has another length than its block")
    return Texts(offsets.astype(np.int32), data, ordered=ordered)


def _to_words(values: np.ndarray) -> np.ndarray:
    """uint64 numbers in the order of the values; exact, there and back."""
    if values.dtype.kind == "f":
        bits = np.ascontiguousarray(values, np.float64).view(np.uint64)
        return np.where(bits & _SIGN, ~bits, bits | _SIGN)
    return np.ascontiguousarray(values, np.int64).view(np.uint64) ^ _SIGN


def _from_words(words: np.ndarray, kind: type) -> np.ndarray:
    if kind is float:
        bits = np.where(words & _SIGN, words & ~_SIGN, ~words)
        return bits.view(np.float64)
    return (words ^ _SIGN).view(np.int64)
