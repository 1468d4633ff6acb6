"""Parts and blocks of the index, decoded and kept in memory for the next look-up."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any

import apsw
import numpy as np

from schemas.outcomes import FhirError, error
from storage.index import parts
from storage.index.block import Block
from storage.index.part_map import Part, PartMap
from storage.index.parts import BlockEntry, Directory, PartVersions
from storage.index.probe import Probe
from storage.index.row_values import RowValues
from storage.index.texts import Texts

_CACHE_BYTES = 128 * 2**20

# What Python needs for an entry of a directory.
_ENTRY_BYTES = 500

# The ids of all rows of a part are read and kept for whoever wants more than one of so many.
_FEW_OF = 16

# What is said of a part in a word or two.
_SMALL_BYTES = 400

_Key = tuple[str, int, *tuple[Hashable, ...]]
"""What is kept, of which block or part, and of which parameter, criteria or set."""


class BlockCache:
    """Reads what flushed versions have in the index. Never shows one lake's to another."""

    def __init__(self, limit_bytes: int = _CACHE_BYTES) -> None:
        self._limit_bytes = limit_bytes
        self._kept: OrderedDict[_Key, tuple[Any, int]] = OrderedDict()
        self._bytes = 0
        self._maps: dict[int, tuple[tuple[int, int], PartMap]] = {}
        self._lock = threading.Lock()

    def parts(
        self, connection: apsw.Connection, type_number: int, state: tuple[int, int] | None = None
    ) -> PartMap:
        """The parts of a type; `state`: how many there are and the last's number, where known."""
        # Numbers only grow: as many parts with the same last number are the same parts.
        if state is None:
            count, last = connection.execute(
                "SELECT count(*), ifnull(max(id), 0) FROM index_part WHERE type = ?", (type_number,)
            ).get
            state = (count, last)
        with self._lock:
            known = self._maps.get(type_number)
        if known is not None and known[0] == state:
            return known[1]
        rows = connection.execute(
            "SELECT id, rows, min_v, max_v FROM index_part WHERE type = ? ORDER BY min_v, id",
            (type_number,),
        )
        found = PartMap.of([Part(*row) for row in rows])
        with self._lock:
            self._maps[type_number] = (state, found)
        return found

    def directory(self, connection: apsw.Connection, part: Part) -> Directory:
        """The blocks of a part."""
        found: Directory = self._get(
            ("directory", part.id),
            lambda: parts.read_directory(connection, part.id),
            lambda read: _ENTRY_BYTES * sum(map(len, read.values())),
        )
        return found

    def versions(self, connection: apsw.Connection, part: Part) -> PartVersions:
        """The versions of a part."""
        found: PartVersions = self._get(
            ("versions", part.id),
            lambda: parts.read_versions(connection, part.id),
            lambda read: read.v.nbytes,
        )
        return found

    def block(self, connection: apsw.Connection, kind: str, id: int) -> Block:
        """A block."""
        found: Block = self._get(
            ("block", id), lambda: parts.read_block(connection, id, kind), lambda read: read.nbytes
        )
        return found

    def candidates(self, connection: apsw.Connection, part: Part, probe: Probe) -> list[BlockEntry]:
        """The blocks of a part that may hold what a probe asks for."""
        blocks = self.directory(connection, part).get((probe.kind, probe.p), [])
        return [one for one in blocks if probe.condition.possible(one.bounds)]

    def rows(self, connection: apsw.Connection, part: Part, probe: Probe) -> list[np.ndarray]:
        """The rows of a part with an entry that a probe asks for; a row may come repeatedly."""
        return [
            self.block(connection, probe.kind, one.id).select(probe.condition)
            for one in self.candidates(connection, part, probe)
        ]

    def row_values(self, connection: apsw.Connection, part: Part, kind: str, p: int) -> RowValues:
        """The values of a parameter of numbers by row; the part must have some."""
        found: RowValues = self._get(
            ("values", part.id, kind, p),
            lambda: RowValues.of(
                [
                    self.block(connection, kind, one.id)
                    for one in self.directory(connection, part)[kind, p]
                ],
                part.rows,
            ),
            lambda read: read.nbytes,
        )
        return found

    def ids(self, connection: apsw.Connection, part: Part, rows: np.ndarray) -> Texts:
        """The ids of the resources in some rows of a part."""
        with self._lock:
            known = ("ids", part.id) in self._kept
        if not known and len(rows) < part.rows // _FEW_OF:
            return parts.read_ids(connection, self.versions(connection, part).v[rows])
        found: Texts = self._get(
            ("ids", part.id),
            lambda: parts.read_ids(connection, self.versions(connection, part).v),
            lambda read: read.nbytes,
        )
        return found if len(rows) == part.rows else found.take(rows)

    def of_versions(
        self,
        connection: apsw.Connection,
        what: str,
        part: Part,
        read: Callable[[apsw.Connection, np.ndarray], Any],
    ) -> Any:
        """What `read` gives of the versions of a part, under the name `what`."""
        return self._get(
            (what, part.id),
            lambda: read(connection, self.versions(connection, part).v),
            lambda given: getattr(given, "nbytes", _SMALL_BYTES),
        )

    def worked_out(
        self, what: str, part: Part, of: tuple[Hashable, ...], work_out: Callable[[], Any]
    ) -> Any:
        """What was worked out of a part under the name `what`, for `of`: it must be all decides it.

        It has a size `nbytes`.
        """
        return self._get((what, part.id, *of), work_out, lambda found: found.nbytes + _SMALL_BYTES)

    def clear(self) -> None:
        """Forget everything that was decoded."""
        with self._lock:
            self._kept.clear()
            self._maps.clear()
            self._bytes = 0

    def _get(self, key: _Key, read: Callable[[], Any], size: Callable[[Any], int]) -> Any:
        with self._lock:
            kept = self._kept.get(key)
            if kept is not None:
                self._kept.move_to_end(key)
                return kept[0]
        try:
            found = read()
        except ValueError as failure:
            raise _damaged(key, str(failure)) from None
        with self._lock:
            if key not in self._kept:
                self._kept[key] = (found, size(found))
                self._bytes += self._kept[key][1]
            while self._bytes > self._limit_bytes and len(self._kept) > 1:
                _, (_, dropped) = self._kept.popitem(last=False)
                self._bytes -= dropped
        return found


def _damaged(key: _Key, problem: str) -> FhirError:
    what, number = key[:2]
    return error(
        "internal",
        f"The search index is damaged ({what} {number}: {problem}). Run `chartlake reindex`.",
    )
