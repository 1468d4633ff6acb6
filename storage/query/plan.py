"""From a query to what its two tiers are asked: probes, ids and moments.

The cost of a search should follow the number of its matches, not the size of the lake. Among hot
versions, the criterion with the fewest index rows is looked up as a whole, and each version found
is checked against the others by key; which criterion that is, capped counts tell. Flushed versions
are answered from blocks (`storage.query.flushed`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import apsw

from schemas.ids import is_id
from storage.index import date
from storage.index.condition import All, Compare, Condition, Either
from storage.index.probe import Probe
from storage.packed_ids import pack
from storage.query.alternatives import Alternatives, alternatives
from storage.query.criterion import Criterion, bad_value
from storage.query.escapes import unescape
from storage.query.parse import Query
from storage.terms import Terms

# First look for a criterion with few rows; when all have many, look further before choosing.
_CAPS = (1_000, 30_000)

# lastUpdated is written in milliseconds; the interval it stands for is one of them.
_INSTANT_US = 1_000

_AFTER_ALL = 2**63 - 1


@dataclass(slots=True)
class Plan:
    """What must hold of a version: `ids` (packed) when given, `moments` of its `v`, the probes.

    `type_number` is None when there is no resource of the type.
    """

    type_number: int | None
    alternatives: list[Alternatives] = field(default_factory=list)
    moments: list[Condition] = field(default_factory=list)
    ids: frozenset[bytes | str] | None = None


@dataclass(slots=True)
class Where:
    """A WHERE clause over `version r`, with its arguments."""

    sql: str
    args: list[Any]


def plan(connection: apsw.Connection, terms: Terms, query: Query) -> Plan:
    """What the criteria of a query ask. Raises FhirError for bad values."""
    type_number = terms.find(connection, query.resource_type)
    planned = Plan(type_number)
    for criterion in query.criteria:
        if criterion.kind == "_id":
            ids = _ids(criterion)
            planned.ids = ids if planned.ids is None else planned.ids & ids
        elif criterion.kind == "_lastUpdated":
            planned.moments.append(_last_updated(connection, criterion))
        else:
            planned.alternatives += alternatives(
                partial(terms.find, connection), query.resource_type, criterion
            )
    return planned


def hot_matches(connection: apsw.Connection, planned: Plan, t: int, flushed_v: int) -> Where:
    """The hot versions that match as of `t`: those of the type after `flushed_v`."""
    if planned.type_number is None:
        return Where("0", [])
    found = planned.alternatives
    driver = None if planned.ids is not None else _choose_driver(connection, found)
    parts: list[tuple[str, Sequence[Any]]] = []
    # The unary plus keeps SQLite from preferring an index by type, or the range of v, to the
    # driver or the ids.
    free = "" if driver is None and planned.ids is None else "+"
    if driver is not None:
        parts.append(_all_of(driver.probes))
    if planned.ids is not None:
        marks = ", ".join("?" * len(planned.ids))
        parts.append((f"r.type = ? AND r.id IN ({marks})", [planned.type_number, *planned.ids]))
    else:
        parts.append((f"{free}r.type = ?", [planned.type_number]))
    parts.append((f"{free}r.v > ?", [flushed_v]))
    parts += [moment.sql({"v": f"{free}r.v"}) for moment in planned.moments]
    parts += [_checked(one) for one in found if one is not driver]
    parts.append(("r.t <= ? AND (r.t_end IS NULL OR r.t_end > ?) AND NOT r.deleted", [t, t]))
    where = " AND ".join(f"({sql})" for sql, _ in parts)
    return Where(where, [arg for _, args in parts for arg in args])


def _ids(criterion: Criterion) -> frozenset[bytes | str]:
    ids = [unescape(value) for value in criterion.values]
    if not all(is_id(id) for id in ids):
        raise bad_value(criterion.given, "an id has 1 to 64 letters, digits, dots and dashes")
    return frozenset(pack(id) for id in ids)


def _last_updated(connection: apsw.Connection, criterion: Criterion) -> Condition:
    """A condition on `v`: instants never go back from a version to the next."""
    alternatives = []
    for value in criterion.values:
        try:
            prefix, low, high = date.bounds(value)
        except ValueError as failure:
            raise bad_value(criterion.given, str(failure)) from None
        alternatives.append(_on_v(connection, date.condition(prefix, low, high)))
    return Either(tuple(alternatives))


def _on_v(connection: apsw.Connection, condition: Condition) -> Condition:
    """A condition on the interval of lastUpdated as one on `v`."""
    if isinstance(condition, All):
        return All(tuple(_on_v(connection, part) for part in condition.parts))
    if isinstance(condition, Either):
        return Either(tuple(_on_v(connection, part) for part in condition.parts))
    assert isinstance(condition, Compare)
    instant_us = condition.value - (_INSTANT_US if condition.column == "high" else 0)
    if condition.operator in (">=", "<"):
        instant_us -= 1
    first_v = connection.execute(
        "SELECT first_v FROM commit_log WHERE instant_us > ? ORDER BY instant_us, t LIMIT 1",
        (instant_us,),
    ).get
    operator = ">=" if condition.operator in (">", ">=") else "<"
    return Compare("v", operator, _AFTER_ALL if first_v is None else first_v)


def _choose_driver(
    connection: apsw.Connection, found: Sequence[Alternatives]
) -> Alternatives | None:
    """The criterion with the fewest hot rows, of those that an index can seek."""
    candidates = [
        one for one in found if not one.excludes and all(probe.seekable for probe in one.probes)
    ]
    if len(candidates) < 2:
        return candidates[0] if candidates else None
    for cap in _CAPS:
        counts = [_count(connection, one.probes, cap) for one in candidates]
        if min(counts) < cap:
            break
    return candidates[counts.index(min(counts))]


def _count(connection: apsw.Connection, probes: Sequence[Probe], cap: int) -> int:
    total = 0
    for probe in probes:
        if total >= cap:
            break
        total += connection.execute(
            f"SELECT count(*) FROM ({probe.select()} LIMIT {cap})", probe.args
        ).get
    return min(total, cap)


def _all_of(probes: Sequence[Probe]) -> tuple[str, list[Any]]:
    if not probes:
        return "0", []
    selects = " UNION ALL ".join(probe.select() for probe in probes)
    return f"r.v IN ({selects})", [arg for probe in probes for arg in probe.args]


def _checked(alternatives: Alternatives) -> tuple[str, list[Any]]:
    sql = " OR ".join(probe.check("r.v") for probe in alternatives.probes) or "0"
    args = [arg for probe in alternatives.probes for arg in probe.args]
    return f"NOT ({sql})" if alternatives.excludes else sql, args
