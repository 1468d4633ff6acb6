"""`$bulk-patch`: apply one patch to many resources, as a job.

Modelled on the operation of the same name of AWS HealthLake; FHIR itself has none.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from schemas.outcomes import error
from schemas.parse import canonical_bytes
from service.bulk_changes import BULK_PATCH, patch_of
from service.changes.patch_document import JSON_PATCH, MERGE_PATCH
from service.context import Ctx, ResourceType
from service.operations.arguments import Arguments, parameters_of
from service.operations.bulk_kickoff import accept, criteria_of, searches_by_id, types_of
from service.request_body import fhir_body, media_type, read_limited

router = APIRouter()

FHIR_JSON = "application/fhir+json"

_OWN = frozenset({"patch", "resource", "_type"})


async def _asked(request: Request) -> tuple[Arguments, dict[str, Any]]:
    """Dependency: the parameters, and the patch as a job keeps it.

    The body is a patch (by its media type), and the address has the parameters; or Parameters with
    all of it.
    """
    address = request.query_params.multi_items()
    kind, charset = media_type(request.headers.get("content-type"))
    if kind in (JSON_PATCH, MERGE_PATCH):
        if charset not in (None, "utf-8", "utf8", "us-ascii"):
            raise error("unsupported-media", f"A patch is UTF-8; charset {charset} is not.")
        body = await read_limited(request, request.app.state.settings.max_body_bytes)
        try:
            values = {"format": kind, "patch": body.decode("utf-8")}
        except UnicodeDecodeError:
            raise error("invalid", "The patch is not UTF-8 text.") from None
        return Arguments(address, None), await run_in_threadpool(_checked, values)
    parameters = await run_in_threadpool(parameters_of, await fhir_body(request))
    given = Arguments(address, parameters)
    return given, await run_in_threadpool(_checked, _patch(given))


Asked = Annotated[tuple[Arguments, dict[str, Any]], Depends(_asked)]


@router.post("/$bulk-patch", summary="patch many resources")
@router.patch("/$bulk-patch", summary="patch many resources")
def of_types(ctx: Ctx, request: Request, asked: Asked) -> Response:
    """202 with `Content-Location`: those named by `resource` (`Type/id`), or of `_type`."""
    given, values = asked
    named = _named(given)
    if named:
        return _of_named(ctx, request, named, given, values)
    types = types_of([name for name in given.words("_type") if name])
    params = ctx.lake.search_params
    searches = [(kind, criteria_of(params(kind), _criteria(given))) for kind in types]
    return accept(ctx, request, BULK_PATCH, searches, values)


@router.post("/{resource_type}/$bulk-patch", summary="patch many resources of a type")
@router.patch("/{resource_type}/$bulk-patch", summary="patch many resources of a type")
def of_one_type(resource_type: ResourceType, ctx: Ctx, request: Request, asked: Asked) -> Response:
    """202 with `Content-Location`: those named by `resource`, or that the parameters match.

    The patch is the body (JSON Patch, merge patch, by its `Content-Type`), or in Parameters:
    `patch` as a resource (Parameters, a FHIRPath Patch) or as a string (JSON Patch).
    """
    given, values = asked
    named = _named(given)
    if named:
        return _of_named(ctx, request, named, given, values, resource_type)
    known = ctx.lake.search_params(resource_type)
    searches = [(resource_type, criteria_of(known, _criteria(given)))]
    return accept(ctx, request, BULK_PATCH, searches, values)


def _of_named(
    ctx: Ctx,
    request: Request,
    named: list[str],
    given: Arguments,
    values: dict[str, Any],
    resource_type: str | None = None,
) -> Response:
    given.only("patch", "resource")
    searches = searches_by_id(named, resource_type)
    count = sum(len(criteria[0][1].split(",")) for _, criteria in searches)
    return accept(ctx, request, BULK_PATCH, searches, values, named=count)


def _named(given: Arguments) -> list[str]:
    """What `resource` names: references, or text with one or several of them."""
    if "resource" not in given.given:
        return []
    texts = given.references("resource")
    return [word.strip() for text in texts for word in text.split(",") if word.strip()]


def _criteria(given: Arguments) -> list[tuple[str, str]]:
    return [(name, text) for name in sorted(given.given - _OWN) for text in given.texts(name)]


def _patch(given: Arguments) -> dict[str, Any]:
    if given.has_resource("patch"):
        found = given.resources("patch")
        if len(found) > 1:
            raise error("invalid", "patch is given twice.", "patch")
        return {"format": FHIR_JSON, "patch": canonical_bytes(found[0]).decode()}
    return {"format": JSON_PATCH, "patch": given.required("patch")}


def _checked(values: dict[str, Any]) -> dict[str, Any]:
    """The patch, once it is known to be one. Raises FhirError."""
    patch_of(values)
    return values
