"""The searchset Bundle that answers a search (R4 search.html), links and notices included."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import quote_plus

from schemas.compartments import COMPARTMENTS
from schemas.outcomes import Issue, error, operation_outcome
from schemas.structure import RESOURCE_TYPES
from service.as_of import parse_at
from service.notices import notice
from service.own_references import with_relative
from service.representation import REPRESENTATION_PARAMETERS
from service.responses import bundle_bytes, include_entry, match_entry, outcome_entry
from storage.lake import Lake, Page, Scope

Params = list[tuple[str, str]]

ALL_TYPES = "*"

# What stands in an address as it is (RFC 3986 section 2.3): most ids, names and dates.
_UNRESERVED = re.compile(r"[A-Za-z0-9._~-]*")

_NOT_CRITERIA = REPRESENTATION_PARAMETERS | {"at", "_type"}


class Searchset(NamedTuple):
    """A searchset Bundle, and the headers that go with it."""

    body: bytes
    headers: dict[str, str]


class Place(NamedTuple):
    """Where an address below the FHIR base searches: `path`, and whether `_type` may narrow it."""

    path: str
    scope: Scope
    narrowed: bool = False


def of_type(resource_type: str) -> Place:
    """`/Observation`."""
    return Place(f"/{resource_type}", Scope((resource_type,)))


def of_system() -> Place:
    """`/?_type=Observation,Condition` (R4 http.html#vsearch)."""
    return Place("", Scope(), narrowed=True)


def of_compartment(compartment_type: str, id: str, member: str) -> Place:
    """`/Patient/1/Observation`, or `/Patient/1/*`. FhirError: `not-found`, `unknown-type`."""
    if compartment_type not in COMPARTMENTS:
        names = ", ".join(sorted(COMPARTMENTS))
        raise error(
            "not-found", f"There is nothing at this address: R4 has compartments of {names}."
        )
    if member != ALL_TYPES and member not in RESOURCE_TYPES:
        raise error("unknown-type", f"{member[:64]!r} is not a resource type of FHIR R4.")
    types = () if member == ALL_TYPES else (member,)
    scope = Scope(types, (compartment_type, id))
    return Place(f"/{compartment_type}/{id}/{member}", scope, narrowed=not types)


def searchset(
    lake: Lake, place: str | Place, params: Params, base: str, *, strict: bool = False
) -> Searchset:
    """The Bundle for `params`; what was not applied is told in an outcome entry.

    `place`: where is searched (a type's name: that type). `at` is taken from the parameters.
    `strict` refuses what is not supported (FhirError) instead.
    """
    if isinstance(place, str):
        place = of_type(place)
    at = parse_at([value for name, value in params if name == "at"])
    types = _types(place, params)
    criteria = [(n, value) for n, value in params if n not in _NOT_CRITERIA]
    if not place.narrowed:
        # Of one type already: not a parameter here.
        criteria += [(n, value) for n, value in params if n == "_type"]
    represented = [(n, value) for n, value in params if n in REPRESENTATION_PARAMETERS]
    asked = criteria
    if ("_summary", "count") in represented:
        asked = [pair for pair in criteria if pair[0] not in ("_count", "_total", "_sort")]
        asked += [("_count", "0"), ("_total", "accurate")]
    asked = with_relative(asked, base, lake)
    scope = Scope(types or place.scope.types, place.scope.compartment)
    page = lake.search(scope, asked, strict=strict, at=at)
    said = notice(lake, page.t, past=at is not None or any(n == "_cursor" for n, _ in params))
    narrowing = [("_type", ",".join(types))] if types else []
    kept = [(name, value) for name, value in criteria if name not in page.ignored]
    kept = [*narrowing, *kept, *represented]
    # The commit rather than the moment: the same for ever.
    pinned = [("at", str(page.t))] if at is not None else []
    links = _links(base + place.path, kept, pinned, page)
    entries = [match_entry(version, base) for version in page.versions]
    entries += [include_entry(version, base) for version in page.included]
    issues = [*_ignored(place, page.ignored), *page.issues, *said.issues]
    if issues:
        entries.append(outcome_entry(operation_outcome(issues)))
    body = bundle_bytes("searchset", entries, total=page.total, links=links)
    return Searchset(body, said.headers)


def _types(place: Place, params: Params) -> tuple[str, ...]:
    """The types that `_type` names. Raises FhirError `value`, `invalid`."""
    if not place.narrowed:
        return ()
    given = list(dict.fromkeys(value for name, value in params if name == "_type"))
    if not given:
        return ()
    if len(given) > 1:
        raise error("invalid", "_type is given twice, with different values.", "_type")
    types = tuple(dict.fromkeys(given[0].split(",")))
    if not all(one in RESOURCE_TYPES for one in types):
        raise error("value", "_type takes resource types of R4, separated by commas.", "_type")
    return types


def _links(address: str, kept: Params, pinned: Params, page: Page) -> list[tuple[str, str]]:
    applied = [(name, value) for name, value in kept if name != "_cursor"]
    links = [("self", _url(address, [*kept, *pinned]))]
    if page.next or page.previous:
        links.append(("first", _url(address, [*applied, *pinned])))
    if page.previous:
        links.append(("previous", _url(address, [*applied, ("_cursor", page.previous)])))
    if page.next:
        links.append(("next", _url(address, [*applied, ("_cursor", page.next)])))
    return links


def _url(address: str, params: Params) -> str:
    query = "&".join([f"{_quoted(name)}={_quoted(value)}" for name, value in params])
    return f"{address}?{query}" if query else address


def _quoted(text: str) -> str:
    """A text as a part of an address."""
    return text if _UNRESERVED.fullmatch(text) else quote_plus(text)


def _ignored(place: Place, names: Sequence[str]) -> list[Issue]:
    types = place.scope.types
    whose = f"{types[0]} here" if len(types) == 1 else "all types that are searched"
    return [
        Issue(
            "warning",
            "not-supported",
            f"{name[:64]!r} is not a search parameter of {whose} and was not "
            "applied: the result is wider than asked.",
            (name[:64],),
        )
        for name in names
    ]
