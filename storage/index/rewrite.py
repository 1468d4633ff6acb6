"""Index parts made from other parts: when segments are merged, and when versions are erased.

No body is read. What is written is what the parts have; a part that is damaged is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import apsw
import numpy as np

from schemas.outcomes import FhirError, error
from storage.index import parts
from storage.index.block import Block
from storage.index.build import Array
from storage.index.entries import Entry, Key, joined, take
from storage.index.hot import delete_hot
from storage.index.parts import Directory, PreparedPart
from storage.index.texts import Texts


def merged(
    connection: apsw.Connection,
    segments: Sequence[int],
    versions: Sequence[int] | np.ndarray,
) -> list[PreparedPart]:
    """The parts of a new segment whose row n is `versions[n]`, from those of other segments.

    Versions of the others that are not among them are left out. Raises FhirError `internal` when a
    part of the others is damaged, or they have not all that is wanted.
    """
    numbers = np.asarray(versions, np.int64)
    order = np.argsort(numbers)
    deleted = np.zeros(len(numbers), bool)
    sources = []
    known = 0
    try:
        for segment in segments:
            for part in parts.part_ids(connection, segment):
                mine = parts.read_versions(connection, part)
                rows = _places(mine.v, numbers, order)
                wanted = rows >= 0
                if not wanted.any():
                    continue
                known += int(wanted.sum())
                gone = rows[mine.deleted]
                deleted[gone[gone >= 0]] = True
                sources.append((parts.read_directory(connection, part), rows))
        if known != len(numbers):
            raise ValueError(f"it has {known} of the {len(numbers)} versions of a segment")
        return parts.prepare(numbers, deleted, _entries(connection, sources))
    except ValueError as failure:
        raise _damaged(failure) from None


def delete_versions(connection: apsw.Connection, versions: Sequence[int]) -> None:
    """Remove every entry of some versions, in hot rows and blocks.

    Raises FhirError `internal` when a part that may have them is damaged.
    """
    numbers = np.unique(np.asarray(versions, np.int64))
    if not len(numbers):
        return
    delete_hot(connection, numbers)
    try:
        for part, segment, type_number, first_row in _parts_with(connection, numbers):
            _rewrite_without(connection, numbers, part, segment, type_number, first_row)
    except ValueError as failure:
        raise _damaged(failure) from None


def _rewrite_without(
    connection: apsw.Connection,
    numbers: np.ndarray,
    part: int,
    segment: int,
    type_number: int,
    first_row: int,
) -> None:
    old = parts.read_versions(connection, part)
    gone = np.isin(old.v, numbers)
    rows = np.where(gone, -1, np.arange(len(old.v)))
    gone[old.deleted] = True
    source = (parts.read_directory(connection, part), rows)
    (prepared,) = parts.prepare(old.v, gone, _entries(connection, [source]))
    parts.drop_part(connection, part)
    parts.write(connection, segment, type_number, [prepared.moved(first_row)])


def _damaged(failure: ValueError) -> FhirError:
    return error(
        "internal", f"The search index is damaged ({failure}). Run `chartlake reindex`, then again."
    )


def _parts_with(connection: apsw.Connection, numbers: np.ndarray) -> list[Any]:
    """`id, segment, type, first_row` of the parts that have some of the versions."""
    rows: list[Any] = connection.execute(
        "SELECT id, segment, type, first_row, min_v, max_v FROM index_part "
        "WHERE max_v >= ? AND min_v <= ?",
        (int(numbers[0]), int(numbers[-1])),
    ).fetchall()
    return [
        row[:4] for row in rows if np.isin(parts.read_versions(connection, row[0]).v, numbers).any()
    ]


def _places(versions: np.ndarray, wanted: np.ndarray, order: np.ndarray) -> np.ndarray:
    """For each version its place in `wanted`, which `order` sorts; -1 where it has none."""
    if not len(wanted):
        return np.full(len(versions), -1)
    position = np.minimum(np.searchsorted(wanted[order], versions), len(wanted) - 1)
    place = order[position]
    return np.where(wanted[place] == versions, place, -1)


def _entries(
    connection: apsw.Connection, sources: list[tuple[Directory, np.ndarray]]
) -> Iterator[Entry]:
    """Entries of parts, parameter by parameter; the row of each as the part's array says."""
    keys: list[Key] = sorted({key for directory, _ in sources for key in directory})
    for key in keys:
        chunks = []
        for directory, places in sources:
            for one in directory.get(key, ()):
                chunk = _moved(parts.read_block(connection, one.id, key[0]), places)
                if len(chunk[1]):
                    chunks.append(chunk)
        if chunks:
            columns = {
                name: joined([columns[name] for columns, _ in chunks]) for name in chunks[0][0]
            }
            yield key, columns, np.concatenate([rows for _, rows in chunks])


def _moved(block: Block, places: np.ndarray) -> tuple[dict[str, Array], np.ndarray]:
    rows = places[block.rows]
    kept = rows >= 0
    values = block.value_of_entries()[kept]
    columns = {
        name: take(column.arrow() if isinstance(column, Texts) else column, values)
        for name, column in block.columns.items()
    }
    return columns, rows[kept]
