"""The flushed versions that match a plan, part by part, from blocks."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from weakref import WeakKeyDictionary

import apsw
import numpy as np

from storage.index.block_cache import BlockCache
from storage.index.membership import TextSet
from storage.index.part_map import FEW_PARTS, Part, PartMap
from storage.index.parts import Directory
from storage.index.row_values import NUMERIC
from storage.index.texts import Texts
from storage.kept_versions import KeptVersions
from storage.query.alternatives import Alternatives
from storage.query.conditions import Every, Holds, Ids, Moments, Not, among_ids
from storage.query.kept_sets import KeptSets
from storage.query.meanings import KeptMeanings
from storage.query.plan import Plan
from storage.query.superseded import Superseded
from storage.query.type_state import TypeState, TypeStates

_NO_ROWS = np.zeros(0, np.int64)

Read = Callable[[apsw.Connection, np.ndarray], Any]

# What is picked out one by one; beyond, all rows of a part are looked at.
_FEW = 1_024
_NO_VERSIONS = np.zeros(0, np.int64)
_NO_PARTS = PartMap.of([])


_VersionsOfIds = WeakKeyDictionary[TextSet, tuple[int, int, np.ndarray]]
"""By set of ids, as long as it is kept: a type, its last flushed version, their versions to it."""


class FlushedIndex:
    """What one lake keeps in memory to answer searches."""

    def __init__(self) -> None:
        self.cache = BlockCache()
        self.superseded = Superseded(self.cache)
        self.sets = KeptSets()
        self.versions_of_ids = _VersionsOfIds()
        self.versions = KeptVersions()
        self.states = TypeStates()
        self.meanings = KeptMeanings()

    def clear(self) -> None:
        """Forget everything that was read."""
        self.cache.clear()
        self.superseded = Superseded(self.cache)
        self.sets = KeptSets()
        self.versions_of_ids = _VersionsOfIds()
        self.versions = KeptVersions()
        self.states = TypeStates()
        self.meanings = KeptMeanings()


@dataclass(slots=True)
class _Asked:
    """One criterion in one part, with at most how many entries meet it.

    `hits`: the rows of these entries, where they are known already.
    """

    one: Alternatives
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
        state: TypeState | None,
    ) -> None:
        """`state`: that of the plan's type; None where there is no resource of it."""
        self._connection = connection
        self._cache = flushed.cache
        self._superseded = flushed.superseded
        self._known_versions = flushed.versions_of_ids
        self._plan = planned
        self._t = t
        self._state = state
        self._rows: dict[int, np.ndarray] = {}
        self._texts: list[Alternatives] = []
        self._others: list[Alternatives] = []
        for one in planned.alternatives:
            if not one.excludes:
                of_texts = all(probe.of_one_text for probe in one.probes)
                (self._texts if of_texts else self._others).append(one)
        # References before others: they tell the most.
        self._texts.sort(key=_is_no_reference)
        self.parts: Sequence[Part] = ()
        self.all_parts = _NO_PARTS
        self._of_ids: np.ndarray | None = None
        if state is None or not state.parts[0]:
            return
        # Their entries stay until an erase has rewritten the segments that held them.
        self._erased = _NO_VERSIONS
        if state.erased:
            self._erased = np.array(
                [v for (v,) in connection.execute("SELECT v FROM erased_version")], np.int64
            )
        if planned.few_ids is not None:
            self._of_ids = self._versions_of_ids(planned.few_ids, state.flushed_v)
        self.parts = self._possible(state)
        self._last_v = state.last_v

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

    @cached_property
    def decided_by(self) -> Hashable | None:
        """What decides the matches, so that they are the same whenever it is the same.

        None where it is too much to tell: some ids, moments, the past, or an erase under way.
        """
        plan, state = self._plan, self._state
        if state is None or not state.parts[0]:
            return ()
        if plan.ids is not None or plan.moments or plan.compounds or state.erased:
            return None
        if any(part.max_v > self._last_v for part in self.parts):
            return None
        assert plan.type_number is not None
        ended = self._superseded.count(self._connection, plan.type_number, self._t)
        found = plan.type_number, self._criteria, state.parts, ended, state.erasures
        try:
            hash(found)
        except TypeError:
            return None  # Conditions over what is not kept itself.
        return found

    @cached_property
    def _criteria(self) -> Hashable:
        return tuple((tuple(one.probes), one.excludes) for one in self._plan.alternatives)

    def worked_out(self, part: Part, what: tuple[Hashable, ...], read: Callable[[], Any]) -> Any:
        """What `read` gives of the matches in a part; kept, by the name `what`.

        Only where something tells what decides them (`decided_by`).
        """
        assert self._plan.type_number is not None
        hidden = self._superseded.rows(self._connection, self._plan.type_number, part, self._t)
        # They come in the order of commits: so many are always the same.
        of = (*what, self._criteria, len(hidden))
        return self._cache.worked_out("matches", part, of, read)

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
                found = _first(np.concatenate([found, mine]), count, descending)
        return found

    def _possible(self, state: TypeState) -> Sequence[Part]:
        """The parts that may have matches, from the one with the earliest version."""
        assert self._plan.type_number is not None
        known = self._cache.parts(self._connection, self._plan.type_number, state.parts)
        self.all_parts = known
        if len(known.parts) <= FEW_PARTS and self._of_ids is None:
            return known.parts
        found = np.ones(len(known.parts), bool)
        if self._of_ids is not None:
            found &= known.with_versions(self._of_ids)
        for one in self._plan.alternatives:
            if not one.excludes:
                mine = np.zeros(len(known.parts), bool)
                for probe in one.probes:
                    mine |= known.with_value(probe, self._directory)
                found &= mine
        return [known.parts[place] for place in found.nonzero()[0]]

    def _directory(self, part: Part) -> Directory:
        return self._cache.directory(self._connection, part)

    def _versions_of_ids(self, ids: TextSet, flushed_v: int) -> np.ndarray:
        if not len(ids):
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
        many = self._plan.ids if self._of_ids is None else None
        if self._of_ids is not None:
            begin, end = np.searchsorted(self._of_ids, [part.min_v, part.max_v + 1])
            if begin == end:
                return _NO_ROWS
            versions = self._cache.versions(self._connection, part)
            found = np.flatnonzero(np.isin(versions.v, self._of_ids[begin:end]))
            found = found[~np.isin(found, versions.deleted)]
        asked = []
        for one in self._texts:
            # The rows of a text stand together: counting them is finding them.
            hits = self._hits(part, one)
            count = sum(map(len, hits))
            if not count:
                return _NO_ROWS
            asked.append(_Asked(one, count, hits))
        asked.sort(key=_most)
        if found is None and (not asked or asked[0].most > _FEW):
            asked += [_Asked(one, self._most(part, one)) for one in self._others]
            asked.sort(key=_most)
        else:
            asked += [_Asked(one, 1) for one in self._others]
        # What is compared with many values comes last, and is compared with those of few rows.
        for one_asked in asked:
            if not one_asked.most or (found is not None and not len(found)):
                return _NO_ROWS
            found = self._narrowed(part, one_asked, found)
        if found is None:
            live = np.ones(part.rows, bool)
            live[self._cache.versions(self._connection, part).deleted] = False
            if many is not None:
                live &= self._of_many(part, many)
                many = None
            found = live.nonzero()[0]
        for other in self._plan.alternatives:
            if other.excludes and len(found):
                found = self._narrowed(part, _Asked(other, 0), found)
        for node in self._plan.compounds:
            if len(found):
                found = found[self.holds(part, node)[found]]
        if many is not None and len(found):
            found = found[self._of_many(part, many)[found]]
        return found

    def _of_many(self, part: Part, ids: TextSet) -> np.ndarray:
        """Which rows of a part are of one of many ids; kept for the next who asks for the set."""
        found: np.ndarray = self._cache.worked_out(
            "rows of ids",
            part,
            (ids.number,),
            lambda: ids.mask(self.ids(part, np.arange(part.rows))),
        )
        return found

    def _most(self, part: Part, one: Alternatives) -> int:
        """At most how many entries meet a criterion."""
        return sum(
            block.entries
            for probe in one.probes
            for block in self._cache.candidates(self._connection, part, probe)
        )

    def _hits(self, part: Part, one: Alternatives) -> list[np.ndarray]:
        """The rows that a criterion asks for, or excludes; a row may come repeatedly."""
        return [
            rows for probe in one.probes for rows in self._cache.rows(self._connection, part, probe)
        ]

    def _narrowed(self, part: Part, asked: _Asked, rows: np.ndarray | None) -> np.ndarray:
        """Those of the rows (None: of all) that a criterion asks for, ascending.

        Few rows are picked out of the entries; many are looked up in a mask of all rows.
        """
        if rows is not None and len(rows) <= _FEW:
            found = _distinct(part, self._among(part, asked, rows))
            return rows[~np.isin(rows, found)] if asked.one.excludes else found
        hits = self._hits(part, asked.one) if asked.hits is None else asked.hits
        if rows is None:
            return _distinct(part, hits)
        mask = np.zeros(part.rows, bool)
        for selected in hits:
            mask[selected] = True
        return rows[mask[rows] != asked.one.excludes]

    def _among(self, part: Part, asked: _Asked, rows: np.ndarray) -> list[np.ndarray]:
        """Those of a few rows that have what the probes ask for; one may come repeatedly."""
        if asked.hits is not None:
            among = np.zeros(part.rows, bool)
            among[rows] = True
            return [selected[among[selected]] for selected in asked.hits]
        cache, connection, hits = self._cache, self._connection, []
        for probe in asked.one.probes:
            if probe.kind not in NUMERIC:
                for entry in cache.candidates(connection, part, probe):
                    block = cache.block(connection, probe.kind, entry.id)
                    hits.append(block.among(rows, probe.condition))
            elif self._directory(part).get((probe.kind, probe.p)):
                values = cache.row_values(connection, part, probe.kind, probe.p)
                hits.append(values.select(rows, probe.condition))
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


def _first(versions: np.ndarray, count: int, descending: bool) -> np.ndarray:
    """The first of some versions, in their order."""
    if len(versions) > count:
        place = len(versions) - count if descending else count - 1
        parted = np.partition(versions, place)
        versions = parted[place:] if descending else parted[:count]
    found = np.sort(versions)
    return found[::-1] if descending else found


def _most(asked: _Asked) -> int:
    return asked.most


def _is_no_reference(one: Alternatives) -> bool:
    return not one.probes or one.probes[0].kind != "reference"


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
    found = (hits[0] if len(hits) == 1 else np.concatenate(hits)).astype(np.int64)
    if count > 1 and not (found[1:] > found[:-1]).all():
        found.sort()
        kept = np.ones(count, bool)
        np.not_equal(found[1:], found[:-1], out=kept[1:])
        found = found[kept]
    return found
