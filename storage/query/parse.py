"""Search parameters, as they came, to a query: what is asked, how it is sorted and paged.

https://hl7.org/fhir/R4/search.html. Nothing is widened in silence: a parameter that is not known
is named in `Query.ignored` (or refused, when strict); one that is known but has a modifier, chain
or value that is not supported is always refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from schemas.outcomes import Issue, error
from schemas.search_params import search_params
from schemas.structure import RESOURCE_TYPES
from storage.query.chains import Reading, node
from storage.query.criterion import Criterion, Known, bad_value, criterion
from storage.query.filter import FILTER, filter_node
from storage.query.include_text import INCLUDES, Include, include
from storage.query.limits import SearchLimits
from storage.query.meanings import Meanings
from storage.query.sort_text import SortKey, sort_keys
from storage.query.tree import InCompartment, Node

__all__ = [
    "CONTROL",
    "Criterion",
    "Part",
    "Query",
    "SortKey",
    "bad_value",
    "criterion",
    "parse",
    "parse_types",
]

CONTROL = ("_count", "_sort", "_total", "_cursor")

_TOTALS = ("none", "estimate", "accurate")


@dataclass(frozen=True, slots=True)
class Part:
    """What is asked of the resources of one type."""

    resource_type: str
    criteria: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Query:
    """A parsed search, over one type or several (`parts`).

    `total`: none, estimate or accurate, as asked for; empty when nothing was said. `issues`: what
    else the client should know.
    """

    parts: tuple[Part, ...]
    sort: tuple[SortKey, ...]
    count: int
    total: str
    cursor: str | None
    ignored: tuple[str, ...]
    includes: tuple[Include, ...] = ()
    issues: tuple[Issue, ...] = ()

    @property
    def resource_type(self) -> str:
        """The type of a search over one."""
        return self.parts[0].resource_type

    @property
    def criteria(self) -> tuple[Node, ...]:
        """The criteria of a search over one type."""
        return self.parts[0].criteria

    @property
    def counts(self) -> bool:
        """Whether the caller wants the matches counted."""
        return self.total != "none"


def parse(
    resource_type: str,
    params: Sequence[tuple[str, str]],
    *,
    strict: bool,
    known: Known = search_params,
    limits: SearchLimits | None = None,
) -> Query:
    """The query that the parameters make. Raises FhirError naming the parameter.

    `known` are the parameters that there are.
    """
    return parse_types([resource_type], params, strict=strict, known=known, limits=limits)


def parse_types(
    types: Sequence[str],
    params: Sequence[tuple[str, str]],
    *,
    strict: bool,
    known: Known = search_params,
    limits: SearchLimits | None = None,
    within: Sequence[InCompartment] = (),
    meanings: Meanings | None = None,
) -> Query:
    """The query over several types: its parameters are those that all of them have.

    `within`: for each type, the compartment that its resources must be in. `meanings`: what is kept
    of the same parameters and limits.
    """
    for resource_type in types:
        if resource_type not in RESOURCE_TYPES:
            raise error(
                "unknown-type", f"{resource_type[:64]!r} is not a resource type of FHIR R4."
            )
    limits = limits or SearchLimits()
    reading = Reading(known, limits)
    criteria: dict[str, list[Node]] = {resource_type: [] for resource_type in types}
    for resource_type, compartment in zip(types, within, strict=False):
        criteria[resource_type].append(compartment)
    ignored: list[str] = []
    control: dict[str, str] = {}
    includes: list[Include] = []
    for name, value in params:
        if name in CONTROL:
            if control.setdefault(name, value) != value:
                raise error("invalid", f"{name} is given twice, with different values.", name)
        elif name.partition(":")[0] in INCLUDES:
            includes += include(reading, types, name, value)
        elif not _add(reading, criteria, name, value, meanings):
            if strict:
                raise _unknown(types, name)
            if name not in ignored:
                ignored.append(name)
    count, issues = _count(control.get("_count"), limits)
    return Query(
        tuple(Part(resource_type, tuple(found)) for resource_type, found in criteria.items()),
        sort_keys(types, control.get("_sort"), known, limits),
        count,
        _total(control.get("_total")),
        control.get("_cursor"),
        tuple(ignored),
        tuple(dict.fromkeys(includes)),
        issues,
    )


def _add(
    reading: Reading,
    criteria: dict[str, list[Node]],
    name: str,
    value: str,
    meanings: Meanings | None,
) -> bool:
    """Add what a parameter asks of each type; false when one of them does not have it."""
    found: dict[str, Node] = {}
    for resource_type in criteria:
        one = None if meanings is None else meanings.node(resource_type, name, value)
        if one is None:
            if name == FILTER:
                one = filter_node(reading, resource_type, value)
            else:
                one = node(reading, resource_type, name, value)
            if one is None:
                return False
            if meanings is not None:
                meanings.keep_node(resource_type, name, value, one)
        found[resource_type] = one
    for resource_type, one in found.items():
        criteria[resource_type].append(one)
    return True


def _unknown(types: Sequence[str], name: str) -> Exception:
    if len(types) == 1:
        whose = f"{types[0]} here"
    else:
        whose = "all types that are searched"
    return error(
        "not-supported",
        f"{name[:64]!r} is not a search parameter of {whose}. "
        "The CapabilityStatement lists those that are.",
        name[:64],
    )


def _count(text: str | None, limits: SearchLimits) -> tuple[int, tuple[Issue, ...]]:
    if text is None:
        return min(limits.default_count, limits.max_count), ()
    if not (text.isascii() and text.isdigit()):
        raise bad_value("_count", "a number from 0 on is needed")
    count = int(text[:9])
    if count <= limits.max_count:
        return count, ()
    said = (
        f"A page has at most {limits.max_count:,} matches (setting search_max_count); "
        "the next link leads to the others."
    )
    return limits.max_count, (Issue("information", "informational", said, ("_count",)),)


def _total(text: str | None) -> str:
    if text is not None and text not in _TOTALS:
        raise bad_value("_total", "none, estimate or accurate is needed")
    return text or ""
