"""Answering a search: one page of matches, their exact number, and the cursor of the next page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import apsw

from schemas.outcomes import error
from storage import index
from storage.packed_ids import UNPACK_SQL
from storage.query.page import Cursors, Position
from storage.query.parse import Query, SortKey, parse
from storage.query.plan import Plan, plan
from storage.terms import Terms
from storage.version_rows import COLUMNS, FROM, Bodies
from storage.versions import Page

_SORT_COLUMNS = {"date": "low", "string": "normalized", "number": "low", "quantity": "low"}

# Resources without the value come last, in either direction: beyond any value (ascending), or
# before any (descending).
_LAST = {
    "date": 2**63 - 1,
    "string": "\U0010ffff",
    "number": float("inf"),
    "quantity": float("inf"),
}
_FIRST = {"date": -(2**63), "string": "", "number": float("-inf"), "quantity": float("-inf")}


def search(
    connection: apsw.Connection,
    bodies: Bodies,
    terms: Terms,
    cursors: Cursors,
    t: int,
    resource_type: str,
    params: Sequence[tuple[str, str]],
    *,
    strict: bool,
) -> Page:
    """One page of the resources that meet `params` as of `t`, or as of the cursor's commit."""
    query = parse(resource_type, params, strict=strict)
    question = _question(query)
    after: Position | None = None
    if query.cursor is not None:
        after = cursors.read(query.cursor, question)
        if after.t > t:
            raise error(
                "value", "The _cursor is of a later state of the lake than there is.", "_cursor"
            )
        t = after.t
    planned = plan(connection, terms, query, t)
    order = _order(connection, terms, query)
    rows = _rows(connection, planned, order, query.count, after) if query.count else []
    has_more = len(rows) > query.count
    rows = rows[: query.count]
    total = after.total if after is not None else -1
    if query.total and total < 0:
        complete = after is None and not has_more and query.count > 0
        total = len(rows) if complete else _count(connection, planned)
    following = None
    if has_more:
        following = cursors.write(Position(t, rows[-1][0], total), question)
    return Page(
        bodies.load(connection, rows),
        total if query.total else None,
        following,
        list(query.ignored),
        t,
    )


class _Order:
    """Keys to order by (SQL, arguments, direction); `v` makes the order total."""

    def __init__(self, keys: list[tuple[str, list[Any], bool]]) -> None:
        self.keys = [*keys, ("r.v", [], bool(keys) and keys[-1][2])]

    @property
    def sql(self) -> str:
        return ", ".join(f"{sql} {'DESC' if down else 'ASC'}" for sql, _, down in self.keys)

    @property
    def args(self) -> list[Any]:
        return [arg for _, args, _ in self.keys for arg in args]

    def after(self, connection: apsw.Connection, v: int) -> tuple[str, list[Any]]:
        """The condition for rows that come after version `v`."""
        selected = ", ".join(sql for sql, _, _ in self.keys)
        values = connection.execute(
            f"SELECT {selected} FROM version r WHERE r.v = ?", (*self.args, v)
        ).fetchall()
        if not values:
            raise error("value", "The _cursor points at what is no longer there.", "_cursor")
        condition = "0"
        args: list[Any] = []
        for (sql, key_args, down), value in reversed(list(zip(self.keys, values[0], strict=True))):
            condition = f"({sql} {'<' if down else '>'} ? OR ({sql} = ? AND {condition}))"
            args = [*key_args, value, *key_args, value, *args]
        return condition, args


def _order(connection: apsw.Connection, terms: Terms, query: Query) -> _Order:
    if len(query.sort) == 1 and query.sort[0].kind == "_lastUpdated":
        # Versions are numbered in the order of their commits, hence of lastUpdated.
        order = _Order([])
        order.keys = [("r.v", [], query.sort[0].descending)]
        return order
    return _Order([_key(connection, terms, query.resource_type, key) for key in query.sort])


def _key(
    connection: apsw.Connection, terms: Terms, resource_type: str, key: SortKey
) -> tuple[str, list[Any], bool]:
    if key.kind == "_id":
        return f"{UNPACK_SQL}(r.id)", [], key.descending
    if key.kind == "_lastUpdated":
        return "r.t", [], key.descending
    table, column = index.BY_TYPE[key.kind].NAME, _SORT_COLUMNS[key.kind]
    pick, missing = ("max", _FIRST) if key.descending else ("min", _LAST)
    p = terms.find(connection, index.param_key(resource_type, key.param)) or 0
    value = f"ifnull((SELECT {pick}({column}) FROM {table} WHERE v = r.v AND p = ?), ?)"
    return value, [p, missing[key.kind]], key.descending


def _rows(
    connection: apsw.Connection, planned: Plan, order: _Order, count: int, after: Position | None
) -> list[Any]:
    where, args = planned.where, list(planned.args)
    if after is not None:
        condition, more = order.after(connection, after.v)
        where, args = f"{where} AND {condition}", [*args, *more]
    return connection.execute(
        f"SELECT {COLUMNS} FROM {FROM} WHERE {where} ORDER BY {order.sql} LIMIT ?",
        (*args, *order.args, count + 1),
    ).fetchall()


def _count(connection: apsw.Connection, planned: Plan) -> int:
    source = FROM if planned.needs_commit else "version r"
    return int(
        connection.execute(f"SELECT count(*) FROM {source} WHERE {planned.where}", planned.args).get
    )


def _question(query: Query) -> list[str]:
    """What a cursor must not be moved to: type, criteria and order, not the page's size."""
    criteria = sorted((c.given, ",".join(c.values)) for c in query.criteria)
    sort = [f"{'-' if key.descending else ''}{key.param}" for key in query.sort]
    return ["search", query.resource_type, *(text for pair in criteria for text in pair), *sort]
