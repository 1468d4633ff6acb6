"""The flushed versions that match a plan, part by part, from blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import apsw
import numpy as np

from storage.index.block_cache import BlockCache
from storage.index.membership import TextSet
from storage.index.part_map import Part
from storage.index.parts import BlockEntry, Directory
from storage.index.probe import Probe
from storage.index.row_values import NUMERIC
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
_NO_VERSIONS = np.zeros(0, np.int64)


_VersionsOfIds = WeakKeyDictionary[TextSet, tuple[int, int, np.ndarray]]
"""By set of ids, as long as it is kept: a type, its last flushed version, their versions to it."""


class FlushedIndex:
    """What one lake keeps in memory to answer searches over flushed versions."""

    def __init__(self) -> None:
        self.cache = BlockCache()
        self.superseded = Superseded(self.cache)
        self.sets = KeptSets()
        self.versions_of_ids = _VersionsOfIds()

    def clear(self) -> None:
        """Forget everything that was read."""
        self.cache.clear()
        self.superseded = Superseded(self.cache)
        self.sets = KeptSets()
        self.versions_of_ids = _VersionsOfIds()


@dataclass(slots=True)
class _Asked:
    """One criterion in one part: the blocks that may have what each of its probes asks for.

    `most`: at most how many entries meet it. `hits`: their rows, where they are known already.
    """

    excludes: bool
    blocks: list[tuple[Probe, list[BlockEntry]]]
    most: int
    hits: list[np.ndarray] | None = None


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
        self._known_versions = flushed.versions_of_ids
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
        # A set that is kept is asked for again, by the next page; the versions of its resources
        # up to one are always the same.
        known = self._known_versions.get(ids)
        if known is not None and known[:2] == (self._plan.type_number, flushed_v):
            return known[2]
        text, args = among_ids("id", ids)
        rows = self._connection.execute(
            f"SELECT v FROM version WHERE type = ? AND {text} AND +v <= ?",
            (self._plan.type_number, *args, flushed_v),
        ).fetchall()
        found = np.sort(np.array([v for (v,) in rows], np.int64))
        self._known_versions[ids] = (self._plan.type_number or 0, flushed_v, found)
        return found

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
        wanted = [self._asked(part, one) for one in self._plan.alternatives if not one.excludes]
        for one in sorted(wanted, key=lambda asked: asked.most):
            if not one.most or (found is not None and not len(found)):
                return _NO_ROWS
            found = self._narrowed(part, one, found)
        if found is None:
            live = np.ones(part.rows, bool)
            live[self._cache.versions(self._connection, part).deleted] = False
            found = np.flatnonzero(live)
        for other in self._plan.alternatives:
            if other.excludes and len(found):
                found = self._narrowed(part, self._asked(part, other), found)
        for node in self._plan.compounds:
            if len(found):
                found = found[self.holds(part, node)[found]]
        if self._plan.ids is not None and self._of_ids is None and len(found):
            found = found[self._plan.ids.mask(self.ids(part, found))]
        return found

    def _asked(self, part: Part, one: Alternatives) -> _Asked:
        """A criterion of a part. What one block answers is looked up, and so told exactly."""
        candidates = self._cache.candidates
        blocks = [(probe, candidates(self._connection, part, probe)) for probe in one.probes]
        sizes = [block.entries for _, found in blocks for block in found]
        if len(sizes) != 1:
            return _Asked(one.excludes, blocks, sum(sizes))
        hits = [self._select(probe, block) for probe, found in blocks for block in found]
        return _Asked(one.excludes, blocks, len(hits[0]), hits)

    def _select(self, probe: Probe, block: BlockEntry) -> np.ndarray:
        """The rows of a block with an entry that a probe asks for; a row may come repeatedly."""
        return self._cache.block(self._connection, probe.kind, block.id).select(probe.condition)

    def _hits(self, asked: _Asked) -> list[np.ndarray]:
        """The rows that a criterion asks for, or excludes; a row may come repeatedly."""
        if asked.hits is None:
            asked.hits = [
                self._select(probe, block) for probe, found in asked.blocks for block in found
            ]
        return asked.hits

    def _narrowed(self, part: Part, asked: _Asked, rows: np.ndarray | None) -> np.ndarray:
        """Those of the rows (None: of all) that a criterion asks for, ascending.

        Few rows are picked out of the entries; many are looked up in a mask of all rows.
        """
        if rows is None:
            return _distinct(part, self._hits(asked))
        if len(rows) > _FEW:
            mask = np.zeros(part.rows, bool)
            for selected in self._hits(asked):
                mask[selected] = True
            return rows[mask[rows] != asked.excludes]
        found = _distinct(part, self._among(part, asked, rows))
        if not asked.excludes:
            return found
        return rows[~np.isin(rows, found)]

    def _among(self, part: Part, asked: _Asked, rows: np.ndarray) -> list[np.ndarray]:
        """Those of a few rows that have what the probes ask for; one may come repeatedly."""
        among = np.zeros(part.rows, bool)
        among[rows] = True
        if asked.hits is not None:
            return [selected[among[selected]] for selected in asked.hits]
        hits = []
        for probe, blocks in asked.blocks:
            if len(blocks) > 1 and probe.kind in NUMERIC:
                values = self._cache.row_values(self._connection, part, probe.kind, probe.p)
                hits.append(values.select(rows, probe.condition))
                continue
            for block in blocks:
                selected = self._select(probe, block)
                hits.append(selected[among[selected]])
        return hits

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

    def _mask(self, part: Part, one: Alternatives) -> np.ndarray:
        """Which rows of a part have an entry that the criterion asks for."""
        found = np.zeros(part.rows, bool)
        for rows in self._selected(part, one):
            found[rows] = True
        return found

    def _selected(self, part: Part, one: Alternatives) -> Iterable[np.ndarray]:
        for probe in one.probes:
            yield from self._cache.rows(self._connection, part, probe)


def _distinct(part: Part, hits: list[np.ndarray]) -> np.ndarray:
    """The rows of a part that come among some, ascending."""
    count = sum(map(len, hits))
    if not count:
        return _NO_ROWS
    if count > _FEW:
        mask = np.zeros(part.rows, bool)
        for rows in hits:
            mask[rows] = True
        return mask.nonzero()[0]
    found = np.concatenate(hits).astype(np.int64)
    if count > 1:
        found.sort()
        kept = np.ones(count, bool)
        np.not_equal(found[1:], found[:-1], out=kept[1:])
        found = found[kept]
    return found
