"""AuditEvents as a client sees them: the lake's own audit log, and those that were stored in it.

A search goes over both and gives them in the order of their date. Its cursor has three parts: where
the audit log goes on, up to which row it counts, and the cursor of the search over stored ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice

import apsw

from schemas.dates import date_range
from schemas.outcomes import Issue, error
from storage import audit_trail
from storage.audit import rows
from storage.audit_event import TYPE, number_of, version
from storage.audit_query import AuditQuery, first_since, sorted_by_date
from storage.audit_record import AuditRow, Entity
from storage.query.page import Cursors, Position
from storage.query.parse import Query, parse
from storage.reading import not_found
from storage.versions import Page, Version

Params = Sequence[tuple[str, str]]
SearchStored = Callable[[list[tuple[str, str]], int], Page]
"""A search over stored AuditEvents: parameters, and the commit to search as of."""

_START, _END = "start", "end"
_NONE = Page([])


STORED_ONLY = Issue(
    "information",
    "informational",
    "Of AuditEvents those that clients stored were searched; those of the server's own log are "
    "found when AuditEvent is searched by itself.",
    ("_type",),
)


class AuditEvents:
    """Reads and searches the AuditEvents of one lake."""

    def __init__(self, lake_id: str, cursors: Cursors) -> None:
        self._lake_id = lake_id
        self._cursors = cursors

    def read(self, connection: apsw.Connection, id: str, version_id: int = 1) -> Version:
        """The event of an `audit-` id, of which there is one version. FhirError `not-found`."""
        n = number_of(TYPE, id)
        row = next(rows(connection, "n = ?", (n,)), None) if version_id == 1 else None
        if row is None:
            raise not_found(TYPE, id)
        found = version(row, self._lake_id)
        _tell([found])
        return found

    def search(
        self,
        connection: apsw.Connection,
        search_stored: SearchStored,
        params: Params,
        t: int,
        *,
        latest: bool,
        strict: bool,
    ) -> Page:
        """One page of all AuditEvents that meet `params`, newest first unless `_sort=date`.

        As of commit `t`; unless that is the `latest`, without events of after its moment. Raises
        FhirError as any search, and `not-supported` for another order.
        """
        query = parse(TYPE, params, strict=strict)
        if query.includes:
            raise error(
                "not-supported",
                "AuditEvents of the server's own log are searched without _include and "
                "_revinclude.",
                "_include",
            )
        descending = sorted_by_date(query)
        question = ["audit", str(descending), *sorted(f"{n}={v}" for n, v in _criteria(params))]
        total, after, inner = -1, None, _START
        if query.cursor is not None:
            t, after, total, top, inner = self._read(query.cursor, question)
        else:
            top = _top(connection, t, latest=latest)
        own = AuditQuery(connection, query, top, self._lake_id)
        mine = list(islice(own.rows(after, descending=descending), query.count + 1))
        given = [*_criteria(params), ("_sort", "-date" if descending else "date")]
        with audit_trail.unobserved():  # Not all that is looked up is given out.
            stored = _NONE if inner == _END else search_stored(_page(given, query, inner), t)
        if query.counts and total < 0:
            total = own.count() + (stored.total or 0)
        taken, used = _merge(mine, stored.versions, query.count, descending=descending)
        more = len(mine) > taken or len(stored.versions) > used or stored.next is not None
        if used == len(stored.versions):
            inner = stored.next or _END
        elif used:
            # Ask again for as many as were used: the next page goes on after those.
            with audit_trail.unobserved():
                inner = search_stored(_page(given, query, inner, used), t).next or _END
        chosen = [(row.recorded_us, version(row, self._lake_id)) for row in mine[:taken]]
        chosen += [(_recorded(one), one) for one in stored.versions[:used]]
        chosen.sort(key=lambda pair: -pair[0] if descending else pair[0])
        following = None
        if more and query.count:
            after = mine[taken - 1].n if taken else after
            following = self._write(question, t, after, total, top, inner)
        versions = [one for _, one in chosen]
        _tell(versions)
        return Page(versions, total if query.counts else None, following, list(query.ignored))

    def _write(
        self, question: list[str], t: int, after: int | None, total: int, top: int, inner: str
    ) -> str:
        return ".".join(
            (
                self._cursors.write(Position(t, after or 0, total), question),
                self._cursors.write(Position(t, top, 0), [*question, "top"]),
                inner,
            )
        )

    def _read(self, text: str, question: list[str]) -> tuple[int, int | None, int, int, str]:
        parts = text.split(".")
        if len(parts) != 3:
            raise error(
                "value",
                "The _cursor is not one that this search gave. Use the next link of a page "
                "unchanged, or begin again without it.",
                "_cursor",
            )
        place = self._cursors.read(parts[0], question)
        top = self._cursors.read(parts[1], [*question, "top"])
        return place.t, place.v or None, place.total, top.v, parts[2]


def _criteria(params: Params) -> list[tuple[str, str]]:
    control = ("_count", "_sort", "_total", "_cursor")
    return [(name, value) for name, value in params if name not in control]


def _page(
    given: list[tuple[str, str]], query: Query, inner: str, count: int | None = None
) -> list[tuple[str, str]]:
    """The search over stored ones: its page, and whether the matches are to be counted."""
    asked = [*given, ("_count", str(query.count if count is None else count))]
    if not query.counts:
        asked.append(("_total", "none"))
    return asked if inner == _START else [*asked, ("_cursor", inner)]


def _top(connection: apsw.Connection, t: int, *, latest: bool) -> int:
    if latest:
        return int(connection.execute("SELECT ifnull(max(n), 0) FROM audit").get)
    instant = connection.execute("SELECT instant_us FROM commit_log WHERE t = ?", (t,)).get or 0
    return first_since(connection, instant + 1) - 1


def _merge(
    mine: list[AuditRow], stored: list[Version], count: int, *, descending: bool
) -> tuple[int, int]:
    """How many of each, both in order, are among the first `count` of all."""
    taken = used = 0
    while taken + used < count:
        if taken == len(mine):
            used = min(len(stored), count - taken)
            break
        if used == len(stored):
            taken = min(len(mine), count - used)
            break
        moment, other = mine[taken].recorded_us, _recorded(stored[used])
        if moment == other or (moment > other) == descending:
            taken += 1
        else:
            used += 1
    return taken, used


def _tell(events: list[Version]) -> None:
    """Reading the audit log is an access too."""
    trail = audit_trail.current()
    if trail is not None:
        trail.saw([Entity(TYPE, event.id, event.version_id, "R") for event in events], ())


def _recorded(stored: Version) -> int:
    return date_range(stored.resource()["recorded"])[0]
