"""Checking the search index: every entry worked out again from the bodies, both tiers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import apsw
import numpy as np

from schemas.outcomes import FhirError
from schemas.param_set import ParamSet
from schemas.parse import parse_resource
from schemas.structure import RESOURCE_TYPES
from storage import index
from storage.hot_rows import flushed_v
from storage.index import parts
from storage.index.parts import Directory, PartVersions
from storage.index.texts import Texts
from storage.segment_store import RETIRED, SETTLING
from storage.terms import Terms
from storage.version_rows import COLUMNS, FROM, Bodies
from storage.versions import Version

DATABASE = "hot.db"
"""The place of a problem that is not one of the index."""

_BATCH = 500
_EXAMPLES = 5

Problem = tuple[str, str]
"""Where, and what; types, ids and numbers only."""

_Entry = tuple[Any, ...]
"""Kind, parameter, values."""


class IndexCheck:
    """One pass over the index in one consistent state of the lake."""

    def __init__(
        self,
        connection: apsw.Connection,
        terms: Terms,
        bodies: Bodies,
        sample: int | None,
        params: ParamSet,
    ) -> None:
        """`params` are those that there are; entries of others, which there were once, may stay.

        So may those of parameters that are not indexed yet: of those some are there already.
        `sample` limits the comparison with bodies to so many versions; None: all of them."""
        self._connection = connection
        self._bodies = bodies
        self._params = params.without_pending()
        self._former = _former(connection, self._params)
        self._left = sample
        self._all = sample is None
        self._find = partial(terms.find, connection)
        self._wrong: list[str] = []
        self.compared = 0
        """Versions whose entries were worked out anew."""

    def problems(self) -> Iterator[Problem]:
        """Everything found wrong."""
        try:
            yield from self._hot()
            yield from self._flushed()
        except FhirError as failure:
            yield DATABASE, failure.issues[0].diagnostics
            return
        if self._wrong:
            distinct = list(dict.fromkeys(self._wrong))
            yield (
                "index",
                f"{len(distinct)} versions are not indexed as they should be "
                f"({', '.join(distinct[:_EXAMPLES])}); run `chartlake reindex`",
            )

    def _hot(self) -> Iterator[Problem]:
        """Hot versions have their rows, and there are no others."""
        expected = dict.fromkeys(index.BY_TYPE, 0)
        types: list[Any] = self._connection.execute("SELECT type FROM resource_count").fetchall()
        for (type_number,) in types:
            after_v = flushed_v(self._connection, type_number)
            numbers = [
                v
                for (v,) in self._connection.execute(
                    "SELECT v FROM version WHERE type = ? AND v > ? AND NOT deleted ORDER BY v",
                    (type_number, after_v),
                )
            ]
            for version, v in self._sampled(numbers):
                entries = self._expected(version)
                for kind, *_ in entries:
                    expected[kind] += 1
                if not all(_has(self._connection, v, entry) for entry in entries):
                    self._wrong.append(f"{version.resource_type}/{version.id}")
        settling = self._connection.execute(f"SELECT 1 FROM segment WHERE state = {SETTLING}").get
        if not self._all or settling:
            # While a segment settles, its versions have hot rows still, which no search looks at.
            return
        for kind, count in expected.items():
            name = index.BY_TYPE[kind].NAME
            there = self._connection.execute(
                f"SELECT count(*) FROM {name} WHERE p NOT IN (SELECT value FROM carray(?))",
                (apsw.carray(np.array([0, *self._former], np.int64)),),
            ).get
            if there != count:
                yield name, f"it has {there} rows, not {count}; run `chartlake reindex`"

    def _flushed(self) -> Iterator[Problem]:
        """Every segment has its parts, whole, with the entries of its versions."""
        segments: list[Any] = self._connection.execute(
            "SELECT s.id, s.rows, s.state, t.text FROM segment s JOIN term t ON t.id = s.type "
            f"WHERE s.state <> {RETIRED} ORDER BY s.id"
        ).fetchall()
        for segment, rows, state, resource_type in segments:
            place = f"index of segment {segment} ({resource_type})"
            indexed = 0
            for part in parts.part_ids(self._connection, segment):
                try:
                    versions, found = self._read(part)
                except ValueError as failure:
                    yield place, f"a part is damaged: {failure}; run `chartlake reindex`"
                    continue
                indexed += len(versions.v)
                first_row = None if state == SETTLING else indexed - len(versions.v)
                if not self._in_place(segment, versions, first_row):
                    yield place, "its rows are not the segment's versions; run `chartlake reindex`"
                    continue
                self._compare(versions, found)
            if indexed != rows:
                yield place, f"it has {indexed} of {rows} versions; run `chartlake reindex`"
        strays = self._connection.execute(
            "SELECT count(*) FROM index_part WHERE segment NOT IN "
            f"(SELECT id FROM segment WHERE state <> {RETIRED})"
        ).get
        if strays:
            yield "index", f"{strays} parts are of no segment; run `chartlake reindex`"
        there, known = self._connection.execute(
            "SELECT (SELECT count(*) FROM index_block), (SELECT ifnull(sum(blocks), 0) "
            "FROM index_part)"
        ).get
        if there != known:
            yield "index", f"it has {there} blocks, not {known}; run `chartlake reindex`"

    def _read(self, part: int) -> tuple[PartVersions, dict[int, set[_Entry]]]:
        """The versions of a part and the entries of each row. Raises ValueError when damaged."""
        versions = parts.read_versions(self._connection, part)
        directory: Directory = parts.read_directory(self._connection, part)
        found: dict[int, set[_Entry]] = {}
        wanted = len(versions.v) if self._left is None else self._left
        for (kind, p), blocks in directory.items():
            for entry in blocks:
                block = parts.read_block(self._connection, entry.id, kind)
                if len(block.rows) != entry.entries:
                    raise ValueError("a block has other entries than the directory says")
                if len(block.rows) and int(block.rows.max()) >= len(versions.v):
                    raise ValueError("a block has rows that the part has not")
                columns = [
                    [text.decode() for text in column]
                    if isinstance(column, Texts)
                    else column.tolist()
                    for column in block.columns.values()
                ]
                values = list(zip(*columns, strict=True))
                numbers = block.value_of_entries().tolist()
                if p in self._former:
                    continue
                for row, number in zip(block.rows.tolist(), numbers, strict=True):
                    if row < wanted:
                        found.setdefault(row, set()).add((kind, p, *values[number]))
        return versions, found

    def _in_place(self, segment: int, versions: PartVersions, first_row: int | None) -> bool:
        """Whether the versions are those that the database has in the rows from `first_row` on.

        While the segment settles, they may still be elsewhere: `first_row` is None.
        """
        rows = self._connection.execute(
            "SELECT r.v, r.segment, r.segment_row, r.deleted FROM carray(?) a "
            "CROSS JOIN version r ON r.v = a.value",
            (apsw.carray(np.ascontiguousarray(versions.v)),),
        ).fetchall()
        deleted = set(versions.deleted.tolist())
        # What was erased has no version any more, and counts as deleted here.
        known = {v: (place, row, gone) for v, place, row, gone in rows}
        for row, v in enumerate(versions.v.tolist()):
            found = known.get(v)
            if found is None:
                if row not in deleted:
                    return False
                continue
            if bool(found[2]) != (row in deleted):
                return False
            if first_row is not None and found[:2] != (segment, first_row + row):
                return False
        return True

    def _compare(self, versions: PartVersions, found: dict[int, set[_Entry]]) -> None:
        deleted = set(versions.deleted.tolist())
        live = [row for row in range(len(versions.v)) if row not in deleted]
        if any(row in deleted for row in found):
            self._wrong.append("an entry of a deletion")
        for row, (version, _) in zip(live, self._sampled(versions.v[live].tolist()), strict=False):
            if set(self._expected(version)) != found.get(row, set()):
                self._wrong.append(f"{version.resource_type}/{version.id}")

    def _sampled(self, numbers: Sequence[int]) -> Iterator[tuple[Version, int]]:
        """The versions of some numbers, in their order, while the sample is not used up."""
        for start in range(0, len(numbers), _BATCH):
            batch = numbers[start : start + _BATCH]
            if self._left is not None:
                batch = batch[: self._left]
                self._left -= len(batch)
            if not batch:
                return
            rows: list[Any] = self._connection.execute(
                f"SELECT {COLUMNS} FROM carray(?) a CROSS JOIN {FROM} WHERE r.v = a.value",
                (apsw.carray(np.array(batch, np.int64)),),
            ).fetchall()
            self.compared += len(batch)
            yield from zip(self._bodies.load(self._connection, rows), batch, strict=True)

    def _expected(self, version: Version) -> list[_Entry]:
        """The entries of a body. A text without a number gets none that any entry has."""
        found = index.rows(
            parse_resource(version.body), lambda text: self._find(text) or -1, self._params
        )
        return [(kind, *row) for kind, rows in found.items() for row in rows]


def _former(connection: apsw.Connection, params: ParamSet) -> set[int]:
    """The numbers of parameters that there are no more."""
    found = set()
    rows: list[Any] = connection.execute(
        "SELECT id, text FROM term WHERE text LIKE '%?%'"
    ).fetchall()
    for number, text in rows:
        resource_type, _, param = text.partition("?")
        if resource_type in RESOURCE_TYPES and param.partition(":")[0] not in params(resource_type):
            found.add(number)
    return found


def _has(connection: apsw.Connection, v: int, entry: _Entry) -> bool:
    kind, *row = entry
    table = index.BY_TYPE[kind]
    where = " AND ".join(f"{name} = ?" for name in table.COLUMNS.split(", "))
    return connection.execute(f"SELECT 1 FROM {table.NAME} WHERE {where}", (v, *row)).get == 1
