"""From the tree of a search to what its two tiers are asked: probes, ids and moments.

The cost of a search should follow the number of its matches, not the size of the lake. Among hot
versions, the criterion with the fewest index rows is looked up as a whole, and each version found
is checked against the others by key; which criterion that is, capped counts tell. Flushed versions
are answered from blocks (`storage.query.flushed`).
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import apsw

from schemas.ids import is_id
from storage import index
from storage.index import date
from storage.index.condition import All, Compare, Condition, Either
from storage.index.membership import Among, TextSet
from storage.index.probe import Probe
from storage.packed_ids import unpack
from storage.query.alternatives import Alternatives, alternatives
from storage.query.canonical import Canonical, names
from storage.query.code_sets import CodeSets
from storage.query.compared import compared
from storage.query.conditions import (
    Every,
    Holds,
    Ids,
    Moments,
    Not,
    Some,
    among_ids,
    checked,
)
from storage.query.criterion import Criterion, bad_value
from storage.query.escapes import unescape
from storage.query.meanings import Meanings
from storage.query.tree import (
    AllOf,
    AnyOf,
    Chain,
    Compared,
    InCompartment,
    InHierarchy,
    InList,
    Node,
    NotOf,
    Reverse,
)

# First look for a criterion with few rows; when all have many, look further before choosing.
_CAPS = (1_000, 30_000)

# A criterion with so few rows drives, whatever the others have.
_FEW_ROWS = 50

# Up to here, hot versions are gone through rather than many ids looked up.
_FEW_HOT = 500

# lastUpdated is written in milliseconds; the interval it stands for is one of them.
_INSTANT_US = 1_000

_AFTER_ALL = 2**63 - 1

# Ids up to here are looked up one by one; more are compared with those of all candidates.
FEW_IDS = 2_000

Find = Callable[[str], int | None]


@dataclass(slots=True)
class Plan:
    """What must hold of a version of the type: every one of these.

    `type_number` is None when there is no resource of the type. `ids`: when given, the resource is
    one of them. `moments`: of its `v`. `compounds`: what is neither.
    """

    type_number: int | None
    alternatives: list[Alternatives] = field(default_factory=list)
    moments: list[Condition] = field(default_factory=list)
    ids: TextSet | None = None
    compounds: list[Holds] = field(default_factory=list)

    @property
    def few_ids(self) -> TextSet | None:
        """The ids, when they are few enough to begin with."""
        return self.ids if self.ids is not None and len(self.ids) <= FEW_IDS else None


@dataclass(slots=True)
class Where:
    """A WHERE clause over `version r`, with its arguments."""

    sql: str
    args: list[Any]


NOWHERE = Where("0", [])
"""No hot version matches: it need not be asked for."""


@dataclass(frozen=True, slots=True)
class Joins:
    """Answers what a plan needs to know of other resources: of which each is current at `t`.

    `matching(type, node)`: the ids of those that a node holds of, and for canonical references
    their URLs. `named(type, param, node, target_type)`: the ids of the resources of the target type
    that they name by a reference parameter. `entries(list ids, type)`: those in Lists.
    `hierarchy(type, node)`: those above or below some.
    """

    matching: Callable[[str, str, Node], tuple[TextSet, tuple[Canonical, ...]]]
    named: Callable[[str, Reverse], TextSet]
    entries: Callable[[str, InList], TextSet]
    hierarchy: Callable[[str, InHierarchy], TextSet]


class Planner:
    """Plans of one search's types."""

    def __init__(
        self,
        connection: apsw.Connection,
        find: Find,
        joins: Joins,
        meanings: Meanings,
        codes: CodeSets | None = None,
    ) -> None:
        """`find` gives the number of a text, None when no row can have it."""
        self._meanings = meanings
        self._connection = connection
        self._codes = codes
        self._find = find
        self._joins = joins

    def plan(self, resource_type: str, nodes: Sequence[Node]) -> Plan:
        """What the nodes ask of resources of a type. Raises FhirError for bad values."""
        planned = Plan(self._find(resource_type))
        for node in nodes:
            self._add(planned, self.holds(resource_type, node))
        return planned

    def planned(self, resource_type: str, found: Holds) -> Plan:
        """The plan of resources of a type of which a node holds."""
        planned = Plan(self._find(resource_type))
        self._add(planned, found)
        return planned

    def _add(self, planned: Plan, found: Holds) -> None:
        if isinstance(found, Every):
            for part in found.parts:
                self._add(planned, part)
        elif isinstance(found, Ids):
            planned.ids = found.ids if planned.ids is None else planned.ids.both(found.ids)
        elif isinstance(found, Moments):
            planned.moments.append(found.condition)
        elif isinstance(found, Alternatives):
            planned.alternatives.append(found)
        else:
            planned.compounds.append(found)

    def holds(self, resource_type: str, node: Node) -> Holds:
        """One node of the tree, its joins worked out."""
        if isinstance(node, Criterion):
            return self._criterion(resource_type, node)
        if isinstance(node, Compared):
            return compared(self._find, resource_type, node)
        if isinstance(node, AllOf):
            return Every(tuple(self.holds(resource_type, part) for part in node.parts))
        if isinstance(node, AnyOf):
            return Some(tuple(self.holds(resource_type, part) for part in node.parts))
        if isinstance(node, NotOf):
            return Not(self.holds(resource_type, node.part))
        if isinstance(node, Chain):
            return self._chain(resource_type, node)
        if isinstance(node, Reverse):
            return Ids(self._joins.named(resource_type, node))
        if isinstance(node, InHierarchy):
            return Ids(self._joins.hierarchy(resource_type, node))
        if isinstance(node, InList):
            return Ids(self._joins.entries(resource_type, node))
        return self._compartment(resource_type, node)

    def _criterion(self, resource_type: str, criterion: Criterion) -> Holds:
        if criterion.kind == "_id":
            return Ids(_ids(criterion))
        if criterion.kind == "_lastUpdated":
            return Moments(_last_updated(self._connection, criterion))
        known = self._meanings.asked(resource_type, criterion)
        if known is not None:
            return known
        found = alternatives(self._find, resource_type, criterion, self._codes)
        self._meanings.keep_asked(resource_type, criterion, found)
        return found[0] if len(found) == 1 else Every(tuple(found))

    def _chain(self, resource_type: str, chain: Chain) -> Holds:
        probes: list[Probe] = []
        by_url: list[Holds] = []
        for link in chain.links:
            p = self._find(index.param_key(resource_type, link.param))
            number = self._find(link.target_type)
            if p is None or number is None:
                # Nothing refers so, or there is nothing to refer to; bad values are refused still.
                self.holds(link.target_type, link.inner)
                continue
            ids, canonicals = self._joins.matching(chain.given, link.target_type, link.inner)
            probes += references(p, ids, number)
            by_url += [holds for one in canonicals for holds in names(p, one)]
        return Some((Alternatives(probes), *by_url)) if by_url else Alternatives(probes)

    def _compartment(self, resource_type: str, node: InCompartment) -> Holds:
        number = self._find(node.compartment_type)
        probes: list[Probe] = []
        for name in node.params if number is not None else ():
            p = self._find(index.param_key(resource_type, name))
            if p is not None:
                probes += references(p, TextSet.of([node.compartment_id]), number or 0)
        found = Alternatives(probes)
        if not node.itself:
            return found
        return Some((found, Ids(TextSet.of([node.compartment_id]))))


def references(p: int, ids: TextSet, type_number: int) -> list[Probe]:
    """Probes for references of a parameter to resources of a type."""
    if not len(ids):
        return []
    of_type = Compare("type", "=", type_number)
    if len(ids) == 1:
        return [Probe("reference", p, All((Compare("target", "=", ids.strings[0]), of_type)))]
    return [Probe("reference", p, All((Among("target", ids), of_type)), by_version=False)]


def hot_matches(connection: apsw.Connection, planned: Plan, t: int, flushed_v: int) -> Where:
    """The hot versions that match as of `t`: those of the type after `flushed_v`, or `NOWHERE`."""
    if planned.type_number is None or (planned.ids is not None and not len(planned.ids)):
        return NOWHERE
    found = planned.alternatives
    ids = planned.ids
    if ids is not None and len(ids) > _FEW_ROWS:
        ids = _hot_ones(connection, planned.type_number, ids, flushed_v)
        if not len(ids):
            return NOWHERE
    few = ids if ids is not None and len(ids) <= FEW_IDS else None
    driver = versions = None
    if few is None:
        driver, versions = _choose_driver(connection, found)
        if versions == []:
            return NOWHERE
    parts: list[tuple[str, Sequence[Any]]] = []
    # The unary plus keeps SQLite from preferring an index by type, or the range of v, to the
    # driver or the ids.
    free = "" if driver is None and few is None else "+"
    if versions is not None:
        parts.append(("r.v IN (SELECT value FROM carray(?))", [apsw.carray(array("q", versions))]))
    elif driver is not None:
        parts.append(_all_of(driver.probes))
    parts.append((f"{'' if few is not None else free}r.type = ?", [planned.type_number]))
    if few is not None:
        parts.append(among_ids("r.id", few))
    parts.append((f"{free}r.v > ?", [flushed_v]))
    parts += [moment.sql({"v": f"{free}r.v"}) for moment in planned.moments]
    parts += [checked(one) for one in found if one is not driver]
    parts += [checked(one) for one in planned.compounds]
    if ids is not None and few is None:
        parts.append(among_ids("+r.id", ids))
    parts.append(("r.t <= ? AND (r.t_end IS NULL OR r.t_end > ?) AND NOT r.deleted", [t, t]))
    where = " AND ".join(f"({sql})" for sql, _ in parts)
    return Where(where, [arg for _, args in parts for arg in args])


def _ids(criterion: Criterion) -> TextSet:
    ids = [unescape(value) for value in criterion.values]
    if not all(is_id(id) for id in ids):
        raise bad_value(criterion.given, "an id has 1 to 64 letters, digits, dots and dashes")
    return TextSet.of(ids)


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
) -> tuple[Alternatives | None, list[int] | None]:
    """The criterion with the fewest hot rows, of those that an index can seek.

    And the versions that have them, where they are few; `[]` when one has no row.
    """
    candidates = [
        one for one in found if not one.excludes and all(probe.seekable for probe in one.probes)
    ]
    # A reference to one resource, such as a patient, leads to few.
    candidates.sort(key=_is_no_reference)
    for one in candidates:
        versions = _few_versions(connection, one.probes)
        if versions is not None:
            return one, versions
    if len(candidates) <= 1:
        return (candidates[0] if candidates else None), None
    for cap in _CAPS:
        counts = [_count(connection, one.probes, cap) for one in candidates]
        if min(counts) < cap:
            break
    return candidates[counts.index(min(counts))], None


def _few_versions(connection: apsw.Connection, probes: Sequence[Probe]) -> list[int] | None:
    """The hot versions that have what one of the probes asks for; None when there are many."""
    found: set[int] = set()
    for probe in probes:
        rows: list[Any] = connection.execute(
            f"{probe.select()} LIMIT {_FEW_ROWS}", probe.args
        ).fetchall()
        if len(rows) >= _FEW_ROWS or len(found) >= _FEW_ROWS:
            return None
        found.update(v for (v,) in rows)
    return sorted(found)


def _is_no_reference(one: Alternatives) -> bool:
    return not one.probes or one.probes[0].kind != "reference" or not one.probes[0].of_one_text


def _hot_ones(
    connection: apsw.Connection, type_number: int, ids: TextSet, flushed_v: int
) -> TextSet:
    """Those of the ids that have hot versions, where these are fewer; else all."""
    most = min(len(ids), _FEW_HOT)
    hot: list[Any] = connection.execute(
        "SELECT id FROM version WHERE type = ? AND v > ? LIMIT ?",
        (type_number, flushed_v, most + 1),
    ).fetchall()
    if len(hot) > most:
        return ids
    return TextSet.of(id for id in {unpack(key) for (key,) in hot} if id in ids)


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
