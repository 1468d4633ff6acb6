"""Answering a search: one page of matches, their exact number, and the cursor of the next page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import apsw
import numpy as np

from schemas.outcomes import error
from schemas.search_params import search_params
from storage.hot_rows import flushed_v as newest_flushed
from storage.query.criterion import Known
from storage.query.flushed import FlushedIndex, FlushedMatches
from storage.query.order import by_version, ordered
from storage.query.page import Cursors, Position
from storage.query.parse import Query, parse
from storage.query.plan import Where, hot_matches, plan
from storage.terms import Terms
from storage.version_rows import COLUMNS, FROM, Bodies
from storage.versions import Page


def search(
    connection: apsw.Connection,
    bodies: Bodies,
    terms: Terms,
    cursors: Cursors,
    index: FlushedIndex,
    t: int,
    resource_type: str,
    params: Sequence[tuple[str, str]],
    *,
    strict: bool,
    known: Known = search_params,
) -> Page:
    """One page of the resources that meet `params` as of `t`, or as of the cursor's commit."""
    query = parse(resource_type, params, strict=strict, known=known)
    question = _question(query)
    after: Position | None = None
    if query.cursor is not None:
        after = cursors.read(query.cursor, question)
        if after.t > t:
            raise error(
                "value", "The _cursor is of a later state of the lake than there is.", "_cursor"
            )
        t = after.t
    planned = plan(connection, terms, query)
    flushed_v = 0
    if planned.type_number is not None:
        flushed_v = newest_flushed(connection, planned.type_number)
    hot = hot_matches(connection, planned, t, flushed_v)
    flushed = FlushedMatches(connection, index, planned, t, flushed_v)
    total = after.total if after is not None else -1
    descending = by_version(query)
    if descending is None:
        versions = ordered(connection, index.cache, terms, query, hot, flushed)
        total = len(versions)
        if after is not None:
            versions = _after(versions, after.v)
        found = versions[: query.count + 1].tolist() if query.count else []
    else:
        found = _by_version(connection, hot, flushed, query.count, after, descending)
    has_more = len(found) > query.count
    found = found[: query.count]
    if query.total and total < 0:
        complete = after is None and not has_more and query.count > 0
        total = len(found) if complete else _count(connection, hot) + flushed.total()
    following = None
    if has_more:
        following = cursors.write(Position(t, found[-1], total), question)
    return Page(
        bodies.load(connection, _rows(connection, found)),
        total if query.total else None,
        following,
        list(query.ignored),
        t,
    )


def _by_version(
    connection: apsw.Connection,
    hot: Where,
    flushed: FlushedMatches,
    count: int,
    after: Position | None,
    descending: bool,
) -> list[int]:
    """The first `count` matches and one more, in the order of `v`."""
    if not count:
        return []
    where, args = hot.sql, list(hot.args)
    if after is not None:
        where, args = f"{where} AND r.v {'<' if descending else '>'} ?", [*args, after.v]
    direction = "DESC" if descending else "ASC"
    rows = connection.execute(
        f"SELECT r.v FROM version r WHERE {where} ORDER BY r.v {direction} LIMIT ?",
        (*args, count + 1),
    ).fetchall()
    cold = flushed.first(count + 1, None if after is None else after.v, descending=descending)
    both = sorted([*(v for (v,) in rows), *cold.tolist()], reverse=descending)
    return both[: count + 1]


def _after(versions: np.ndarray, v: int) -> np.ndarray:
    """Those of the versions, in their order, that come after `v`."""
    (place,) = np.nonzero(versions == v)
    if not len(place):
        raise error("value", "The _cursor points at what is no longer there.", "_cursor")
    return versions[int(place[0]) + 1 :]


def _rows(connection: apsw.Connection, versions: list[int]) -> list[Any]:
    """The rows of `version_rows.COLUMNS` of some versions, in their order."""
    if not versions:
        return []
    rows: list[Any] = connection.execute(
        f"SELECT {COLUMNS} FROM carray(?) a CROSS JOIN {FROM} WHERE r.v = a.value",
        (apsw.carray(np.array(versions, np.int64)),),
    ).fetchall()
    return rows


def _count(connection: apsw.Connection, hot: Where) -> int:
    return int(connection.execute(f"SELECT count(*) FROM version r WHERE {hot.sql}", hot.args).get)


def _question(query: Query) -> list[str]:
    """What a cursor must not be moved to: type, criteria and order, not the page's size."""
    criteria = sorted((c.given, ",".join(c.values)) for c in query.criteria)
    sort = [f"{'-' if key.descending else ''}{key.param}" for key in query.sort]
    return ["search", query.resource_type, *(text for pair in criteria for text in pair), *sort]
