"""Search parameters, as they came, to a query: what is asked, how it is sorted and paged.

https://hl7.org/fhir/R4/search.html. Nothing is widened in silence: a parameter that is not known
is named in `Query.ignored` (or refused, when strict); one that is known but has a modifier, chain
or value that is not supported is always refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from schemas.outcomes import error
from schemas.search_params import search_params
from schemas.structure import RESOURCE_TYPES
from storage.query.criterion import (
    ID,
    LAST_UPDATED,
    Criterion,
    Known,
    bad_value,
    criterion,
    require_ready,
)

DEFAULT_COUNT = 50
MAX_COUNT = 1000

_SORTED_KINDS = frozenset({"date", "string", "number", "quantity"})


@dataclass(frozen=True, slots=True)
class SortKey:
    """One key of `_sort`: a parameter, its kind as in `Criterion`, and its direction."""

    param: str
    kind: str
    descending: bool


@dataclass(frozen=True, slots=True)
class Query:
    """A parsed search. `total` is false when the caller does not want the matches counted."""

    resource_type: str
    criteria: tuple[Criterion, ...]
    sort: tuple[SortKey, ...]
    count: int
    total: bool
    cursor: str | None
    ignored: tuple[str, ...]


def parse(
    resource_type: str,
    params: Sequence[tuple[str, str]],
    *,
    strict: bool,
    known: Known = search_params,
) -> Query:
    """The query that the parameters make. Raises FhirError naming the parameter.

    `known` are the parameters that there are.
    """
    if resource_type not in RESOURCE_TYPES:
        raise error("unknown-type", f"{resource_type[:64]!r} is not a resource type of FHIR R4.")
    criteria: list[Criterion] = []
    ignored: list[str] = []
    control: dict[str, str] = {}
    for name, value in params:
        if name in ("_count", "_sort", "_total", "_cursor"):
            if control.setdefault(name, value) != value:
                raise error("invalid", f"{name} is given twice, with different values.", name)
            continue
        found = criterion(resource_type, name, value, known)
        if found is not None:
            criteria.append(found)
        elif strict:
            raise error(
                "not-supported",
                f"{name[:64]!r} is not a search parameter of {resource_type} here. "
                "The CapabilityStatement lists those that are.",
                name[:64],
            )
        elif name not in ignored:
            ignored.append(name)
    return Query(
        resource_type,
        tuple(criteria),
        _sort(resource_type, control.get("_sort"), known),
        _count(control.get("_count")),
        _total(control.get("_total")),
        control.get("_cursor"),
        tuple(ignored),
    )


def _sort(resource_type: str, text: str | None, params: Known) -> tuple[SortKey, ...]:
    if text is None:
        return ()
    keys = []
    for one in text.split(","):
        descending = one.startswith("-")
        name = one.removeprefix("-")
        known = params(resource_type).get(name)
        kind = name if name in (ID, LAST_UPDATED) else known.kind if known else ""
        if kind not in _SORTED_KINDS and kind not in (ID, LAST_UPDATED):
            raise error(
                "not-supported",
                f"Sorting {resource_type} by {name[:64]!r} is not supported: _sort takes _id, "
                "_lastUpdated and parameters of type date, string, number or quantity.",
                "_sort",
            )
        if known is not None:
            require_ready("_sort", known)
        keys.append(SortKey(name, kind, descending))
    return tuple(keys)


def _count(text: str | None) -> int:
    if text is None:
        return DEFAULT_COUNT
    if not (text.isascii() and text.isdigit()):
        raise bad_value("_count", "a number from 0 on is needed")
    return min(int(text[:9]), MAX_COUNT)


def _total(text: str | None) -> bool:
    if text not in (None, "none", "estimate", "accurate"):
        raise bad_value("_total", "none, estimate or accurate is needed")
    return text != "none"
