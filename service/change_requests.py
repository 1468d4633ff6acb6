"""Changes over REST: what the address and the headers ask for, and the answer."""

from __future__ import annotations

from fastapi import Request
from starlette.responses import Response

from schemas.outcomes import Issue, error, operation_outcome
from service.changes.asked import Done, Params
from service.prefer import preferences
from service.representation import REPRESENTATION_PARAMETERS
from service.responses import fhir_resource, version_headers, write_response


def query_condition(request: Request) -> Params | None:
    """The search parameters of the address, if there are any: they make the change conditional."""
    if not request.scope["query_string"]:
        return None
    params = request.query_params.multi_items()
    return tuple(one for one in params if one[0] not in REPRESENTATION_PARAMETERS) or None


def needed_condition(request: Request) -> Params:
    """The search parameters of the address. Raises `invalid` when there are none."""
    condition = query_condition(request)
    if condition is None:
        raise error(
            "invalid",
            f"{request.method} needs an id (Type/id) or a condition (Type?identifier=…).",
            "url",
        )
    return condition


def refuse_params(request: Request) -> None:
    """Raises `not-supported` for search parameters where the address names the resource."""
    condition = query_condition(request)
    if condition is not None:
        name = condition[0][0][:64]
        raise error(
            "not-supported",
            f"{name!r} means nothing beside an id: the address names the resource.",
            name,
        )


def change_response(done: Done, request: Request, base: str) -> Response:
    """The answer to a change, as `Prefer: return=` asks (R4 http.html#ops).

    `base`: the FHIR base URL. A delete answers 204, or 200 with an OperationOutcome if one is
    asked for, or if more than one resource was deleted.
    """
    version = done.version
    if version is not None and not version.deleted:
        issues = [*done.issues, *done.advice]
        return write_response(version, request, base, created=done.status == 201, issues=issues)
    headers = version_headers(version) if version is not None and done.deleted == 1 else {}
    if preferences(request.headers).returns != "OperationOutcome" and done.deleted < 2:
        return Response(b"", 204, headers)
    text = f"{done.deleted} resources were deleted." if done.deleted != 1 else "It is deleted."
    if version is None:
        text = "There was nothing to delete."
    issue = Issue("information", "informational", text)
    response = fhir_resource(operation_outcome([issue, *done.issues]))
    response.headers.update(headers)
    return response
