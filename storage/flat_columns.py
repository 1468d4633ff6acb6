"""The flat columns of many bodies at once: what `schemas.views.flatten` gives for each.

Bodies are read by Arrow's JSON reader, which skips what no column needs, and the columns' paths are
followed in Arrow kernels: about a fifth of the time of a row at a time, and other threads run
meanwhile. A body that is not shaped as R4 says (text where it has an array, say) or that holds
what the two ways may read differently is flattened by itself.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj

from schemas.parse import parse_resource
from schemas.views import FlatColumn, column_paths, flat_columns, flatten
from storage.element_schema import Unsupported, elements
from storage.moments import moments
from storage.path_kernels import Items, Things, check_zero, spread

ARROW_TYPES = {
    "string": pa.string(),
    "double": pa.float64(),
    "boolean": pa.bool_(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us", "UTC"),
    "list<string>": pa.list_(pa.string()),
}

# Bodies read at once: bounds what is held of them beside the columns.
_BATCH_BYTES = 16 * 2**20

# Fewer bodies than this are flattened one by one, also when a larger batch could not be read.
_FEW = 16

# Doubles hold 15 digits. It need not be a number: this may also stand in a text.
_LONG_NUMBER = re.compile(rb"[:,\[]\s*-?[0-9][0-9.]{15}")

_FLAT_KINDS = {"string": pa.string(), "list<string>": pa.string(), "double": pa.float64(),
               "boolean": pa.bool_(), "date": pa.string(), "timestamp": pa.string()}  # fmt: skip


def flattened(resource_type: str, bodies: Sequence[bytes]) -> list[pa.ChunkedArray]:
    """An array for each of the type's flat columns, a value for each body (null for `b""`).

    The bodies are resources of the type, as `schemas.parse` accepts them.
    """
    columns = flat_columns(resource_type)
    if not columns:
        return []
    pieces: list[list[pa.Array]] = []
    for batch in _batches(bodies):
        pieces += _read(resource_type, batch)
    return [
        pa.chunked_array([piece[n] for piece in pieces], ARROW_TYPES[column.kind])
        for n, column in enumerate(columns)
    ]


def _batches(bodies: Sequence[bytes]) -> list[Sequence[bytes]]:
    found, begin, size = [], 0, 0
    for end, body in enumerate(bodies):
        size += len(body)
        if size > _BATCH_BYTES:
            found.append(bodies[begin : end + 1])
            begin, size = end + 1, 0
    if begin < len(bodies):
        found.append(bodies[begin:])
    return found


def _read(resource_type: str, bodies: Sequence[bytes]) -> list[list[pa.Array]]:
    """The columns of a batch, in one or several pieces."""
    if len(bodies) < _FEW:
        return [_one_by_one(resource_type, bodies)]
    try:
        return [together(resource_type, bodies)]
    except Unsupported:
        return [_one_by_one(resource_type, bodies)]
    except (pa.ArrowInvalid, ValueError):
        middle = len(bodies) // 2
        return _read(resource_type, bodies[:middle]) + _read(resource_type, bodies[middle:])


def _one_by_one(resource_type: str, bodies: Sequence[bytes]) -> list[pa.Array]:
    rows: list[dict[str, Any]] = [flatten(parse_resource(body)) if body else {} for body in bodies]
    return [
        pa.array([row.get(column.name) for row in rows], ARROW_TYPES[column.kind])
        for column in flat_columns(resource_type)
    ]


def together(resource_type: str, bodies: Sequence[bytes]) -> list[pa.Array]:
    """The columns of some bodies, read at once.

    Raises `Unsupported` for a path outside of `path_kernels`, ArrowInvalid or ValueError for a body
    among them that must be read by itself.
    """
    read = elements(resource_type)
    schema = read.schema
    text = b"\n".join(body or b"{}" for body in bodies)
    if text.count(b"\n") != len(bodies) - 1:
        raise ValueError("a body of several lines")
    if read.calculates and _LONG_NUMBER.search(text):
        raise ValueError("a number that a double may not hold to its last digit")
    table = pj.read_json(
        pa.BufferReader(text),
        read_options=pj.ReadOptions(use_threads=False, block_size=len(text) + 1),
        parse_options=pj.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore"),
    ).select(schema.names)
    if table.num_rows != len(bodies):
        raise ValueError("not one object a body")
    arrays = [_single(column) for column in table.columns]
    things = Things(pa.StructArray.from_arrays(arrays, fields=list(schema)), len(bodies))
    empty = pa.array([not body for body in bodies])
    hide = empty if pc.any(empty).as_py() else None
    columns = []
    for column, branches in column_paths(resource_type):
        found = _values(column, things.evaluate(branches), len(bodies))
        columns.append(found if hide is None else pc.if_else(hide, None, found))
    return columns


def _single(column: pa.ChunkedArray) -> pa.Array:
    found = column.combine_chunks()
    return found.chunk(0) if isinstance(found, pa.ChunkedArray) else found


def _values(column: FlatColumn, found: Items, n: int) -> pa.Array:
    if found.values.type != _FLAT_KINDS[column.kind]:
        raise Unsupported
    if column.kind == "list<string>":
        return _lists(found, n)
    first = np.concatenate([[True], found.of[1:] != found.of[:-1]])[: len(found.of)]
    one = found.where(first)
    if column.kind == "double":
        check_zero(one.values)
    if column.kind in ("date", "timestamp"):
        read = moments(one.values)
        one = Items(one.of, read if column.kind == "timestamp" else _days(read))
    return spread(one, n)


def _days(read: pa.Array) -> pa.Array:
    return pc.floor_temporal(read, unit="day").cast(pa.date32())


def _lists(found: Items, n: int) -> pa.Array:
    counts = np.bincount(found.of, minlength=n)
    ends = np.concatenate([[0], np.cumsum(counts)])
    # A list begins with a null offset where there is none: no value is no list, never an empty one.
    offsets = pa.array(ends, pa.int32(), mask=np.append(counts == 0, False))
    return pa.ListArray.from_arrays(offsets, found.values)
