"""The blocks of segments in the database.

A segment is indexed in parts of `build.PART_ROWS` rows. A part says which versions its rows are,
and what blocks it has: parameter, entries, bounds of the values, so that most stay unread. Parts
and blocks are never changed, only replaced: a number never means another one later.

| table | key | what |
|---|---|---|
| `index_part` | `id` | some rows of a segment: their versions, and the directory of blocks |
| `index_block` | `id` | one block; block `n` of part `id` is `(id << 24) + n` |
"""

from __future__ import annotations

import operator
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import apsw
import msgspec
import numpy as np
import pyarrow as pa

from storage.index import block, build
from storage.index.block import Block
from storage.index.column_codec import pack_naturals, pack_numbers, unpack_naturals, unpack_numbers
from storage.index.condition import Bounds
from storage.index.entries import BY_TYPE, Entry, Key, take
from storage.index.texts import Texts
from storage.packed_ids import unpack

DDL = """
CREATE TABLE index_part (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  segment INTEGER NOT NULL,
  type INTEGER NOT NULL,
  first_row INTEGER NOT NULL,
  rows INTEGER NOT NULL,
  min_v INTEGER NOT NULL,
  max_v INTEGER NOT NULL,
  blocks INTEGER NOT NULL,
  versions BLOB NOT NULL,
  directory BLOB NOT NULL
);
CREATE UNIQUE INDEX index_part_segment ON index_part (segment, first_row);
CREATE INDEX index_part_type ON index_part (type);
CREATE TABLE index_block (id INTEGER PRIMARY KEY, block BLOB NOT NULL)
"""


_BLOCK_BITS = 24


class _Versions(msgspec.Struct, array_like=True):
    rows: int
    numbers: list[bytes]
    deleted: int
    deleted_rows: bytes


@dataclass(frozen=True, slots=True)
class PreparedPart:
    """A part as it will be written."""

    first_row: int
    rows: int
    min_v: int
    max_v: int
    versions: bytes
    directory: bytes
    blocks: list[bytes]

    def moved(self, first_row: int) -> PreparedPart:
        """The same part as one that begins at another row of its segment."""
        return replace(self, first_row=first_row)


@dataclass(frozen=True, slots=True)
class BlockEntry:
    """A block as its part's directory names it."""

    id: int
    entries: int
    bounds: Bounds


Directory = dict[Key, list[BlockEntry]]


@dataclass(frozen=True, slots=True)
class PartVersions:
    """The version of each row, and the rows that are deletions."""

    v: np.ndarray
    deleted: np.ndarray


def prepare(
    versions: Sequence[int] | np.ndarray,
    deleted: Sequence[bool] | np.ndarray,
    entries: Iterable[Entry],
) -> list[PreparedPart]:
    """The parts of a segment whose row n is `versions[n]`.

    `entries` come parameter by parameter; a version that is `deleted` has none.
    """
    numbers = np.asarray(versions, np.int64)
    gone = np.asarray(deleted, bool)
    found = []
    contents: list[list[tuple[Key, list[Block]]]] = [
        [] for _ in range(0, len(numbers), build.PART_ROWS)
    ]
    for key, columns, rows in entries:
        for place, content in enumerate(contents):
            within = _within(rows, place) if len(contents) > 1 else None
            chosen = columns
            if within is not None:
                if not len(within):
                    continue
                chosen = {name: take(array, within) for name, array in columns.items()}
            local = (rows if within is None else rows[within]) - place * build.PART_ROWS
            content.append((key, list(build.blocks(chosen, local))))
    for place, content in enumerate(contents):
        first = place * build.PART_ROWS
        mine = slice(first, first + build.PART_ROWS)
        found.append(_part(first, numbers[mine], gone[mine], content))
    return found


def numbered(part: PreparedPart, versions: np.ndarray) -> PreparedPart:
    """The same part, without deletions, once its rows' versions have their numbers."""
    return replace(
        part,
        min_v=int(versions.min()),
        max_v=int(versions.max()),
        versions=_packed_versions(versions, np.zeros(0, np.int64)),
    )


def write(
    connection: apsw.Connection, segment: int, type_number: int, parts: Sequence[PreparedPart]
) -> None:
    """Store the parts of a segment."""
    for part in parts:
        connection.execute(
            "INSERT INTO index_part (segment, type, first_row, rows, min_v, max_v, "
            "blocks, versions, directory) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                segment,
                type_number,
                part.first_row,
                part.rows,
                part.min_v,
                part.max_v,
                len(part.blocks),
                part.versions,
                part.directory,
            ),
        )
        first = connection.last_insert_rowid() << _BLOCK_BITS
        connection.executemany(
            "INSERT INTO index_block VALUES (?, ?)", list(enumerate(part.blocks, first))
        )


def drop(connection: apsw.Connection, segment: int) -> None:
    """Remove the parts of a segment with their blocks."""
    for part in part_ids(connection, segment):
        drop_part(connection, part)


def drop_part(connection: apsw.Connection, part: int) -> None:
    """Remove a part with its blocks."""
    connection.execute(
        "DELETE FROM index_block WHERE id >= ? AND id < ?",
        (part << _BLOCK_BITS, (part + 1) << _BLOCK_BITS),
    )
    connection.execute("DELETE FROM index_part WHERE id = ?", (part,))


def drop_strays(connection: apsw.Connection, segments: Collection[int]) -> None:
    """Remove parts of segments other than these, and blocks of no part."""
    rows: list[Any] = connection.execute("SELECT id, segment FROM index_part").fetchall()
    for part, segment in rows:
        if segment not in segments:
            drop_part(connection, part)
    connection.execute(
        f"DELETE FROM index_block WHERE id >> {_BLOCK_BITS} NOT IN (SELECT id FROM index_part)"
    )


def part_ids(connection: apsw.Connection, segment: int) -> list[int]:
    """The parts of a segment, by row."""
    rows = connection.execute(
        "SELECT id FROM index_part WHERE segment = ? ORDER BY first_row", (segment,)
    )
    return [part for (part,) in rows]


def delete_all(connection: apsw.Connection) -> None:
    """Remove every part and block."""
    connection.execute("DELETE FROM index_part")
    connection.execute("DELETE FROM index_block")


def read_versions(connection: apsw.Connection, part: int) -> PartVersions:
    """The versions of a part. Raises ValueError when they are damaged or missing."""
    blob = connection.execute("SELECT versions FROM index_part WHERE id = ?", (part,)).get
    content = _unpack(blob, _Versions)
    return PartVersions(
        unpack_numbers(content.numbers, content.rows, int),
        unpack_naturals(content.deleted_rows, content.deleted).astype(np.int64),
    )


def read_ids(connection: apsw.Connection, versions: np.ndarray) -> Texts:
    """The ids of the resources that some versions are of; of one that was erased, empty."""
    if not len(versions):
        return Texts.of([])
    rows: list[Any] = connection.execute(
        "SELECT r.v, r.id FROM carray(?) a CROSS JOIN version r ON r.v = a.value",
        (apsw.carray(np.ascontiguousarray(versions, np.int64)),),
    ).fetchall()
    known = dict(rows)
    ids = [unpack(known.get(v, "")) for v in versions.tolist()]
    # Patients are in the order of their own ids.
    ordered = all(map(operator.lt, ids, ids[1:]))
    return Texts.from_arrow(pa.array(ids, pa.string()), ordered=ordered)


def read_directory(connection: apsw.Connection, part: int) -> Directory:
    """The blocks of a part. Raises ValueError when it is damaged or missing."""
    row = connection.execute("SELECT blocks, directory FROM index_part WHERE id = ?", (part,)).get
    if row is None:
        raise ValueError("it is missing")
    count, blob = row
    id = part << _BLOCK_BITS
    content: list[Any] = _unpack(blob, list)
    found: Directory = {}
    for kind, p, blocks in content:
        names = list(BY_TYPE[kind].VALUES)
        entries = []
        for size, bounds in blocks:
            pairs = [(low, high) for low, high in zip(bounds[::2], bounds[1::2], strict=True)]
            entries.append(BlockEntry(id, size, dict(zip(names, pairs, strict=False))))
            id += 1
        found[kind, p] = entries
    if id != (part << _BLOCK_BITS) + count:
        raise ValueError("it names other blocks than it has")
    return found


def read_block(connection: apsw.Connection, id: int, kind: str) -> Block:
    """One block. Raises ValueError when it is damaged or missing."""
    blob = connection.execute("SELECT block FROM index_block WHERE id = ?", (id,)).get
    if blob is None:
        raise ValueError("it is missing")
    return block.decode(blob, BY_TYPE[kind].VALUES)


def _within(rows: np.ndarray, place: int) -> np.ndarray:
    return np.flatnonzero(rows // build.PART_ROWS == place)


def _part(
    first_row: int,
    versions: np.ndarray,
    deleted: np.ndarray,
    content: list[tuple[Key, list[Block]]],
) -> PreparedPart:
    directory = [
        [kind, p, [[len(one.rows), _bounds(one)] for one in blocks]]
        for (kind, p), blocks in content
    ]
    return PreparedPart(
        first_row,
        len(versions),
        int(versions.min()),
        int(versions.max()),
        _packed_versions(versions, np.flatnonzero(deleted)),
        block.compress(msgspec.msgpack.encode(directory)),
        [block.encode(one) for _, blocks in content for one in blocks],
    )


def _packed_versions(versions: np.ndarray, gone: np.ndarray) -> bytes:
    """The versions of rows, and the rows that are deletions, as `read_versions` takes them."""
    content = _Versions(
        len(versions), pack_numbers(versions), len(gone), pack_naturals(gone.astype(np.uint64))
    )
    return block.compress(msgspec.msgpack.encode(content))


def _bounds(one: Block) -> list[Any]:
    """Least and greatest of the first column, and of the second where they are numbers both."""
    found: list[Any] = []
    for column in one.columns.values():
        if isinstance(column, Texts):
            return found or [column[0], column[len(column) - 1]]
        found += [column.min().item(), column.max().item()]
        if len(found) == 4:
            break
    return found


def _unpack(blob: Any, kind: Any) -> Any:
    if blob is None:
        raise ValueError("it is missing")
    try:
        return msgspec.msgpack.decode(block.decompress(blob), type=kind)
    except msgspec.DecodeError:
        raise ValueError("it is not what was written") from None
