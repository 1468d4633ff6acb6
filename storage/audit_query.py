"""A search over the audit log: what SQL can say of it, and what is compared row by row.

Number, moments, action, outcome, interaction and agent are columns; patients and entities are found
by `audit_reference` and then compared; anything else is compared on the AuditEvent as it is read.

The order is that of AuditEvent.recorded. It is the order of the numbers for all rows but those that
were taken in from the spool: these have an index of their own and are merged in.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import apsw

from schemas.outcomes import error
from schemas.search_values import (
    IndexValue,
    ReferenceValue,
    StringValue,
    TokenValue,
    extract_params,
    normalized,
)
from storage.audit import reference, rows
from storage.audit_event import AUDIT_TYPE, TYPE, audit_event, number_of
from storage.audit_match import matcher, reference_of, value_param
from storage.audit_record import AuditRow
from storage.audit_references import referred
from storage.index import date
from storage.query.criterion import Criterion, bad_value
from storage.query.escapes import split, unescape
from storage.query.parse import Query

# The moment of an event is written in milliseconds; the interval it stands for is one of them.
_INSTANT_US = 1_000

Test = Callable[[AuditRow], bool]

# Stands in a condition for the column that has AuditEvent.recorded: another one for each group.
_RECORDED = "<recorded>"

_DIRECT = "accessed_us IS NULL"
_TAKEN_IN = "accessed_us IS NOT NULL"


class AuditQuery:
    """The criteria of a search, over rows up to a number."""

    def __init__(self, connection: apsw.Connection, query: Query, top: int, lake_id: str) -> None:
        """`top`: the last row that counts. Raises FhirError for bad values."""
        self._connection = connection
        self._lake_id = lake_id
        self._where = ["n <= ?"]
        self._args: list[Any] = [top]
        # Conditions for rows whose order is that of their numbers, on top of the others.
        self._direct: list[str] = [_DIRECT]
        self._direct_args: list[Any] = []
        self._tests: list[Test] = []
        for node in query.criteria:
            if not isinstance(node, Criterion):
                raise error(
                    "not-supported",
                    "AuditEvents of the server's own log are searched by their own parameters: no "
                    "chains, _has, _list or _filter.",
                )
            self._add(node)

    def rows(self, after: int | None, *, descending: bool) -> Iterator[AuditRow]:
        """Matching rows that come after row `after` (None: all), in order of (recorded, n)."""
        step, order = ("<", "DESC") if descending else (">", "ASC")
        direct, taken = [*self._direct], [_TAKEN_IN]
        direct_args: list[Any] = [*self._direct_args]
        taken_args: list[Any] = []
        if after is not None:
            found: Any = self._connection.execute(
                "SELECT ifnull(accessed_us, instant_us) FROM audit WHERE n = ?", (after,)
            ).get
            place = (found or 0, after)
            taken.append(f"(accessed_us, n) {step} (?, ?)")
            taken_args += place
            direct.append(f"(instant_us, n) {step} (?, ?)")
            direct_args += place
            # The same, as a number to begin at.
            edge = first_since(self._connection, place[0] + (1 if descending else 0))
            direct.append(f"n {'<' if descending else '>='} ?")
            direct_args.append(edge)
        groups = (
            self._group("instant_us", direct, direct_args, f"n {order}"),
            self._group("accessed_us", taken, taken_args, f"accessed_us {order}, n {order}"),
        )
        return heapq.merge(*groups, key=lambda row: (row.recorded_us, row.n), reverse=descending)

    def count(self) -> int:
        """How many rows match."""
        if self._tests:
            return sum(1 for _ in self.rows(None, descending=False))
        counted = 0
        for recorded, more, args in (
            ("instant_us", self._direct, self._direct_args),
            ("accessed_us", [_TAKEN_IN], []),
        ):
            where = " AND ".join((*self._where, *more)).replace(_RECORDED, recorded)
            sql = f"SELECT count(*) FROM audit WHERE {where}"
            counted += int(self._connection.execute(sql, (*self._args, *args)).get)
        return counted

    def _group(
        self, recorded: str, more: list[str], args: list[Any], order: str
    ) -> Iterator[AuditRow]:
        where = " AND ".join((*self._where, *more)).replace(_RECORDED, recorded)
        for row in rows(self._connection, f"{where} ORDER BY {order}", (*self._args, *args)):
            if all(test(row) for test in self._tests):
                yield row

    def _add(self, criterion: Criterion) -> None:
        if criterion.kind == "_id":
            self._among("n", [number_of(TYPE, unescape(id)) for id in criterion.values])
        elif criterion.kind == "_lastUpdated" or criterion.param == "date":
            if criterion.modifier:
                self._compare(criterion)
            else:
                self._moment(criterion)
        elif not self._column(criterion):
            self._compare(criterion)

    def _among(self, column: str, values: Sequence[Any]) -> None:
        found = [value for value in values if value is not None]
        self._where.append(f"{column} IN ({', '.join('?' * len(found))})")
        self._args += found

    def _column(self, criterion: Criterion) -> bool:
        """Add what a column answers as a whole; False where it cannot."""
        if criterion.modifier or any(len(split(value, "|")) > 1 for value in criterion.values):
            return False
        codes = [unescape(value) for value in criterion.values]
        if criterion.param == "action":
            self._among("action", codes)
        elif criterion.param == "outcome":
            self._among("outcome", [int(code) for code in codes if code in ("0", "4", "8", "12")])
        elif criterion.param == "altid":
            self._among("agent", codes)
        elif criterion.param == "subtype" and "operation" not in codes:
            self._among("name", codes)
        else:
            return False
        return True

    def _moment(self, criterion: Criterion) -> None:
        parts: list[str] = []
        for value in criterion.values:
            try:
                prefix, low, high = date.bounds(value)
            except ValueError as failure:
                raise bad_value(criterion.given, str(failure)) from None
            column = _RECORDED if criterion.param == "date" else "instant_us"
            names = {"low": column, "high": f"{column} + {_INSTANT_US}"}
            sql, bounds = date.condition(prefix, low, high).sql(names)
            parts.append(f"({sql})")
            self._args += bounds
        self._where.append(f"({' OR '.join(parts)})")
        if len(parts) == 1:
            # Moments of appending never go back, so one is also a number to begin or end at.
            if prefix in ("eq", "gt", "ge", "sa", "ap"):
                self._direct.append("n >= ?")
                self._direct_args.append(first_since(self._connection, low - _INSTANT_US))
            if prefix in ("eq", "lt", "le", "eb", "ap"):
                self._direct.append("n <= ?")
                self._direct_args.append(first_since(self._connection, high + _INSTANT_US))

    def _compare(self, criterion: Criterion) -> None:
        """Compare row by row, after looking up by reference where that narrows it."""
        meets, param = matcher(criterion), value_param(criterion)
        if param in _SAME_FOR_ALL:
            if not meets(_SAME_FOR_ALL[param]):
                self._where.append("0")
            return
        refs = _references(criterion)
        if refs is not None:
            marks = ", ".join("?" * len(refs))
            found = f"SELECT n FROM audit_reference WHERE ref IN ({marks})"
            done = referred(self._connection)
            if done is not None:  # Those after it are looked at one by one.
                found += f" UNION SELECT n FROM audit WHERE n > {done}"
            self._where.append(f"n IN ({found})")
            self._args += refs
        # An identifier is a value as well where any value counts.
        values = None if criterion.modifier == "missing" else _VALUES.get(criterion.param)
        if values is not None:
            self._tests.append(lambda row: meets(values(row)))
        else:
            self._tests.append(lambda row: meets(self._extracted(row, param)))

    def _extracted(self, row: AuditRow, param: str) -> list[IndexValue]:
        return extract_params(audit_event(row, self._lake_id), (param,))


def first_since(connection: apsw.Connection, instant_us: int) -> int:
    """The number of the first row of a moment or later; the one after the last when none is."""
    low, high = 1, (connection.execute("SELECT max(n) FROM audit").get or 0) + 1
    while low < high:
        middle = (low + high) // 2
        found: Any = connection.execute(
            "SELECT n, instant_us FROM audit WHERE n >= ? ORDER BY n LIMIT 1", (middle,)
        ).get
        if found is None or found[1] >= instant_us:
            high = middle
        else:
            low = found[0] + 1
    return low


def sorted_by_date(query: Query) -> bool:
    """Is the order newest first? Raises FhirError for any but that of `date`."""
    if not query.sort:
        return True
    if len(query.sort) == 1 and query.sort[0].param == "date":
        return query.sort[0].descending
    raise error("not-supported", "AuditEvents are sorted by date or -date only.", "_sort")


def _references(criterion: Criterion) -> list[int] | None:
    """The `ref` of each alternative, None where one of them can mean other rows too."""
    if criterion.param not in ("patient", "entity") or criterion.modifier == "missing":
        return None
    modifier = "Patient" if criterion.param == "patient" else criterion.modifier
    found = []
    for text in criterion.values:
        resource_type, id, _ = reference_of(text, modifier)
        if resource_type is None or id is None:
            return None
        found.append(reference(resource_type, id))
    return found


def _agent_name(row: AuditRow) -> list[IndexValue]:
    return [StringValue("agent-name", row.agent, normalized(row.agent))]


def _alt_id(row: AuditRow) -> list[IndexValue]:
    return [TokenValue("altid", None, row.agent, None)]


def _patients(row: AuditRow) -> list[IndexValue]:
    record = row.record()
    ids = [*record.patients, *(e.id for e in record.entities if e.resource_type == "Patient")]
    return [ReferenceValue("patient", "Patient", id, None) for id in ids]


def _entities(row: AuditRow) -> list[IndexValue]:
    record = row.record()
    found = [("Patient", id) for id in record.patients]
    found += [(entity.resource_type, entity.id) for entity in record.entities]
    return [ReferenceValue("entity", resource_type, id, None) for resource_type, id in found]


_VALUES: dict[str, Callable[[AuditRow], list[IndexValue]]] = {
    "agent-name": _agent_name,
    "altid": _alt_id,
    "patient": _patients,
    "entity": _entities,
}
_SAME_FOR_ALL: dict[str, list[IndexValue]] = {
    "type": [TokenValue("type", AUDIT_TYPE, "rest", "RESTful Operation")],
    "policy": [],
    "site": [],
}
