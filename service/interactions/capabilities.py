"""The CapabilityStatement: generated from what is registered, so that it cannot promise more."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version as package_version
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from schemas.outcomes import error
from schemas.structure import RESOURCE_TYPES
from service.context import Context, Ctx
from service.responses import fhir_resource
from service.surface import ANY_TYPE, SYSTEM_INTERACTIONS, TYPE_INTERACTIONS, Surface, joined

router = APIRouter()

RELEASED = "2026-11-24"
FORMATS = ("application/fhir+json", "json", "application/fhir+xml", "xml")

MODES = ("full", "normative", "terminology")

# What is left out of a service that only reads.
_TRANSACTION = "transaction"


@router.get("/metadata", summary="capabilities")
def capabilities(
    ctx: Ctx,
    request: Request,
    mode: Annotated[
        str | None, Query(description="`full` (default), `normative`, or `terminology`.")
    ] = None,
) -> Response:
    """What this server does (R4 http.html#capabilities).

    `normative` is the same as `full`: what is not normative is not left out. `terminology` asks
    for a TerminologyCapabilities, which is refused (400) where the server has none.
    """
    if mode not in (None, "full", "normative"):
        raise error(
            "not-supported" if mode in MODES else "value",
            f"There is no such statement; mode is one of {', '.join(MODES[:2])}.",
            "mode",
        )
    state = request.app.state
    known = getattr(state, "capabilities", None)
    params = ctx.lake.search_params
    # Nothing else changes while the service runs; it takes a good part of a second to tell.
    if known is None or known[0] is not params:
        state.capabilities = known = (params, statement_of(ctx, state.surfaces))
    return fhir_resource(_at(known[1], ctx.base(request)))


def _at(statement: dict[str, Any], base: str) -> dict[str, Any]:
    """The statement with the address by which the client knows the service."""
    return {**statement, "implementation": {**statement["implementation"], "url": base}}


def statement_of(ctx: Context, surfaces: Sequence[Surface]) -> dict[str, Any]:
    """The statement of the surfaces that this service has, without its address."""
    offered = [one for one in surfaces if not (one.writes and ctx.lake.read_only)]
    statement: dict[str, Any] = {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": RELEASED,
        "publisher": "Chartlake",
        "kind": "instance",
        "software": {"name": "Chartlake", "version": package_version("chartlake")},
        "implementation": {"description": "Chartlake FHIR data lake"},
        "fhirVersion": "4.0.1",
        "format": [*FORMATS, *joined(offered, "format")],
    }
    for name in ("instantiates", "patchFormat", "implementationGuide"):
        if values := joined(offered, name):
            statement[name] = values
    claimed = {code for surface in offered for code in surface.interactions()}
    if ctx.lake.read_only:
        claimed.discard(_TRANSACTION)
    rest = {
        "mode": "server",
        "security": {"cors": bool(ctx.settings.cors_origins), "description": _security(ctx)},
        "resource": [_resource(ctx, offered, claimed, name) for name in sorted(RESOURCE_TYPES)],
        "interaction": [{"code": code} for code in SYSTEM_INTERACTIONS if code in claimed],
    }
    if compartments := joined(offered, "compartment"):
        rest["compartment"] = compartments
    if operations := _operations(offered, None):
        rest["operation"] = operations
    statement["rest"] = [rest]
    return statement


def _security(ctx: Context) -> str:
    if ctx.settings.api_token_file:
        return "Send a bearer token: Authorization: Bearer TOKEN."
    return "No authentication: the service answers to this machine (loopback) only."


def _resource(
    ctx: Context, surfaces: Sequence[Surface], claimed: set[str], resource_type: str
) -> dict[str, Any]:
    described: dict[str, Any] = {
        "type": resource_type,
        "interaction": [{"code": code} for code in TYPE_INTERACTIONS if code in claimed],
        "updateCreate": False,
        "conditionalCreate": False,
        "conditionalUpdate": False,
        "conditionalDelete": "not-supported",
    }
    for surface in surfaces:
        if surface.describes is not None:
            described.update(surface.describes(ctx, resource_type))
    if resource_type in _NOTES:
        described["documentation"] = _NOTES[resource_type]
    own, common = _operations(surfaces, resource_type), _operations(surfaces, ANY_TYPE)
    described["operation"] = own + common
    return described


def _operations(surfaces: Sequence[Surface], resource_type: str | None) -> list[dict[str, Any]]:
    return [
        {"name": operation.name, "definition": surface.definitions[operation.name]}
        for surface in surfaces
        for operation in surface.operations()
        if operation.resource_type == resource_type
    ]


_NOTES = {
    "AuditEvent": (
        "Events of the server's own audit log (ids that begin with `audit-`) are read and searched "
        "together with those that clients store, newest first, sorted by date alone. They can be "
        "neither created, updated nor deleted."
    ),
}
