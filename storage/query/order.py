"""Sorting the matches of a search by the values of parameters, over both tiers.

https://hl7.org/fhir/R4/search.html#sort. A resource with several values goes by its least one, or
by its greatest when descending. One without a value comes last, in either direction. `v` makes the
order total, so that pages fit together.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import apsw
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from storage import index
from storage.index.block_cache import BlockCache
from storage.index.part_map import Part
from storage.index.probe import Probe
from storage.index.texts import Texts
from storage.packed_ids import UNPACK_SQL
from storage.query.flushed import FlushedMatches
from storage.query.parse import Query, SortKey
from storage.query.plan import Where
from storage.terms import Terms

_COLUMNS = {"date": "low", "string": "normalized", "number": "low", "quantity": "low"}

# Beyond any value (ascending), or before any (descending).
_LAST: dict[str, Any] = {
    "date": 2**63 - 1,
    "string": "\U0010ffff",
    "number": float("inf"),
    "quantity": float("inf"),
}
_FIRST: dict[str, Any] = {
    "date": -(2**63),
    "string": "",
    "number": float("-inf"),
    "quantity": float("-inf"),
}


def by_version(query: Query) -> bool | None:
    """Whether the order is that of `v` descending (true) or ascending (false); None for others."""
    if not query.sort:
        return False
    if len(query.sort) == 1 and query.sort[0].kind == "_lastUpdated":
        # Versions are numbered in the order of their commits, hence of lastUpdated.
        return query.sort[0].descending
    return None


def ordered(
    connection: apsw.Connection,
    cache: BlockCache,
    terms: Terms,
    query: Query,
    hot: Where,
    flushed: FlushedMatches,
) -> np.ndarray:
    """The `v` of every match, in the order that the query asks for."""
    keys = [_Key(connection, terms, query.resource_type, key) for key in query.sort]
    selected = ", ".join(["r.v", *(key.sql for key in keys)])
    args = [arg for key in keys for arg in key.args]
    rows: list[Any] = connection.execute(
        f"SELECT {selected} FROM version r WHERE {hot.sql}", (*args, *hot.args)
    ).fetchall()
    v = [np.array([row[0] for row in rows], np.int64)]
    values: list[list[Any]] = [
        [key.array([row[n] for row in rows])] for n, key in enumerate(keys, 1)
    ]
    for part in flushed.parts:
        mine = flushed.rows(part)
        if not len(mine):
            continue
        v.append(flushed.versions(part))
        for key, found in zip(keys, values, strict=True):
            found.append(key.of_part(connection, cache, part, mine, v[-1]))
    numbers = np.concatenate(v)
    sort_by = [numbers if not query.sort[-1].descending else -numbers]
    for key, found in reversed(list(zip(keys, values, strict=True))):
        ranks = _ranks(found)
        sort_by.append(-ranks if key.descending else ranks)
    return numbers[np.lexsort(sort_by)]


class _Key:
    """One key of the order: how hot rows and parts give its value."""

    def __init__(
        self, connection: apsw.Connection, terms: Terms, resource_type: str, key: SortKey
    ) -> None:
        self.kind = key.kind
        self.descending = key.descending
        self.args: list[Any] = []
        if key.kind == "_id":
            self.sql = f"{UNPACK_SQL}(r.id)"
            return
        if key.kind == "_lastUpdated":
            self.sql = "r.t"
            return
        self._p = terms.find(connection, index.param_key(resource_type, key.param)) or 0
        self._missing = (_FIRST if key.descending else _LAST)[key.kind]
        pick = "max" if key.descending else "min"
        self.sql = (
            f"ifnull((SELECT {pick}({_COLUMNS[key.kind]}) FROM {key.kind}_index "
            "WHERE v = r.v AND p = ?), ?)"
        )
        self.args = [self._p, self._missing]

    def array(self, values: Sequence[Any]) -> Any:
        """Values of hot rows in columns."""
        if self.kind in ("_id", "string"):
            return pa.array(values, pa.string()).cast(pa.binary())
        real = self.kind in ("number", "quantity")
        return np.array(values, np.float64 if real else np.int64)

    def of_part(
        self,
        connection: apsw.Connection,
        cache: BlockCache,
        part: Part,
        rows: np.ndarray,
        versions: np.ndarray,
    ) -> Any:
        """The values of some rows of a part, which are `versions`."""
        if self.kind in ("_id", "_lastUpdated"):
            return self._of_versions(connection, versions)
        if self.kind == "string":
            return self._texts(connection, cache, part, rows)
        real = self.kind in ("number", "quantity")
        found = np.full(part.rows, self._missing, np.float64 if real else np.int64)
        for block in self._blocks(connection, cache, part):
            values = block.columns[_COLUMNS[self.kind]][block.value_of_entries()]
            _assign(found, block.rows, values, last=self.descending)
        return found[rows]

    def _of_versions(self, connection: apsw.Connection, versions: np.ndarray) -> Any:
        given = connection.execute(
            f"SELECT r.v, {self.sql} FROM carray(?) a CROSS JOIN version r ON r.v = a.value",
            (apsw.carray(np.ascontiguousarray(versions)),),
        )
        known = dict(given)
        return self.array([known[v] for v in versions.tolist()])

    def _texts(
        self, connection: apsw.Connection, cache: BlockCache, part: Part, rows: np.ndarray
    ) -> Any:
        texts = [pa.array([self._missing.encode()], pa.binary())]
        place = np.zeros(part.rows, np.int64)
        begin = 1
        for block in self._blocks(connection, cache, part):
            column = block.columns[_COLUMNS[self.kind]]
            assert isinstance(column, Texts)
            texts.append(column.arrow())
            positions = begin + block.value_of_entries()
            if self.descending:
                place[block.rows] = positions
            else:
                fresh = place[block.rows] == 0
                _assign(place, block.rows[fresh], positions[fresh], last=False)
            begin += len(column)
        return pa.concat_arrays(texts).take(pa.array(place[rows]))

    def _blocks(self, connection: apsw.Connection, cache: BlockCache, part: Part) -> list[Any]:
        """Every block of the parameter; ascending ones last first, so that the least value wins."""
        entries = cache.candidates(connection, part, Probe(self.kind, self._p))
        if self.kind != "string" and not self.descending:
            entries = entries[::-1]
        return [cache.block(connection, self.kind, one.id) for one in entries]


def _assign(found: np.ndarray, rows: np.ndarray, values: np.ndarray, *, last: bool) -> None:
    """Write values to rows; where a row comes several times, the last or the first stays."""
    if last:
        found[rows] = values
    else:
        found[rows[::-1]] = values[::-1]


def _ranks(chunks: list[Any]) -> np.ndarray:
    """Numbers in the order of the values."""
    if isinstance(chunks[0], np.ndarray):
        return np.unique(np.concatenate(chunks), return_inverse=True)[1].astype(np.int64)
    encoded: Any = pa.concat_arrays(chunks).dictionary_encode()
    order = pc.sort_indices(encoded.dictionary).to_numpy()
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    return rank[encoded.indices.to_numpy()]
