"""The flushed versions that match a plan, part by part, from blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import apsw
import numpy as np

from storage.index.block_cache import BlockCache
from storage.index.part_map import Part
from storage.index.parts import Directory
from storage.index.texts import Texts
from storage.query.alternatives import Alternatives
from storage.query.conditions import Every, Holds, Ids, Moments, Not, among_ids
from storage.query.kept_sets import KeptSets
from storage.query.plan import Plan
from storage.query.superseded import Superseded

_NO_ROWS = np.zeros(0, np.int64)

Read = Callable[[apsw.Connection, np.ndarray], Any]

# What is picked out one by one; beyond, all rows of a part are looked at.
_FEW = 1_024
_FEW_ENTRIES = 8_192
_NO_VERSIONS = np.zeros(0, np.int64)


class FlushedIndex:
    """What one lake keeps in memory to answer searches over flushed versions."""

    def __init__(self) -> None:
        self.cache = BlockCache()
        self.superseded = Superseded(self.cache)
        self.sets = KeptSets()

    def clear(self) -> None:
        """Forget everything that was read."""
        self.cache.clear()
        self.superseded = Superseded(self.cache)
        self.sets = KeptSets()


class FlushedMatches:
    """The matches of one search among flushed versions, as of `t`; each part is worked out once."""

    def __init__(
        self,
        connection: apsw.Connection,
        flushed: FlushedIndex,
        planned: Plan,
        t: int,
        flushed_v: int,
    ) -> None:
        self._connection = connection
        self._cache = flushed.cache
        self._superseded = flushed.superseded
        self._plan = planned
        self._t = t
        self._rows: dict[int, np.ndarray] = {}
        # Their entries stay until an erase has rewritten the segments that held them.
        self._erased = np.array(
            [v for (v,) in connection.execute("SELECT v FROM erased_version")], np.int64
        )
        self._of_ids = self._versions_of_ids(flushed_v) if planned.few_ids is not None else None
        self.parts = self._possible()
        self._last_v = self._last_visible() if self.parts else 0

    def rows(self, part: Part) -> np.ndarray:
        """The rows of a part that match, ascending."""
        found = self._rows.get(part.id)
        if found is None:
            found = self._rows[part.id] = self._visible(part, self._matching(part))
        return found

    def versions(self, part: Part) -> np.ndarray:
        """The versions of a part that match, in the order of their rows."""
        rows = self.rows(part)
        if not len(rows):
            return _NO_VERSIONS
        return self._cache.versions(self._connection, part).v[rows]

    def patient_rows(self, part: Part, read: Read) -> Any:
        """What `read` gives of the versions of a part; kept."""
        return self._cache.of_versions(self._connection, "patients", part, read)

    def patient_ends(self, part: Part, read: Read) -> Any:
        """The same, of which little is kept."""
        return self._cache.of_versions(self._connection, "patient ends", part, read)

    def total(self) -> int:
        """How many match."""
        return sum(len(self.rows(part)) for part in self.parts)

    def first(self, count: int, after: int | None, *, descending: bool) -> np.ndarray:
        """The first `count` matches by `v`, of those after version `after`.

        Parts are looked at in the order of their versions, as far as is needed.
        """
        found = _NO_VERSIONS
        parts = self.parts
        if descending:
            parts = sorted(parts, key=lambda part: part.max_v, reverse=True)
        for part in parts:
            if after is not None and (part.min_v >= after if descending else part.max_v <= after):
                continue
            if len(found) >= count and (
                found[count - 1] > part.max_v if descending else found[count - 1] < part.min_v
            ):
                break
            mine = self.versions(part)
            if after is not None:
                mine = mine[mine < after if descending else mine > after]
            if len(mine):
                found = np.sort(np.concatenate([found, mine]))
                found = found[::-1][:count] if descending else found[:count]
        return found

    def _possible(self) -> list[Part]:
        """The parts that may have matches, from the one with the earliest version."""
        if self._plan.type_number is None:
            return []
        known = self._cache.parts(self._connection, self._plan.type_number)
        found = np.ones(len(known.parts), bool)
        if self._of_ids is not None:
            found &= known.with_versions(self._of_ids)
        for one in self._plan.alternatives:
            if not one.excludes:
                mine = np.zeros(len(known.parts), bool)
                for probe in one.probes:
                    mine |= known.with_value(probe, self._directory)
                found &= mine
        return [known.parts[place] for place in np.flatnonzero(found)]

    def _directory(self, part: Part) -> Directory:
        return self._cache.directory(self._connection, part)

    def _last_visible(self) -> int:
        """The last version that had been committed at `t`."""
        following = self._connection.execute(
            "SELECT first_v FROM commit_log WHERE t > ? ORDER BY t LIMIT 1", (self._t,)
        ).get
        return 2**63 - 1 if following is None else following - 1

    def _versions_of_ids(self, flushed_v: int) -> np.ndarray:
        ids = self._plan.few_ids
        if ids is None or not len(ids):
            return _NO_VERSIONS
        text, args = among_ids("id", ids)
        rows = self._connection.execute(
            f"SELECT v FROM version WHERE type = ? AND {text} AND +v <= ?",
            (self._plan.type_number, *args, flushed_v),
        ).fetchall()
        return np.sort(np.array([v for (v,) in rows], np.int64))

    def _matching(self, part: Part) -> np.ndarray:
        """Rows that meet the criteria, whether visible or not; no deletions."""
        if part.min_v > self._last_v:
            return _NO_ROWS
        bounds = {"v": (part.min_v, part.max_v)}
        if not all(moment.possible(bounds) for moment in self._plan.moments):
            return _NO_ROWS
        found: np.ndarray | None = None
        if self._of_ids is not None:
            begin, end = np.searchsorted(self._of_ids, [part.min_v, part.max_v + 1])
            if begin == end:
                return _NO_ROWS
            versions = self._cache.versions(self._connection, part)
            found = np.flatnonzero(np.isin(versions.v, self._of_ids[begin:end]))
            found = found[~np.isin(found, versions.deleted)]
        wanted = [one for one in self._plan.alternatives if not one.excludes]
        sizes = [self._entries(part, one) for one in wanted]
        for place in np.argsort(sizes, kind="stable"):
            if not sizes[place] or (found is not None and not len(found)):
                return _NO_ROWS
            found = self._narrowed(part, wanted[place], found, sizes[place])
        if found is None:
            live = np.ones(part.rows, bool)
            live[self._cache.versions(self._connection, part).deleted] = False
            found = np.flatnonzero(live)
        for one in self._plan.alternatives:
            if one.excludes and len(found):
                found = self._narrowed(part, one, found, self._entries(part, one))
        for node in self._plan.compounds:
            if len(found):
                found = found[self.holds(part, node)[found]]
        if self._plan.ids is not None and self._of_ids is None and len(found):
            found = found[self._plan.ids.mask(self.ids(part, found))]
        return found

    def _narrowed(
        self, part: Part, one: Alternatives, rows: np.ndarray | None, entries: int
    ) -> np.ndarray:
        """Those of the rows (None: of all) that a criterion asks for, ascending.

        Few rows are picked out of the entries; many are looked up in a mask of all rows.
        """
        if (rows is None and entries > _FEW_ENTRIES) or (rows is not None and len(rows) > _FEW):
            mask = self._mask(part, one)
            if rows is None:
                return np.flatnonzero(mask)
            return rows[mask[rows] != one.excludes]
        among = None
        if rows is not None:
            among = np.zeros(part.rows, bool)
            among[rows] = True
        hits = []
        for selected in self._selected(part, one):
            hits.append(selected if among is None else selected[among[selected]])
        if not hits:
            return _NO_ROWS if rows is None or not one.excludes else rows
        found = np.unique(hits[0] if len(hits) == 1 else np.concatenate(hits)).astype(np.int64)
        if not one.excludes or rows is None:
            return found
        return rows[~np.isin(rows, found)]

    def ids(self, part: Part, rows: np.ndarray) -> Texts:
        """The ids of the resources in some rows of a part."""
        return self._cache.ids(self._connection, part, rows)

    def holds(self, part: Part, node: Holds) -> np.ndarray:
        """Of which rows of a part a node of the plan holds; whether visible or not."""
        if isinstance(node, Alternatives):
            mask = self._mask(part, node)
            return ~mask if node.excludes else mask
        if isinstance(node, Not):
            return ~self.holds(part, node.part)
        if isinstance(node, Ids):
            return node.ids.mask(self.ids(part, np.arange(part.rows)))
        if isinstance(node, Moments):
            return node.condition.mask({"v": self._cache.versions(self._connection, part).v})
        every = isinstance(node, Every)
        found = np.full(part.rows, every)
        for one in node.parts:
            if every:
                found &= self.holds(part, one)
            else:
                found |= self.holds(part, one)
        return found

    def _visible(self, part: Part, rows: np.ndarray) -> np.ndarray:
        """Those of the rows that were current at `t`, and of the moments asked for."""
        if not len(rows):
            return rows
        assert self._plan.type_number is not None
        if len(self._erased):
            rows = rows[
                ~np.isin(self._cache.versions(self._connection, part).v[rows], self._erased)
            ]
        hidden = self._superseded.rows(self._connection, self._plan.type_number, part, self._t)
        if len(hidden):
            gone = np.zeros(part.rows, bool)
            gone[hidden] = True
            rows = rows[~gone[rows]]
        if part.max_v > self._last_v or self._plan.moments:
            v = self._cache.versions(self._connection, part).v[rows]
            kept = v <= self._last_v
            for moment in self._plan.moments:
                kept &= moment.mask({"v": v})
            rows = rows[kept]
        return rows

    def _entries(self, part: Part, one: Alternatives) -> int:
        """At most how many entries a criterion has in a part."""
        return sum(
            block.entries
            for probe in one.probes
            for block in self._cache.candidates(self._connection, part, probe)
        )

    def _mask(self, part: Part, one: Alternatives) -> np.ndarray:
        """Which rows of a part have an entry that the criterion asks for."""
        found = np.zeros(part.rows, bool)
        for rows in self._selected(part, one):
            found[rows] = True
        return found

    def _selected(self, part: Part, one: Alternatives) -> Iterable[np.ndarray]:
        for probe in one.probes:
            yield from self._cache.rows(self._connection, part, probe)
