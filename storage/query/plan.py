"""From a query to SQL: one criterion drives, the others are checked version by version.

The cost of a search should follow the number of its matches, not the size of the lake. So the
criterion with the fewest index rows is looked up as a whole, and each version found is checked
against the others by key. Which criterion that is, capped counts tell.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import apsw

from schemas.ids import is_id
from storage import index
from storage.index import date
from storage.index.probe import Probe
from storage.packed_ids import pack
from storage.query.escapes import unescape
from storage.query.parse import Criterion, Query, bad_value
from storage.terms import Terms

# First look for a criterion with few rows; when all have many, look further before choosing.
_CAPS = (1_000, 30_000)

# lastUpdated is written in milliseconds; the interval it stands for is one of them.
_INSTANT_US = 1_000


@dataclass
class Condition:
    """A part of a WHERE clause with its arguments, over `version r` and `commit_log c`."""

    sql: str
    args: list[Any] = field(default_factory=list)


@dataclass
class Plan:
    """The WHERE clause of a query; `needs_commit` when it uses the commit log's columns."""

    where: str
    args: list[Any]
    needs_commit: bool


@dataclass
class _Alternatives:
    """The probes of one criterion (any may match), and whether a match excludes."""

    probes: list[Probe]
    excludes: bool = False


def plan(connection: apsw.Connection, terms: Terms, query: Query, t: int) -> Plan:
    """The WHERE clause for the matches of `query` as of `t`. Raises FhirError for bad values."""
    type_number = terms.find(connection, query.resource_type)
    if type_number is None:
        _check_values(query)
        return Plan("0", [], False)
    conditions: list[Condition] = []
    found: list[_Alternatives] = []
    has_ids = needs_commit = False
    for criterion in query.criteria:
        if criterion.kind == "_id":
            conditions.append(_ids(criterion))
            has_ids = True
        elif criterion.kind == "_lastUpdated":
            conditions.append(_last_updated(criterion))
            needs_commit = True
        else:
            found.append(_alternatives(connection, terms, query.resource_type, criterion))
    driver = None if has_ids else _choose_driver(connection, found)
    # The unary plus keeps SQLite from preferring the index by type to the driver.
    type_column = "r.type" if driver is None else "+r.type"
    conditions.insert(0, Condition(f"{type_column} = ?", [type_number]))
    for alternatives in found:
        if alternatives is driver:
            conditions.insert(0, _all_of(alternatives.probes))
        else:
            conditions.append(_checked(alternatives))
    conditions.append(
        Condition("r.t <= ? AND (r.t_end IS NULL OR r.t_end > ?) AND NOT r.deleted", [t, t])
    )
    where = " AND ".join(f"({condition.sql})" for condition in conditions)
    args = [arg for condition in conditions for arg in condition.args]
    return Plan(where, args, needs_commit)


def _check_values(query: Query) -> None:
    """Refuse bad values also where there is nothing to search."""
    for criterion in query.criteria:
        if criterion.kind == "_id":
            _ids(criterion)
        elif criterion.kind == "_lastUpdated":
            _last_updated(criterion)
        else:
            _probes(criterion, 0, lambda _text: None)


def _ids(criterion: Criterion) -> Condition:
    ids = [unescape(value) for value in criterion.values]
    if not all(is_id(id) for id in ids):
        raise bad_value(criterion.given, "an id has 1 to 64 letters, digits, dots and dashes")
    return Condition(f"r.id IN ({', '.join('?' * len(ids))})", [pack(id) for id in ids])


def _last_updated(criterion: Criterion) -> Condition:
    alternatives = []
    for value in criterion.values:
        try:
            prefix, low, high = date.bounds(value)
        except ValueError as failure:
            raise bad_value(criterion.given, str(failure)) from None
        alternatives.append((prefix, low, high))
    parts: list[str] = []
    args: list[Any] = []
    for prefix, low, high in alternatives:
        sql, bounds = date.condition(prefix, low, high)
        sql = sql.replace("low", "c.instant_us").replace("high", f"c.instant_us + {_INSTANT_US}")
        parts.append(f"({sql})")
        args.extend(bounds)
    condition = Condition(" OR ".join(parts), args)
    prefix, low, high = alternatives[0]
    if len(alternatives) == 1 and prefix in ("eq", "gt", "ge", "sa"):
        # Instants grow with v: begin at the first commit that can match.
        condition.sql = (
            "r.v >= ifnull((SELECT first_v FROM commit_log WHERE instant_us > ? "
            f"ORDER BY instant_us, t LIMIT 1), {2**63 - 1}) AND ({condition.sql})"
        )
        condition.args.insert(0, (low if prefix in ("eq", "ge") else high) - _INSTANT_US)
    return condition


def _alternatives(
    connection: apsw.Connection, terms: Terms, resource_type: str, criterion: Criterion
) -> _Alternatives:
    find = partial(terms.find, connection)
    p = find(index.param_key(resource_type, criterion.param))
    if criterion.modifier == "missing":
        names = [(criterion.kind, criterion.param)]
        if criterion.kind == "reference":
            names.append(("token", criterion.param + ":identifier"))
        present = []
        for kind, name in names:
            number = find(index.param_key(resource_type, name))
            if number is not None:
                present.append(index.BY_TYPE[kind].present(number))
        return _Alternatives(present, excludes=criterion.values == ("true",))
    probes = _probes(criterion, p if p is not None else 0, find)
    return _Alternatives(probes if p is not None else [], excludes=criterion.modifier == "not")


def _probes(criterion: Criterion, p: int, find: Any) -> list[Probe]:
    if criterion.modifier == "missing":
        return []
    table = index.BY_TYPE[criterion.kind]
    arguments: dict[str, str] = {}
    if criterion.kind == "reference" and criterion.modifier:
        arguments["resource_type"] = criterion.modifier
    elif criterion.modifier and criterion.modifier != "not":
        arguments["modifier"] = criterion.modifier
    probes: list[Probe] = []
    for value in criterion.values:
        try:
            probes += table.probes(p, value, find, **arguments)
        except ValueError as failure:
            raise bad_value(criterion.given, str(failure)) from None
    return probes


def _choose_driver(
    connection: apsw.Connection, found: Sequence[_Alternatives]
) -> _Alternatives | None:
    """The criterion with the fewest rows, of those that an index can seek."""
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


def _all_of(probes: Sequence[Probe]) -> Condition:
    if not probes:
        return Condition("0")
    selects = " UNION ALL ".join(probe.select() for probe in probes)
    return Condition(f"r.v IN ({selects})", [arg for probe in probes for arg in probe.args])


def _checked(alternatives: _Alternatives) -> Condition:
    parts: list[str] = []
    args: list[Any] = []
    for probe in alternatives.probes:
        parts.append(probe.check("r.v"))
        args.extend(probe.args)
    sql = " OR ".join(parts) or "0"
    return Condition(f"NOT ({sql})" if alternatives.excludes else sql, args)
