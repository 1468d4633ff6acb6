"""The searchset Bundle that answers a search (R4 search.html), links and notices included."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from schemas.outcomes import Issue, operation_outcome
from service.responses import bundle_bytes, match_entry, outcome_entry
from storage.lake import Lake

Params = list[tuple[str, str]]

_NOT_CRITERIA = frozenset({"_format", "_pretty"})


def searchset(
    lake: Lake, resource_type: str, params: Params, base: str, *, strict: bool = False
) -> bytes:
    """The Bundle for `params`; what was not applied is told in an outcome entry.

    `strict` refuses what is not supported (FhirError) instead.
    """
    criteria = [(name, value) for name, value in params if name not in _NOT_CRITERIA]
    page = lake.search(resource_type, criteria, strict=strict)
    kept = [(name, value) for name, value in criteria if name not in page.ignored]
    links = [("self", _link(base, resource_type, kept))]
    if page.next:
        applied = [(name, value) for name, value in kept if name != "_cursor"]
        links.append(("next", _link(base, resource_type, [*applied, ("_cursor", page.next)])))
    entries = [match_entry(version, base) for version in page.versions]
    if page.ignored:
        entries.append(outcome_entry(_ignored(resource_type, page.ignored)))
    return bundle_bytes("searchset", entries, total=page.total, links=links)


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
