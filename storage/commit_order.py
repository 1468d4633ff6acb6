"""Versions in commit order, newest first, of one type or of all, without sorting the lake.

`v` numbers versions in commit order, so the whole lake in that order is the version table itself.
For one type there is no index by `v`: it would cost about 12 bytes a version. Instead:

- a type with few versions is taken whole from the index by id and ordered in memory;
- of any other, flushed versions lie between `min_v` and `max_v` of its segments, where they are
  dense, and the hot ones are among the few that have a hot body or are deletions.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import apsw

from storage.hot_rows import flushed_v
from storage.segment_store import LIVE

# Rows that are read without a second thought: some milliseconds from the index, some tens of
# milliseconds from the table.
_FEW_IN_INDEX = 50_000
_FEW_IN_TABLE = 200_000


@dataclass(frozen=True, slots=True)
class Span:
    """The versions wanted: `low <= v <= high`.

    Those before `kept_v` that a commit up to `ended_t` superseded are left out.
    """

    low: int
    high: int
    kept_v: int = 0
    ended_t: int = 0

    @property
    def width(self) -> int:
        """How many numbers it spans."""
        return max(0, self.high - self.low + 1)

    def within(self, low: int, high: int) -> Span:
        """The part of it in `low … high`."""
        return Span(max(self.low, low), min(self.high, high), self.kept_v, self.ended_t)

    @property
    def condition(self) -> str:
        """SQL over `version r` for what is left out; `args` are those of the whole span."""
        if not self.kept_v:
            return "r.v BETWEEN ? AND ?"
        return "r.v BETWEEN ? AND ? AND (r.v >= ? OR r.t_end IS NULL OR r.t_end > ?)"

    @property
    def args(self) -> tuple[int, ...]:
        """Arguments of `condition`."""
        if not self.kept_v:
            return self.low, self.high
        return self.low, self.high, self.kept_v, self.ended_t


def newest(connection: apsw.Connection, span: Span, limit: int) -> list[int]:
    """The newest versions of all types in `span`, at most `limit`, newest first."""
    return _numbers(connection, "version r NOT INDEXED", "1", (), span, limit)


def newest_of_type(
    connection: apsw.Connection, type_number: int, span: Span, limit: int
) -> list[int]:
    """The newest versions of a type in `span`, at most `limit`, newest first."""
    if span.width <= _FEW_IN_TABLE // 4:
        return _in_table(connection, type_number, span, limit)
    if _flushed_rows(connection, type_number) <= _FEW_IN_INDEX:
        index = "version r INDEXED BY version_id"
        return _numbers(connection, index, "r.type = ?", (type_number,), span, limit)
    hot = span.within(flushed_v(connection, type_number) + 1, span.high)
    found = _hot(connection, type_number, hot, limit) if hot.width else []
    for low, high in _areas(connection, type_number):
        part = span.within(low, high)
        if part.width and len(found) < limit:
            found += _in_table(connection, type_number, part, limit - len(found))
    return found


def count(connection: apsw.Connection, span: Span, *, gaps: bool) -> int:
    """How many versions of all types are in `span`; `gaps`: whether numbers can be missing."""
    if not span.width:
        return 0
    whole = span.width
    if gaps:
        whole = int(
            connection.execute(
                "SELECT count(*) FROM version NOT INDEXED WHERE v BETWEEN ? AND ?",
                (span.low, span.high),
            ).get
        )
    if not span.kept_v:
        return whole
    types: list[Any] = connection.execute("SELECT type FROM resource_count").fetchall()
    return whole - sum(_left_out(connection, number, span) for (number,) in types)


def count_of_type(connection: apsw.Connection, type_number: int, span: Span) -> int:
    """How many versions of a type are in `span`."""
    if not span.width:
        return 0
    return _count_between(connection, type_number, span.low, span.high) - _left_out(
        connection, type_number, span
    )


def _numbers(
    connection: apsw.Connection,
    source: str,
    where: str,
    args: tuple[Any, ...],
    span: Span,
    limit: int,
) -> list[int]:
    return [
        v
        for (v,) in connection.execute(
            f"SELECT r.v FROM {source} WHERE {where} AND {span.condition} "
            "ORDER BY r.v DESC LIMIT ?",
            (*args, *span.args, limit),
        )
    ]


def _in_table(connection: apsw.Connection, type_number: int, span: Span, limit: int) -> list[int]:
    table = "version r NOT INDEXED"
    return _numbers(connection, table, "r.type = ?", (type_number,), span, limit)


def _hot(connection: apsw.Connection, type_number: int, span: Span, limit: int) -> list[int]:
    """Of the versions that are in no segment: those with a hot body, and deletions."""
    if span.width <= _FEW_IN_INDEX:
        return _in_table(connection, type_number, span, limit)
    bodies = "hot_body b CROSS JOIN version r ON r.v = b.v"
    bounds = "r.type = ? AND b.v BETWEEN ? AND ?"
    args = (type_number, span.low, span.high)
    stored: list[Any] = connection.execute(
        f"SELECT r.v FROM {bodies} WHERE {bounds} AND {span.condition} ORDER BY b.v DESC LIMIT ?",
        (*args, *span.args, limit),
    ).fetchall()
    deletions: list[Any] = connection.execute(
        f"SELECT r.v FROM version r INDEXED BY version_deleted WHERE r.type = ? AND r.deleted "
        f"AND r.t >= ? AND {span.condition} ORDER BY r.t DESC, r.v DESC LIMIT ?",
        (type_number, _commit_of(connection, span.low), *span.args, limit),
    ).fetchall()
    return sorted((v for (v,) in (*stored, *deletions)), reverse=True)[:limit]


def _areas(connection: apsw.Connection, type_number: int) -> Iterator[tuple[int, int]]:
    """Where the flushed versions of a type lie, from the newest on; the areas do not overlap."""
    low, high = 0, 0
    for first, last in connection.execute(
        "SELECT min_v, max_v FROM segment WHERE type = ? AND state <> 2 ORDER BY max_v DESC",
        (type_number,),
    ):
        if high and last < low - 1:
            yield low, high
            high = 0
        low, high = (min(low, first), high) if high else (first, last)
    if high:
        yield low, high


def _count_between(connection: apsw.Connection, type_number: int, low: int, high: int) -> int:
    """How many versions of a type have `low <= v <= high`."""
    if high - low + 1 <= _FEW_IN_TABLE:
        return _count_in_table(connection, type_number, low, high)
    cut: list[Any] = connection.execute(
        "SELECT id, state, max(min_v, ?2), min(max_v, ?3) FROM segment WHERE type = ?1 "
        "AND state <> 2 AND (min_v < ?2 OR max_v > ?3) AND max_v >= ?2 AND min_v <= ?3",
        (type_number, low, high),
    ).fetchall()
    settling = any(state != LIVE for _, state, _, _ in cut)
    few = _flushed_rows(connection, type_number) <= _FEW_IN_INDEX
    if few or settling or sum(last - first for _, _, first, last in cut) > _FEW_IN_TABLE:
        return int(
            connection.execute(
                "SELECT count(*) FROM version INDEXED BY version_id "
                "WHERE type = ? AND v BETWEEN ? AND ?",
                (type_number, low, high),
            ).get
        )
    whole = connection.execute(
        "SELECT ifnull(sum(rows), 0) FROM segment "
        "WHERE type = ? AND state <> 2 AND min_v >= ? AND max_v <= ?",
        (type_number, low, high),
    ).get
    parts = [
        connection.execute(
            "SELECT count(*) FROM version NOT INDEXED WHERE v BETWEEN ? AND ? AND segment = ?",
            (first, last, segment),
        ).get
        for segment, _, first, last in cut
    ]
    hot_low = max(low, flushed_v(connection, type_number) + 1)
    return int(whole) + sum(parts) + _count_hot(connection, type_number, hot_low, high)


def _count_hot(connection: apsw.Connection, type_number: int, low: int, high: int) -> int:
    if high - low + 1 <= _FEW_IN_INDEX:
        return _count_in_table(connection, type_number, low, high)
    bodies = connection.execute(
        "SELECT count(*) FROM hot_body b CROSS JOIN version r ON r.v = b.v "
        "WHERE b.v BETWEEN ? AND ? AND r.type = ?",
        (low, high, type_number),
    ).get
    deletions = connection.execute(
        "SELECT count(*) FROM version INDEXED BY version_deleted "
        "WHERE type = ? AND deleted AND t >= ? AND v BETWEEN ? AND ?",
        (type_number, _commit_of(connection, low), low, high),
    ).get
    return int(bodies) + int(deletions)


def _count_in_table(connection: apsw.Connection, type_number: int, low: int, high: int) -> int:
    return int(
        connection.execute(
            "SELECT count(*) FROM version NOT INDEXED WHERE v BETWEEN ? AND ? AND type = ?",
            (low, high, type_number),
        ).get
    )


def _flushed_rows(connection: apsw.Connection, type_number: int) -> int:
    """How many versions of a type its segments hold: each of them is in exactly one."""
    return int(
        connection.execute(
            "SELECT ifnull(sum(rows), 0) FROM segment WHERE type = ? AND state <> 2",
            (type_number,),
        ).get
    )


def _left_out(connection: apsw.Connection, type_number: int, span: Span) -> int:
    """How many versions of a type `span` leaves out."""
    if not span.kept_v:
        return 0
    return int(
        connection.execute(
            "SELECT count(*) FROM version INDEXED BY version_ended "
            "WHERE type = ? AND t_end IS NOT NULL AND t_end <= ? AND v BETWEEN ? AND ?",
            (type_number, span.ended_t, span.low, min(span.high, span.kept_v - 1)),
        ).get
    )


def _commit_of(connection: apsw.Connection, v: int) -> int:
    """The commit of the first version from `v` on; 0 when there is none."""
    found = connection.execute("SELECT t FROM version WHERE v >= ? ORDER BY v LIMIT 1", (v,)).get
    return int(found or 0)
