"""Reading the few Thrift structs of Parquet that pyarrow does not show: the compact protocol.

https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md
"""

from __future__ import annotations

from typing import Any

# The deepest struct that is read here has three levels.
_MAX_DEPTH = 16


def read_struct(data: bytes) -> tuple[dict[int, Any], int]:
    """The struct at the beginning of `data` by field number, and where it ends.

    Integers, booleans, bytes, lists and structs (dicts again). Raises ValueError when it is none.
    """
    try:
        return _struct(data, 0, 0)
    except IndexError:
        raise ValueError("a Parquet header ends too early") from None


def _struct(data: bytes, at: int, depth: int) -> tuple[dict[int, Any], int]:
    if depth > _MAX_DEPTH:
        raise ValueError("a Parquet header is nested too deeply")
    found: dict[int, Any] = {}
    number = 0
    while True:
        header = data[at]
        at += 1
        kind = header & 0x0F
        if kind == 0:
            return found, at
        if header >> 4:
            number += header >> 4
        else:
            number, at = _zigzag(data, at)
        if kind in (1, 2):
            found[number] = kind == 1
        else:
            found[number], at = _value(data, at, kind, depth)


def _value(data: bytes, at: int, kind: int, depth: int) -> tuple[Any, int]:
    if kind == 3:
        return data[at], at + 1
    if kind in (4, 5, 6):
        return _zigzag(data, at)
    if kind == 8:
        size, at = _unsigned(data, at)
        if at + size > len(data):
            raise IndexError
        return data[at : at + size], at + size
    if kind == 7:
        return data[at : at + 8], at + 8
    if kind == 9:
        return _list(data, at, depth)
    if kind == 12:
        return _struct(data, at, depth + 1)
    raise ValueError(f"a Parquet header has a field of kind {kind}")


def _list(data: bytes, at: int, depth: int) -> tuple[list[Any], int]:
    size, kind = data[at] >> 4, data[at] & 0x0F
    at += 1
    if size == 15:
        size, at = _unsigned(data, at)
    found = []
    for _ in range(size):
        # A boolean in a list is a byte of its own.
        item, at = _value(data, at, 3 if kind in (1, 2) else kind, depth + 1)
        found.append(item)
    return found, at


def _unsigned(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("a Parquet header has a number of more than 64 bits")


def _zigzag(data: bytes, at: int) -> tuple[int, int]:
    value, at = _unsigned(data, at)
    return (value >> 1) ^ -(value & 1), at
