"""A page of a listing (`storage.listing`) as a searchset Bundle, with the links of its pages."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlencode

from fastapi import Request
from starlette.responses import Response

from schemas.outcomes import Issue, error, operation_outcome
from service.as_of import parse_at, view_at
from service.context import Context
from service.notices import notice
from service.operations.arguments import Arguments
from service.representation import holder_of
from service.responses import bundle_bytes, fhir_bytes, include_entry, match_entry, outcome_entry
from service.whole_number import whole_number
from storage import audit_trail
from storage.listing import Question

DEFAULT_COUNT = 1000
MAX_COUNT = 1000

PAGING = ("_count", "_cursor", "at")
"""Parameters of every operation that answers with pages."""


def listing_response(
    ctx: Context,
    request: Request,
    address: str,
    question: Question,
    given: Arguments,
    issues: Sequence[Issue] = (),
) -> Response:
    """The page of the answer that `_count`, `_cursor` and `at` ask for.

    `address`: of the operation, below the FHIR base. `issues` are told in an outcome entry. What
    is read to find the answer is not recorded as given out; the resources of the page are counted,
    and their patients listed. Raises FhirError naming the parameter.
    """
    count, cursor, at = _count(given), given.text("_cursor"), parse_at(given.text("at"))
    trail = audit_trail.current()
    if trail is not None:
        trail.lists_entities = False
    with view_at(ctx.lake, at) as (view, _):
        page = view.listing(question, count=count, cursor=cursor)
    if trail is not None:
        trail.parameters = tuple(sorted(given.given))  # Its own, not those of our searches.
    said = notice(ctx.lake, page.t, past=at is not None or cursor is not None)
    base = ctx.base(request)
    here = f"{base}/{address}"
    kept = [
        (name, text)
        for name in sorted(given.given - {"_cursor", "at"})
        for text in given.spelled(name)
    ]
    kept += holder_of(request).asked.parameters
    links = [("self", _link(here, [*kept, ("at", str(page.t))] if at is not None else kept))]
    if page.next:
        links.append(("next", _link(here, [*kept, ("_cursor", page.next)])))
    entries = [match_entry(version, base) for version in page.versions]
    entries += [include_entry(version, base) for version in page.included]
    told = [*issues, *([_withheld(page.withheld)] if page.withheld else []), *said.issues]
    if told:
        entries.append(outcome_entry(operation_outcome(told)))
    body = bundle_bytes("searchset", entries, total=page.total, links=links)
    return fhir_bytes(body, 200, **said.headers)


def _count(given: Arguments) -> int:
    text = given.text("_count")
    if text is None:
        return DEFAULT_COUNT
    count = whole_number(text)
    if count is None:
        raise error("value", "_count is a whole number from 0 on.", "_count")
    return min(count, MAX_COUNT)


def _withheld(count: int) -> Issue:
    return Issue(
        "information",
        "suppressed",
        f"This answer refers to {count} resources that are of other patients; they are left out.",
    )


def _link(address: str, params: Sequence[tuple[str, str]]) -> str:
    query = urlencode(params)
    return f"{address}?{query}" if query else address
