"""Search parameters, as they came, to a query: what is asked, how it is sorted and paged.

https://hl7.org/fhir/R4/search.html. Nothing is widened in silence: a parameter that is not known
is named in `Query.ignored` (or refused, when strict); one that is known but has a modifier, chain
or value that is not supported is always refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from schemas.outcomes import FhirError, error
from schemas.search_params import search_params
from schemas.structure import RESOURCE_TYPES
from storage.index import TEXT
from storage.query.escapes import split

DEFAULT_COUNT = 50
MAX_COUNT = 1000

# SQLite takes 500 SELECTs in a row, and one alternative can be three of them.
_MAX_ALTERNATIVES = 150
_MAX_IDS = 1000
_ID, _LAST_UPDATED = "_id", "_lastUpdated"
_SORTED_KINDS = frozenset({"date", "string", "number", "quantity"})
_MODIFIERS: dict[str, frozenset[str]] = {
    "token": frozenset({"not", "text"}),
    "string": frozenset({"exact", "contains"}),
    "uri": frozenset({"below", "above"}),
    "reference": frozenset({"identifier"}),
}


@dataclass(frozen=True, slots=True)
class Criterion:
    """One parameter: any of `values` (still escaped) must match; a repeated one is another.

    `kind` is the index table that answers it, or `_id`, `_lastUpdated`; `param` the name under
    which its values are indexed; `given` the name as it came.
    """

    given: str
    param: str
    kind: str
    modifier: str
    values: tuple[str, ...]


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


def parse(resource_type: str, params: Sequence[tuple[str, str]], *, strict: bool) -> Query:
    """The query that the parameters make. Raises FhirError naming the parameter."""
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
        criterion = _criterion(resource_type, name, value)
        if criterion is not None:
            criteria.append(criterion)
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
        _sort(resource_type, control.get("_sort")),
        _count(control.get("_count")),
        _total(control.get("_total")),
        control.get("_cursor"),
        tuple(ignored),
    )


def bad_value(given: str, reason: str) -> FhirError:
    """The error for a value that a parameter cannot have; the value itself is not repeated."""
    return error("value", f"The value of {given[:64]!r} cannot be used: {reason}.", given[:64])


def _criterion(resource_type: str, given: str, value: str) -> Criterion | None:
    name, _, modifier = given.partition(":")
    name, dot, _ = name.partition(".")
    known = search_params(resource_type)
    if name not in known and name not in (_ID, _LAST_UPDATED):
        return None
    if dot or "." in modifier:
        raise _unsupported(given, "chained parameters are not supported")
    values = tuple(split(value, ","))
    most = _MAX_IDS if name == _ID else _MAX_ALTERNATIVES
    if len(values) > most:
        raise bad_value(given, f"it has more than {most} alternatives")
    if "" in values:
        raise bad_value(given, "it is empty, or has an empty alternative")
    if name in (_ID, _LAST_UPDATED):
        if modifier:
            raise _unsupported(given, "it has no modifiers")
        return Criterion(given, name, name, "", values)
    found = known[name]
    if modifier == "missing":
        if values not in (("true",), ("false",)):
            raise bad_value(given, "true or false is needed")
        return Criterion(given, name, found.type, modifier, values)
    if modifier and modifier not in _MODIFIERS.get(found.type, ()):
        if found.type != "reference" or modifier not in RESOURCE_TYPES:
            raise _unsupported(given, f"a {found.type} parameter has no such modifier here")
        if found.targets and modifier not in found.targets:
            raise _unsupported(given, f"it never refers to {modifier}")
    if modifier == "identifier":
        return Criterion(given, given, "token", "", values)
    if modifier == "text":
        return Criterion(given, name + TEXT, "string", "", values)
    return Criterion(given, name, found.type, modifier, values)


def _unsupported(given: str, reason: str) -> FhirError:
    return error("not-supported", f"{given[:64]!r} was not applied: {reason}.", given[:64])


def _sort(resource_type: str, text: str | None) -> tuple[SortKey, ...]:
    if text is None:
        return ()
    keys = []
    for one in text.split(","):
        descending = one.startswith("-")
        name = one.removeprefix("-")
        known = search_params(resource_type).get(name)
        kind = name if name in (_ID, _LAST_UPDATED) else known.type if known else ""
        if kind not in _SORTED_KINDS and kind not in (_ID, _LAST_UPDATED):
            raise error(
                "not-supported",
                f"Sorting {resource_type} by {name[:64]!r} is not supported: _sort takes _id, "
                "_lastUpdated and parameters of type date, string, number or quantity.",
                "_sort",
            )
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
