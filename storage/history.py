"""History of a resource, a type or the whole lake, in pages, newest first.

https://hl7.org/fhir/R4/http.html#history
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import apsw

from schemas.dates import date_range
from schemas.outcomes import FhirError, error
from schemas.structure import RESOURCE_TYPES
from storage import commit_order, erasures
from storage.commit_order import Span
from storage.packed_ids import pack
from storage.query.page import Cursors, Position
from storage.reading import not_found
from storage.terms import Terms
from storage.version_rows import COLUMNS, FROM, Bodies
from storage.versions import Page

_BEYOND = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Question:
    """What a history is asked of, and which versions.

    One resource (`types` of one, `id`), some types, or everything (no `types`). `since`: of the
    commits at or after this date or instant; `during`: those that were current at some point of
    this date, dateTime (of any precision) or instant, deletions included.
    """

    types: tuple[str, ...]
    id: str | None
    since: str | None
    during: str | None

    def parts(self) -> list[str]:
        """What a cursor must not be moved to."""
        given = ("", self.since or "", self.during or "", self.id or "")
        return ["history", *sorted(self.types), *given]


@dataclass(frozen=True, slots=True)
class _Selected:
    """The versions that a question selects, by level."""

    connection: apsw.Connection
    question: Question
    numbers: list[int]

    def newest(self, span: Span, limit: int) -> list[int]:
        """At most `limit` versions in `span`, newest first."""
        if self.question.id is not None:
            where, args = self._resource(span)
            rows: list[Any] = self.connection.execute(
                f"SELECT r.v FROM version r WHERE {where} ORDER BY r.version_id DESC LIMIT ?",
                (*args, limit),
            ).fetchall()
            return [v for (v,) in rows]
        if not self.question.types:
            return commit_order.newest(self.connection, span, limit)
        found = [
            commit_order.newest_of_type(self.connection, number, span, limit)
            for number in self.numbers
        ]
        return heapq.nlargest(limit, (v for numbers in found for v in numbers))

    def count(self, span: Span) -> int:
        """How many versions are in `span`."""
        if self.question.id is not None:
            where, args = self._resource(span)
            return int(
                self.connection.execute(f"SELECT count(*) FROM version r WHERE {where}", args).get
            )
        if not self.question.types:
            gaps = erasures.any_recorded(self.connection)
            return commit_order.count(self.connection, span, gaps=gaps)
        return sum(
            commit_order.count_of_type(self.connection, number, span) for number in self.numbers
        )

    def _resource(self, span: Span) -> tuple[str, tuple[Any, ...]]:
        number = self.numbers[0] if self.numbers else 0
        where = f"r.type = ? AND r.id = ? AND {span.condition}"
        return where, (number, pack(self.question.id or ""), *span.args)


def history(
    connection: apsw.Connection,
    bodies: Bodies,
    terms: Terms,
    cursors: Cursors,
    t: int,
    question: Question,
    count: int | None,
    cursor: str | None,
) -> Page:
    """One page of the versions as of `t` (the cursor's, when one is given), newest first.

    Raises FhirError: `not-found` (a resource that never was), `value` naming the parameter.
    """
    _check(question)
    asked = question.parts()
    after: Position | None = None
    if cursor is not None:
        after = cursors.read(cursor, asked)
        if after.t > t:
            raise error(
                "value", "The _cursor is of a later state of the lake than there is.", "_cursor"
            )
        t = after.t
    span = _span(connection, question, t)
    numbers = [terms.find(connection, name) for name in dict.fromkeys(question.types)]
    selected = _Selected(connection, question, [n for n in numbers if n is not None])
    if question.id is not None and not selected.count(Span(1, _last_v(connection, t))):
        raise not_found(question.types[0], question.id)
    total = selected.count(span) if after is None else after.total
    if after is not None:
        span = span.within(span.low, after.v - 1)
    wanted = total if count is None else count
    found = selected.newest(span, wanted + 1) if wanted and span.width else []
    following = None
    if len(found) > wanted:
        found = found[:wanted]
        following = cursors.write(Position(t, found[-1], total), asked)
    return Page(bodies.load(connection, _rows(connection, found)), total, following, t=t)


def _check(question: Question) -> None:
    for name in question.types:
        if name not in RESOURCE_TYPES:
            if question.id is None:
                raise _refused("_type", f"{name[:64]!r} is not a resource type of FHIR R4")
            raise not_found(name[:64], question.id)


def _span(connection: apsw.Connection, question: Question, t: int) -> Span:
    """The versions of the commits up to `t` that `since` and `during` leave."""
    low, high, kept_v, ended_t = 1, _last_v(connection, t), 0, 0
    if question.since is not None:
        low = _first_v(connection, _range("_since", question.since)[0])
    if question.during is not None:
        begin_us, end_us = _range("_at", question.during)
        high = min(high, _first_v(connection, end_us) - 1)
        # Those of the time itself count, however briefly they were current; of those before it,
        # those that were still current when it began.
        kept_v = _first_v(connection, begin_us)
        found = connection.execute(
            "SELECT max(t) FROM commit_log WHERE instant_us <= ?", (begin_us,)
        ).get
        ended_t = min(int(found or 0), t)
    return Span(low, high, kept_v, ended_t)


def _range(name: str, text: str) -> tuple[int, int]:
    try:
        # A `+` of a time zone that came through an address unescaped is a space.
        return date_range(text.replace(" ", "+"))
    except ValueError as failure:
        raise _refused(name, str(failure)) from None


def _refused(name: str, reason: str) -> FhirError:
    return error("value", f"The value of {name} cannot be used: {reason}.", name)


def _last_v(connection: apsw.Connection, t: int) -> int:
    """The last version of the commits up to `t`."""
    following = connection.execute(
        "SELECT first_v FROM commit_log WHERE t > ? ORDER BY t LIMIT 1", (t,)
    ).get
    if following is not None:
        return int(following) - 1
    return int(connection.execute("SELECT ifnull(max(v), 0) FROM version").get) if t else 0


def _first_v(connection: apsw.Connection, moment_us: int) -> int:
    """The first version of the commits at or after a moment; beyond the last when there is none."""
    # Instants never go back from one commit to the next.
    found = connection.execute(
        "SELECT first_v FROM commit_log WHERE instant_us >= ? ORDER BY instant_us, t LIMIT 1",
        (moment_us,),
    ).get
    return _BEYOND if found is None else int(found)


def _rows(connection: apsw.Connection, found: Sequence[int]) -> list[Any]:
    """Rows of the versions, in their order."""
    rows: list[Any] = []
    for start in range(0, len(found), 1000):
        part = found[start : start + 1000]
        rows += connection.execute(
            f"SELECT {COLUMNS} FROM {FROM} WHERE r.v IN ({', '.join('?' * len(part))}) "
            "ORDER BY r.v DESC",
            part,
        ).fetchall()
    return rows
