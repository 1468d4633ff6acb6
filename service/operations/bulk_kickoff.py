"""Accepting a change of many resources: which ones, counted as of now, as a durable job."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fastapi import Request
from starlette.responses import Response

from schemas.ids import is_id, parse_reference
from schemas.outcomes import FhirError, error
from schemas.search_params import SearchParam
from schemas.structure import RESOURCE_TYPES
from service.context import Context
from service.operations.arguments import instant_of
from service.operations.jobs import accepted
from storage import audit_trail
from storage.jobs import VALUES
from storage.lake import LakeAt

Criteria = list[tuple[str, str]]
Search = tuple[str, Criteria]

MAX_IDS = 50_000
_IDS_AT_ONCE = 500
# Parameters of a page, or of what comes with it: they choose nothing that is to be changed.
_OF_RESULTS = frozenset(
    {"_sort", "_count", "_total", "_cursor", "_include", "_revinclude", "_contained",
     "_containedType", "_summary", "_elements", "_format", "_pretty", "at"}
)  # fmt: skip


def criteria_of(known: Mapping[str, SearchParam], given: Iterable[tuple[str, str]]) -> Criteria:
    """Search parameters, with `_since`, `start` and `end` as bounds of `_lastUpdated`.

    `known`: the search parameters of the type; where it has `start` or `end`, they are meant.
    Raises FhirError for parameters of results, which say nothing about what is to be changed.
    """
    found: Criteria = []
    for name, value in given:
        if name.partition(":")[0] in _OF_RESULTS:
            text = f"{name[:64]} does not say which resources are to be changed."
            raise error("not-supported", text, name[:64])
        if name == "_since" or (name == "start" and name not in known):
            found.append(("_lastUpdated", f"ge{instant_of(value, name).isoformat()}"))
        elif name == "end" and name not in known:
            found.append(("_lastUpdated", f"le{instant_of(value, name).isoformat()}"))
        else:
            found.append((name, value))
    return found


def types_of(names: Sequence[str]) -> list[str]:
    """The resource types in `_type`, each once. Raises FhirError `required`, `value`."""
    if not names:
        raise error(
            "required",
            "Say which types are meant (_type), or send it to the address of one: "
            "everything at once is not changed here.",
            "_type",
        )
    for name in names:
        if name not in RESOURCE_TYPES:
            raise error(
                "value", f"_type: {name[:64]!r} is not a resource type of FHIR R4.", "_type"
            )
    return list(dict.fromkeys(names))


def searches_by_id(references: Sequence[str], resource_type: str | None = None) -> list[Search]:
    """Searches for resources named one by one, `Type/id` or, of a known type, `id`."""
    if len(references) > MAX_IDS:
        text = f"At most {MAX_IDS:,} resources are named in one request."
        raise error("too-large", text, "resource")
    by_type: dict[str, dict[str, None]] = {}
    for text in references:
        parsed = parse_reference(text)
        kind, id = parsed.resource_type, parsed.id
        if parsed.kind != "relative" and resource_type and is_id(text):
            kind, id = resource_type, text
        if kind is None or id is None or (resource_type and kind != resource_type):
            raise error("value", "A resource is named by Type/id, of this server.", "resource")
        by_type.setdefault(kind, {})[id] = None
    return [
        (kind, [("_id", ",".join(ids[begin : begin + _IDS_AT_ONCE]))])
        for kind, names in by_type.items()
        for ids in [list(names)]
        for begin in range(0, len(ids), _IDS_AT_ONCE)
    ]


def accept(
    ctx: Context,
    request: Request,
    kind: str,
    searches: Sequence[Search],
    values: dict[str, Any],
    *,
    named: int = 0,
) -> Response:
    """202 for the job that changes what the searches match as of now.

    `values`: what else the job needs that may hold values. `named`: how many resources were named
    one by one. Raises FhirError for criteria that are not known, or have bad values.
    """
    view = ctx.lake.at()
    matched = sum(_count(view, kind_of, criteria) for kind_of, criteria in searches)
    trail = audit_trail.current()
    job = ctx.lake.jobs.add(
        kind,
        {
            "types": sorted({resource_type for resource_type, _ in searches}),
            "t": view.t,
            "matched": matched,
            "unknown": max(named - matched, 0),
            "agent": trail.agent if trail is not None else "anonymous",
            VALUES: {"searches": [list(search) for search in searches], **values},
        },
    )
    ctx.jobs.queue(job)
    return accepted(ctx, request, job)


def _count(view: LakeAt, resource_type: str, criteria: Criteria) -> int:
    try:
        page = view.search(
            resource_type, [*criteria, ("_count", "0")], strict=True, audit_log=False
        )
    except FhirError as failure:
        if failure.category == "unknown-type":
            raise error("value", failure.issues[0].diagnostics, "_type") from None
        raise
    assert page.total is not None
    return page.total
