"""Sorting the matches of a search by the values of parameters, over both tiers.

https://hl7.org/fhir/R4/search.html#sort. A resource with several values goes by its least one, or
by its greatest when descending. One without a value comes last, in either direction. `v` makes the
order total, so that pages fit together. Tokens go by their code, references by the id or URL that
they name, strings without case and accents.
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
from storage.index.row_values import NUMERIC
from storage.index.texts import Texts
from storage.packed_ids import unpack
from storage.query.joins import Evaluation
from storage.query.matches import Matches
from storage.query.sort_text import SortKey

_COLUMNS = {
    "date": "low",
    "string": "normalized",
    "number": "low",
    "quantity": "low",
    "token": "code",
    "reference": "target",
    "uri": "uri",
}
_TEXTS = frozenset({"string", "token", "reference", "uri"})

# Beyond any value (ascending), or before any (descending). No text has these bytes.
_LAST: dict[str, Any] = {"date": 2**63 - 1, "number": float("inf"), "quantity": float("inf")}
_FIRST: dict[str, Any] = {"date": -(2**63), "number": float("-inf"), "quantity": float("-inf")}
_LAST_TEXT, _FIRST_TEXT = b"\xff", b""

# Values of so many rows of a part are picked out; of more, those of all rows are laid out.
_FEW = 1_024


def by_version(sort: Sequence[SortKey]) -> bool | None:
    """Whether the order is that of `v` descending (true) or ascending (false); None for others."""
    if not sort:
        return False
    if len(sort) == 1 and sort[0].kind == "_lastUpdated":
        # Versions are numbered in the order of their commits, hence of lastUpdated.
        return sort[0].descending
    return None


def ordered(
    evaluation: Evaluation, sort: Sequence[SortKey], found: Sequence[tuple[str, Matches]]
) -> np.ndarray:
    """The `v` of every match (by type), in the order of the keys."""
    v: list[np.ndarray] = []
    values: list[list[Any]] = [[] for _ in sort]
    for resource_type, matches in found:
        keys = [_Key(evaluation, resource_type, key) for key in sort]
        hot = matches.hot_versions()
        if len(hot):
            v.append(hot)
            for key, column in zip(keys, values, strict=True):
                column.append(key.of_hot(hot))
        for part in matches.flushed.parts:
            mine = matches.flushed.rows(part)
            if not len(mine):
                continue
            v.append(matches.flushed.versions(part))
            for key, column in zip(keys, values, strict=True):
                column.append(key.of_part(part, mine, v[-1]))
    if not v:
        return np.zeros(0, np.int64)
    numbers = np.concatenate(v)
    sort_by = [numbers if not sort[-1].descending else -numbers]
    for key_asked, column in reversed(list(zip(sort, values, strict=True))):
        ranks = _ranks(column)
        if key_asked.descending:
            # Not the negative, which the least integer has not.
            ranks = -ranks if ranks.dtype == np.float64 else ~ranks
        sort_by.append(ranks)
    return numbers[np.lexsort(sort_by)]


class _Key:
    """One key of the order, of the resources of a type: how hot rows and parts give its value."""

    def __init__(self, evaluation: Evaluation, resource_type: str, key: SortKey) -> None:
        self._connection: apsw.Connection = evaluation.connection
        self._cache: BlockCache = evaluation.flushed.cache
        self._kind = key.kind
        self._descending = key.descending
        self._p = evaluation.find(index.param_key(resource_type, key.param)) or 0
        self._text = key.kind in _TEXTS
        if self._text:
            self._missing: Any = _FIRST_TEXT if key.descending else _LAST_TEXT
        else:
            self._missing = (_FIRST if key.descending else _LAST).get(key.kind)

    def of_hot(self, versions: np.ndarray) -> Any:
        """The values of hot versions."""
        if self._kind in ("_id", "_lastUpdated"):
            return self._of_versions(versions)
        pick = "max" if self._descending else "min"
        rows: list[Any] = self._connection.execute(
            f"SELECT v, {pick}({_COLUMNS[self._kind]}) FROM {self._kind}_index "
            "WHERE p = ? AND v IN (SELECT value FROM carray(?)) GROUP BY v",
            (self._p, apsw.carray(np.ascontiguousarray(versions))),
        ).fetchall()
        known = dict(rows)
        if self._text:
            texts = [known.get(v) for v in versions.tolist()]
            return pa.array(
                [self._missing if text is None else text.encode() for text in texts], pa.binary()
            )
        return self._numbers([known.get(v, self._missing) for v in versions.tolist()])

    def of_part(self, part: Part, rows: np.ndarray, versions: np.ndarray) -> Any:
        """The values of some rows of a part, which are `versions`."""
        if self._kind in ("_id", "_lastUpdated"):
            return self._of_versions(versions)
        if len(rows) <= _FEW:
            return self._picked(part, rows)
        if self._text:
            return self._texts(part, rows)
        found = np.full(part.rows, self._missing, self._number_type)
        for block in self._blocks(part):
            values = block.columns[_COLUMNS[self._kind]][block.value_of_entries()]
            _assign(found, block.rows, values, last=self._descending)
        return found[rows]

    def _picked(self, part: Part, rows: np.ndarray) -> Any:
        """The values of a few rows, ascending: only their entries are looked at."""
        if self._kind in NUMERIC:
            return self._numbers_of(part, rows)
        among = np.zeros(part.rows, bool)
        among[rows] = True
        column = _COLUMNS[self._kind]
        found: list[Any] = [self._missing] * len(rows)
        blocks = self._blocks(part)
        # Texts come in their order, so the last that is written is the greatest.
        for block in blocks[::-1] if self._text and not self._descending else blocks:
            hits = np.flatnonzero(among[block.rows])
            if not len(hits):
                continue
            places = np.searchsorted(rows, block.rows[hits])
            numbers = np.searchsorted(block.starts, hits, side="right") - 1
            values = block.columns[column]
            pairs = zip(places.tolist(), numbers.tolist(), strict=True)
            for place, number in pairs if self._descending else reversed(list(pairs)):
                found[place] = values[number]
        if self._text:
            return pa.array(found, pa.binary())
        return self._numbers(found)

    def _numbers_of(self, part: Part, rows: np.ndarray) -> np.ndarray:
        """The values of a few rows by a parameter of numbers."""
        found = np.full(len(rows), self._missing, self._number_type)
        if self._cache.directory(self._connection, part).get((self._kind, self._p)):
            known = self._cache.row_values(self._connection, part, self._kind, self._p)
            which, numbers = known.entries(rows)
            values = known.columns[_COLUMNS[self._kind]][numbers]
            _assign(found, which, values, last=self._descending)
        return found

    @property
    def _number_type(self) -> type[np.float64 | np.int64]:
        return np.float64 if self._kind in ("number", "quantity") else np.int64

    def _numbers(self, values: Sequence[Any]) -> np.ndarray:
        return np.array(values, self._number_type)

    def _of_versions(self, versions: np.ndarray) -> Any:
        column = "r.id" if self._kind == "_id" else "r.t"
        rows: list[Any] = self._connection.execute(
            f"SELECT r.v, {column} FROM carray(?) a CROSS JOIN version r ON r.v = a.value",
            (apsw.carray(np.ascontiguousarray(versions)),),
        ).fetchall()
        known = dict(rows)
        found = [known[v] for v in versions.tolist()]
        if self._kind == "_id":
            return pa.array([unpack(key).encode() for key in found], pa.binary())
        return np.array(found, np.int64)

    def _texts(self, part: Part, rows: np.ndarray) -> Any:
        texts = [pa.array([self._missing], pa.binary())]
        place = np.zeros(part.rows, np.int64)
        begin = 1
        for block in self._blocks(part):
            column = block.columns[_COLUMNS[self._kind]]
            assert isinstance(column, Texts)
            texts.append(column.arrow())
            positions = begin + block.value_of_entries()
            if self._descending:
                place[block.rows] = positions
            else:
                fresh = place[block.rows] == 0
                _assign(place, block.rows[fresh], positions[fresh], last=False)
            begin += len(column)
        return pa.concat_arrays(texts).take(pa.array(place[rows]))

    def _blocks(self, part: Part) -> list[Any]:
        """Every block of the parameter; ascending ones last first, so that the least value wins."""
        entries = self._cache.candidates(self._connection, part, Probe(self._kind, self._p))
        if not self._text and not self._descending:
            entries = entries[::-1]
        return [self._cache.block(self._connection, self._kind, one.id) for one in entries]


def _assign(found: np.ndarray, rows: np.ndarray, values: np.ndarray, *, last: bool) -> None:
    """Write values to rows; where a row comes several times, the last or the first stays."""
    if last:
        found[rows] = values
    else:
        found[rows[::-1]] = values[::-1]


def _ranks(chunks: list[Any]) -> np.ndarray:
    """Numbers in the order of the values: those that are numbers themselves."""
    if isinstance(chunks[0], np.ndarray):
        return np.concatenate(chunks)
    encoded: Any = pa.concat_arrays(chunks).dictionary_encode()
    order = pc.sort_indices(encoded.dictionary).to_numpy()
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    return rank[encoded.indices.to_numpy()]
