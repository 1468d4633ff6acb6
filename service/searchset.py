"""The searchset Bundle that answers a search (R4 search.html), links and notices included."""

from __future__ import annotations

from typing import Any, NamedTuple
from urllib.parse import urlencode

from schemas.outcomes import Issue, operation_outcome
from service.as_of import parse_at
from service.notices import notice
from service.representation import REPRESENTATION_PARAMETERS
from service.responses import bundle_bytes, match_entry, outcome_entry
from storage.lake import Lake

Params = list[tuple[str, str]]

_NOT_CRITERIA = REPRESENTATION_PARAMETERS | {"at"}


class Searchset(NamedTuple):
    """A searchset Bundle, and the headers that go with it."""

    body: bytes
    headers: dict[str, str]


def searchset(
    lake: Lake, resource_type: str, params: Params, base: str, *, strict: bool = False
) -> Searchset:
    """The Bundle for `params`; what was not applied is told in an outcome entry.

    `at` is taken from them. `strict` refuses what is not supported (FhirError) instead.
    """
    at = parse_at([value for name, value in params if name == "at"])
    criteria = [(name, value) for name, value in params if name not in _NOT_CRITERIA]
    represented = [(n, value) for n, value in params if n in REPRESENTATION_PARAMETERS]
    if ("_summary", "count") in represented:
        criteria = [(name, value) for name, value in criteria if name != "_count"]
        criteria.append(("_count", "0"))
    page = lake.search(resource_type, criteria, strict=strict, at=at)
    said = notice(lake, page.t, past=at is not None or any(n == "_cursor" for n, _ in params))
    kept = [(name, value) for name, value in criteria if name not in page.ignored] + represented
    # The commit rather than the moment: the same for ever.
    pinned = [("at", str(page.t))] if at is not None else []
    links = [("self", _link(base, resource_type, [*kept, *pinned]))]
    if page.next:
        applied = [(name, value) for name, value in kept if name != "_cursor"]
        links.append(("next", _link(base, resource_type, [*applied, ("_cursor", page.next)])))
    entries = [match_entry(version, base) for version in page.versions]
    if page.ignored:
        entries.append(outcome_entry(_ignored(resource_type, page.ignored)))
    if said.outcome is not None:
        entries.append(outcome_entry(said.outcome))
    body = bundle_bytes("searchset", entries, total=page.total, links=links)
    return Searchset(body, said.headers)


def _link(base: str, resource_type: str, params: Params) -> str:
    query = urlencode(params)
    return f"{base}/{resource_type}?{query}" if query else f"{base}/{resource_type}"


def _ignored(resource_type: str, names: list[str]) -> dict[str, Any]:
    return operation_outcome(
        [
            Issue(
                "warning",
                "not-supported",
                f"{name[:64]!r} is not a search parameter of {resource_type} here and was not "
                "applied: the result is wider than asked.",
                (name[:64],),
            )
            for name in names
        ]
    )
