"""The current versions of one type that meet a plan as of `t`, over both tiers."""

from __future__ import annotations

from typing import Any

import apsw
import numpy as np
import pyarrow as pa

from storage.index.membership import TextSet
from storage.index.part_map import Part
from storage.index.probe import Probe
from storage.index.texts import Texts
from storage.packed_ids import unpack
from storage.query.flushed import FlushedIndex, FlushedMatches
from storage.query.flushed_sets import flushed_set
from storage.query.plan import NOWHERE, Plan, hot_matches
from storage.query.type_state import TypeState

_NO_VERSIONS = np.zeros(0, np.int64)


class Matches:
    """What meets a plan; worked out where it is asked for."""

    def __init__(
        self,
        connection: apsw.Connection,
        index: FlushedIndex,
        planned: Plan,
        t: int,
        state: TypeState | None,
    ) -> None:
        """`state`: that of the plan's type; None where there is no resource of it."""
        self._connection = connection
        self._index = index
        self.planned = planned
        self._hot_versions: np.ndarray | None = None
        self.hot = NOWHERE
        if state is not None and state.is_hot:
            self.hot = hot_matches(connection, planned, t, state.flushed_v)
        self.flushed = FlushedMatches(connection, index, planned, t, state)

    @property
    def is_wide(self) -> bool:
        """Whether many may match: neither some resources nor one reference are asked for."""
        if self.planned.few_ids is not None:
            return False
        return not any(
            one.probes and all(p.kind == "reference" and p.of_one_text for p in one.probes)
            for one in self.planned.alternatives
            if not one.excludes
        )

    def total(self) -> int:
        """How many there are."""
        where, count = self.hot, 0
        if where is not NOWHERE and self.planned.few_ids is not None:
            count = len(self.hot_versions())
        elif where is not NOWHERE:
            count = self._connection.execute(
                f"SELECT count(*) FROM version r WHERE {where.sql}", where.args
            ).get
        return int(count) + self.flushed.total()

    def by_version(self, count: int, after: int | None, *, descending: bool) -> list[int]:
        """The first `count` by `v`, of those after version `after`."""
        cold = self.flushed.first(count, after, descending=descending).tolist()
        if self.hot is NOWHERE or self.planned.few_ids is not None:
            hot = self.hot_versions()
            if after is not None:
                hot = hot[hot < after if descending else hot > after]
            return sorted([*hot.tolist(), *cold], reverse=descending)[:count]
        where, args = self.hot.sql, list(self.hot.args)
        if after is not None:
            where, args = f"{where} AND r.v {'<' if descending else '>'} ?", [*args, after]
        direction = "DESC" if descending else "ASC"
        rows = self._connection.execute(
            f"SELECT r.v FROM version r WHERE {where} ORDER BY r.v {direction} LIMIT ?",
            (*args, count),
        ).fetchall()
        return sorted([*(v for (v,) in rows), *cold], reverse=descending)[:count]

    def hot_versions(self) -> np.ndarray:
        """The `v` of the hot ones, in no order."""
        if self.hot is NOWHERE:
            return _NO_VERSIONS
        if self._hot_versions is None:
            # Looking the ids up, where ids are asked for, costs the most: they are, once.
            where = self.hot
            rows = self._connection.execute(
                f"SELECT r.v FROM version r WHERE {where.sql}", where.args
            ).fetchall()
            self._hot_versions = np.array([v for (v,) in rows], np.int64)
        return self._hot_versions

    def versions(self) -> np.ndarray:
        """The `v` of all, in no order."""
        found = [self.hot_versions()]
        found += [self.flushed.versions(part) for part in self.flushed.parts]
        return np.concatenate(found)

    def ids(self) -> TextSet:
        """The ids of all; each resource is current once."""
        flushed = self.flushed
        found = flushed_set(
            flushed,
            self._index.sets,
            ("ids",),
            lambda part: flushed.ids(part, flushed.rows(part)).arrow(),
        )
        if self.hot is NOWHERE:
            return found
        rows: list[Any] = self._connection.execute(
            f"SELECT r.id FROM version r WHERE {self.hot.sql}", self.hot.args
        ).fetchall()
        return found.with_more(unpack(key) for (key,) in rows)

    def named(self, p: int, type_number: int) -> TextSet:
        """What they name by the reference parameter `p`, of a type (0: URLs)."""
        found = flushed_set(
            self.flushed,
            self._index.sets,
            ("named", p, type_number),
            lambda part: self._named_by(part, p, type_number),
        )
        if self.hot is NOWHERE:
            return found
        rows: list[Any] = self._connection.execute(
            "SELECT DISTINCT x.target FROM reference_index x WHERE x.p = ? AND x.type = ? "
            f"AND x.v IN (SELECT r.v FROM version r WHERE {self.hot.sql})",
            (p, type_number, *self.hot.args),
        ).fetchall()
        return found.with_more(target for (target,) in rows)

    def _named_by(self, part: Part, p: int, type_number: int) -> Any:
        """What the matches in a part name, each text once, as an Arrow array (binary)."""
        found: list[Any] = [pa.array([], pa.binary())]
        mine = self.flushed.rows(part)
        if len(mine):
            cache = self._index.cache
            mask = np.zeros(part.rows, bool)
            mask[mine] = True
            for entry in cache.candidates(self._connection, part, Probe("reference", p)):
                block = cache.block(self._connection, "reference", entry.id)
                chosen = np.logical_or.reduceat(mask[block.rows], block.starts[:-1])
                chosen &= block.columns["type"] == type_number
                targets = block.columns["target"]
                assert isinstance(targets, Texts)
                if chosen.any():
                    found.append(targets.take(np.flatnonzero(chosen)).arrow())
        return pa.concat_arrays(found)
