"""One criterion of a search: a parameter, its modifier and its alternatives, still as text.

https://hl7.org/fhir/R4/search.html. One that is known but has a modifier or value that is not
supported is always refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from schemas.outcomes import FhirError, error
from schemas.search_params import SearchParam, expression_branches, search_params
from schemas.structure import RESOURCE_TYPES
from schemas.value_converters import OF_TYPE
from storage.index import TEXT
from storage.query.escapes import split

Known = Callable[[str], Mapping[str, SearchParam]]
"""The parameters of a resource type, by code: R4's own and those that a lake has besides."""

ID, LAST_UPDATED = "_id", "_lastUpdated"

# SQLite takes 500 SELECTs in a row, and one alternative can be three of them.
_MAX_ALTERNATIVES = 150
_MAX_IDS = 1000
CODE_SETS = frozenset({"in", "not-in", "below", "above"})
"""Modifiers of tokens that mean sets of codes, see `storage.query.code_sets`."""

_MODIFIERS: dict[str, frozenset[str]] = {
    "token": frozenset({"not", "text", "of-type", *CODE_SETS}),
    "string": frozenset({"exact", "contains"}),
    "uri": frozenset({"below", "above"}),
    "reference": frozenset({"identifier", "below", "above"}),
}

OF_RELATED = ("below", "above")
"""Modifiers that look at what is related: versions, or what is part of what."""


@dataclass(frozen=True, slots=True)
class Criterion:
    """One parameter: any of `values` (still escaped) must match; a repeated one is another.

    `kind` is the index table that answers it, or `_id`, `_lastUpdated`; `param` the name under
    which its values are indexed; `given` the name as it came; `defined` what defines it, None for
    `_id` and `_lastUpdated`.
    """

    given: str
    param: str
    kind: str
    modifier: str
    values: tuple[str, ...]
    defined: SearchParam | None = None


def bad_value(given: str, reason: str) -> FhirError:
    """The error for a value that a parameter cannot have; the value itself is not repeated."""
    return error("value", f"The value of {given[:64]!r} cannot be used: {reason}.", given[:64])


def criterion(
    resource_type: str, given: str, value: str, known_params: Known = search_params
) -> Criterion | None:
    """The criterion of a parameter without a chain; None when the type has no such parameter.

    Raises FhirError for a modifier or value that it cannot have.
    """
    name, _, modifier = given.partition(":")
    name, dot, _ = name.partition(".")
    known = known_params(resource_type)
    if name not in known and name not in (ID, LAST_UPDATED):
        return None
    if dot or "." in modifier:
        raise unsupported(given, "chained parameters are not supported")
    values = tuple(split(value, ","))
    most = _MAX_IDS if name == ID else _MAX_ALTERNATIVES
    if len(values) > most:
        raise bad_value(given, f"it has more than {most} alternatives")
    if "" in values:
        raise bad_value(given, "it is empty, or has an empty alternative")
    if name in (ID, LAST_UPDATED):
        if modifier:
            raise unsupported(given, "it has no modifiers")
        return Criterion(given, name, name, "", values)
    found = known[name]
    require_ready(given, found)
    if modifier == "missing":
        if values not in (("true",), ("false",)):
            raise bad_value(given, "true or false is needed")
        return Criterion(given, name, found.kind, modifier, values, found)
    if modifier and modifier not in _MODIFIERS.get(found.kind, ()):
        if found.type != "reference" or modifier not in RESOURCE_TYPES:
            raise unsupported(given, f"a {found.type} parameter has no such modifier here")
        if found.targets and modifier not in found.targets:
            raise unsupported(given, f"it never refers to {modifier}")
    if modifier == "identifier":
        return Criterion(given, given, "token", "", values, found)
    if modifier == "text":
        return Criterion(given, name + TEXT, "string", "", values, found)
    if modifier == "of-type":
        return Criterion(given, name + OF_TYPE, "token", modifier, values, found)
    return Criterion(given, name, found.kind, modifier, values, found)


def is_canonical(param: SearchParam) -> bool:
    """Whether a reference parameter has canonicals among its values."""
    try:
        branches = expression_branches(param.expression, param.base)
    except ValueError:  # What the whole of FHIRPath finds is known when it is found.
        return True
    return any(branch.type in ("canonical", "uri") for branch in branches)


def require_ready(given: str, param: SearchParam) -> None:
    """Refuse (`unavailable`) a parameter by which what is stored is not indexed yet."""
    if param.pending is not None:
        raise error(
            "unavailable",
            f"{given[:64]!r} cannot be searched by yet: {param.pending()}.",
            given[:64],
        )


def unsupported(given: str, reason: str) -> FhirError:
    """The error for a parameter that is known but cannot be applied as it was given."""
    return error("not-supported", f"{given[:64]!r} was not applied: {reason}.", given[:64])
