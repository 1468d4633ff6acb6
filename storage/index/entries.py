"""Index entries of many versions, by parameter, in columns: what the blocks of a segment are of."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import apsw
import numpy as np
import pyarrow as pa

from storage.index import composite, date, number, position, quantity, reference, string, token, uri
from storage.index.build import Array

BY_TYPE: dict[str, Any] = {
    "token": token,
    "date": date,
    "string": string,
    "number": number,
    "quantity": quantity,
    "reference": reference,
    "uri": uri,
    "position": position,
    **{table.kind: table for table in composite.TABLES},
}

TABLES: tuple[Any, ...] = tuple(BY_TYPE.values())

Rows = dict[str, list[tuple[Any, ...]]]
"""Index rows of one version, without its `v`, by the type of parameter."""

Key = tuple[str, int]
"""Kind and number of a parameter."""

Entry = tuple[Key, dict[str, Array], np.ndarray]
"""All entries of one parameter: their values by column, and the row of each in the segment."""


class Entries:
    """Entries to be sorted into blocks; the row of each is its version's place in the segment."""

    def __init__(self) -> None:
        self._chunks: dict[Key, list[tuple[dict[str, Array], np.ndarray]]] = {}

    def add(self, key: Key, columns: dict[str, Array], rows: np.ndarray) -> None:
        """Add entries of one parameter."""
        if len(rows):
            self._chunks.setdefault(key, []).append((columns, rows))

    def __iter__(self) -> Iterator[Entry]:
        for key in sorted(self._chunks):
            chunks = self._chunks[key]
            columns = {
                name: joined([columns[name] for columns, _ in chunks]) for name in chunks[0][0]
            }
            yield key, columns, np.concatenate([rows for _, rows in chunks])


def of_versions(versions: Sequence[Rows]) -> Entries:
    """The entries of versions in the order of their segment, from `index.rows` of each."""
    found = Entries()
    for kind, table in BY_TYPE.items():
        given = [(place, row) for place, rows in enumerate(versions) for row in rows.get(kind, ())]
        if given:
            places = np.fromiter((place for place, _ in given), np.int64, len(given))
            _split(found, kind, table.VALUES, places, _columns(row for _, row in given))
    return found


def of_hot_rows(
    connection: apsw.Connection, parameters: Sequence[int], versions: Sequence[int] | np.ndarray
) -> Entries:
    """The entries of versions that have hot rows, in the order of their segment.

    `parameters`: the numbers of all parameters of their type.
    """
    found = Entries()
    if not len(versions):
        return found
    order = np.argsort(np.asarray(versions, np.int64))
    ascending = np.asarray(versions, np.int64)[order]
    low, high = int(ascending[0]), int(ascending[-1])
    marks = ", ".join("?" * len(parameters))
    for kind, table in BY_TYPE.items():
        rows: list[Any] = connection.execute(
            f"SELECT v, p, {', '.join(table.VALUES)} FROM {table.NAME} "
            f"WHERE p IN ({marks}) AND v >= ? AND v <= ?",
            (*parameters, low, high),
        ).fetchall()
        if not rows:
            continue
        columns = _columns(rows)
        v = np.array(columns[0], np.int64)
        position = np.searchsorted(ascending, v)
        # Between them there may be versions that are not of the segment.
        known = ascending[np.minimum(position, len(ascending) - 1)] == v
        if not known.all():
            columns = _columns(itertools.compress(rows, known))
        if known.any():
            _split(found, kind, table.VALUES, order[position[known]], columns[1:])
    return found


def parameters_of(connection: apsw.Connection, resource_type: str) -> list[int]:
    """The numbers of all parameters of a type that are in use."""
    rows = connection.execute(
        "SELECT id FROM term WHERE text > ? AND text < ?",
        (f"{resource_type}?", f"{resource_type}@"),
    )
    return [number for (number,) in rows]


def value_array(values: Sequence[Any], kind: type) -> Array:
    """Values of a column (`str`, `int` or `float`) as an array."""
    if kind is str:
        return pa.array(values, pa.string()).cast(pa.binary())
    return np.array(values, np.int64 if kind is int else np.float64)


def take(array: Array, positions: np.ndarray) -> Array:
    """The values at some positions."""
    return array[positions] if isinstance(array, np.ndarray) else array.take(pa.array(positions))


def _split(
    found: Entries,
    kind: str,
    kinds: dict[str, type],
    places: np.ndarray,
    columns: list[tuple[Any, ...]],
) -> None:
    """Add rows whose first column is `p`, parameter by parameter."""
    p = np.array(columns[0], np.int64)
    arrays = {
        name: value_array(values, column)
        for (name, column), values in zip(kinds.items(), columns[1:], strict=True)
    }
    order = np.argsort(p, kind="stable")
    for chosen in _runs(p, order):
        taken = {name: take(array, chosen) for name, array in arrays.items()}
        found.add((kind, int(p[chosen[0]])), taken, places[chosen])


def _columns(rows: Iterable[Sequence[Any]]) -> list[tuple[Any, ...]]:
    return list(zip(*rows, strict=True))


def _runs(values: np.ndarray, order: np.ndarray) -> Iterator[np.ndarray]:
    """`order`, which sorts the values, cut where the value changes."""
    ends = np.flatnonzero(np.diff(values[order])) + 1
    yield from np.split(order, ends)


def joined(arrays: list[Array]) -> Array:
    """The values of several arrays in one."""
    if isinstance(arrays[0], np.ndarray):
        return np.concatenate(arrays)
    return pa.concat_arrays(arrays)
