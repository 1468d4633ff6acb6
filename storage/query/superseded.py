"""Which flushed versions are hidden at a `t`, because another one superseded them by then.

Supersession is final, and told in the order of commits. So what was read of it is kept, and what
came since is added: for the rows of an index part, the commit that ended each.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

import apsw
import numpy as np

from storage.index.block_cache import BlockCache
from storage.index.part_map import Part

_NONE = np.zeros(0, np.int64)

# Parts that merges replaced stay until there are this many.
_MOST_PARTS = 20_000


@dataclass(slots=True)
class _Ended:
    """Versions of a type with the commit that ended each, by commit; those up to `seen` are in."""

    v: np.ndarray = field(default_factory=lambda: _NONE)
    t_end: np.ndarray = field(default_factory=lambda: _NONE)
    seen: int = 0


@dataclass(frozen=True, slots=True)
class _PartRows:
    """The rows of a part among the first `count` ended versions of its type, by commit."""

    count: int
    rows: np.ndarray
    t_end: np.ndarray


class Superseded:
    """Remembers, for one lake, which rows of its index parts have been superseded, and when."""

    def __init__(self, cache: BlockCache) -> None:
        self._cache = cache
        self._types: dict[int, _Ended] = {}
        self._parts: dict[int, _PartRows] = {}
        self._lock = threading.Lock()

    def rows(self, connection: apsw.Connection, type_number: int, part: Part, t: int) -> np.ndarray:
        """The rows of a part that are hidden at `t` for having been superseded."""
        with self._lock:
            ended = self._read(connection, type_number, t)
            known = self._parts.get(part.id, _PartRows(0, _NONE, _NONE))
            if known.count < len(ended.v):
                known = self._extended(connection, part, known, ended)
                if len(self._parts) > _MOST_PARTS:
                    self._parts.clear()
                self._parts[part.id] = known
        return known.rows[: np.searchsorted(known.t_end, t, side="right")]

    def count(self, connection: apsw.Connection, type_number: int, t: int) -> int:
        """How many versions of a type have been superseded up to `t`."""
        with self._lock:
            ended = self._read(connection, type_number, t)
            return int(np.searchsorted(ended.t_end, t, side="right"))

    def _read(self, connection: apsw.Connection, type_number: int, t: int) -> _Ended:
        ended = self._types.setdefault(type_number, _Ended())
        if ended.seen >= t:
            return ended
        # Up to `t` only: a reader of a later moment may have begun before the next commit.
        rows = connection.execute(
            "SELECT v, t_end FROM version WHERE type = ? AND t_end > ? AND t_end <= ? "
            "ORDER BY t_end",
            (type_number, ended.seen, t),
        ).fetchall()
        if rows:
            added = np.array(rows, np.int64)
            ended.v = np.concatenate([ended.v, added[:, 0]])
            ended.t_end = np.concatenate([ended.t_end, added[:, 1]])
        ended.seen = t
        return ended

    def _extended(
        self, connection: apsw.Connection, part: Part, known: _PartRows, ended: _Ended
    ) -> _PartRows:
        v, t_end = ended.v[known.count :], ended.t_end[known.count :]
        within = (v >= part.min_v) & (v <= part.max_v)
        v, t_end = v[within], t_end[within]
        if not len(v):
            return _PartRows(len(ended.v), known.rows, known.t_end)
        versions = self._cache.versions(connection, part).v
        rows = np.flatnonzero(np.isin(versions, v))
        by_v = np.argsort(v)
        ends = t_end[by_v][np.searchsorted(v[by_v], versions[rows])]
        order = np.argsort(ends, kind="stable")
        return _PartRows(
            len(ended.v),
            np.concatenate([known.rows, rows[order]]),
            np.concatenate([known.t_end, ends[order]]),
        )
