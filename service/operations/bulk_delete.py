"""`$bulk-delete`: hide all resources that a search matches, as a job. Their history stays.

What is to be gone for good goes by `$erase` and `$purge`. Modelled on the operation of the same
name of AWS HealthLake and of Microsoft's FHIR server; FHIR itself has none.
"""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from schemas.outcomes import error
from service.bulk_changes import BULK_DELETE
from service.context import Ctx, ResourceType
from service.operations.arguments import Arguments, Given
from service.operations.bulk_kickoff import accept, criteria_of, types_of

router = APIRouter()

# Those that HealthLake and Microsoft have for removing more than this does.
_REMOVING = ("isHardDelete", "hardDelete", "_hardDelete", "deleteVersionHistory", "_purgeHistory",
             "deleteAuditEvent")  # fmt: skip


@router.post("/$bulk-delete", summary="delete what a search matches")
@router.delete("/$bulk-delete", summary="delete what a search matches")
def of_types(ctx: Ctx, request: Request, given: Given) -> Response:
    """202 with `Content-Location`: of the types in `_type`, what the other parameters match."""
    types = types_of([name for name in given.words("_type") if name])
    return _accept(ctx, request, types, given)


@router.post("/{resource_type}/$bulk-delete", summary="delete what a search matches")
@router.delete("/{resource_type}/$bulk-delete", summary="delete what a search matches")
def of_one_type(resource_type: ResourceType, ctx: Ctx, request: Request, given: Given) -> Response:
    """202 with `Content-Location`: what the parameters match, everything when there are none.

    Parameters: those of a search of the type, and `_since`, `start`, `end` (instants of the last
    change). A parameter that is not known is refused, whatever `Prefer: handling` says.
    """
    return _accept(ctx, request, [resource_type], given)


def _accept(ctx: Ctx, request: Request, types: list[str], given: Arguments) -> Response:
    for name in _REMOVING:
        if given.flag(name):
            raise error(
                "not-supported",
                f"{name} is not done by $bulk-delete, which hides resources and keeps their "
                "history and the audit log. $erase and $purge remove for good.",
                name,
            )
    asked = [
        (name, text)
        for name in sorted(given.given - set(_REMOVING) - {"_type"})
        for text in given.texts(name)
    ]
    params = ctx.lake.search_params
    searches = [(kind, criteria_of(params(kind), asked)) for kind in types]
    return accept(ctx, request, BULK_DELETE, searches, {})
