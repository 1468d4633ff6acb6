"""The CapabilityStatement: generated from what is registered, so that it cannot promise more."""

from functools import lru_cache
from importlib.metadata import version as package_version
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from schemas.search_params import search_params
from schemas.structure import RESOURCE_TYPES
from service.context import Ctx
from service.responses import fhir_resource

router = APIRouter()

RELEASED = "2026-11-24"
_INTERACTIONS = (
    "read",
    "vread",
    "update",
    "delete",
    "history-instance",
    "history-type",
    "create",
    "search-type",
)
_WRITING = frozenset({"update", "delete", "create"})
_COMMON = (
    ("_id", "token", "http://hl7.org/fhir/SearchParameter/Resource-id"),
    ("_lastUpdated", "date", "http://hl7.org/fhir/SearchParameter/Resource-lastUpdated"),
)


@router.get("/metadata", summary="capabilities")
def capabilities(ctx: Ctx, request: Request) -> Response:
    """What this server does (R4 http.html#capabilities)."""
    writable = not ctx.lake.read_only
    statement = {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": RELEASED,
        "publisher": "Chartlake",
        "kind": "instance",
        "software": {"name": "Chartlake", "version": package_version("chartlake")},
        "implementation": {"description": "Chartlake FHIR data lake", "url": ctx.base(request)},
        "fhirVersion": "4.0.1",
        "format": ["application/fhir+json", "json"],
        "rest": [
            {
                "mode": "server",
                "security": {"cors": False, "description": _security(ctx)},
                "resource": [_resource(name, writable) for name in sorted(RESOURCE_TYPES)],
                "interaction": [
                    *([{"code": "transaction"}] if writable else []),
                    {"code": "batch"},
                    {"code": "history-system"},
                ],
            }
        ],
    }
    return fhir_resource(statement, request)


def _security(ctx: Ctx) -> str:
    if ctx.settings.api_token_file:
        return "Send a bearer token: Authorization: Bearer TOKEN."
    return "No authentication: the service answers to this machine (loopback) only."


@lru_cache(maxsize=512)
def _resource(resource_type: str, writable: bool) -> dict[str, Any]:
    params = [{"name": n, "type": kind, "definition": url} for n, kind, url in _COMMON]
    params += [
        {"name": param.code, "definition": param.url, "type": param.type}
        for param in sorted(search_params(resource_type).values(), key=lambda p: p.code)
    ]
    described: dict[str, Any] = {
        "type": resource_type,
        "interaction": [
            {"code": code} for code in _INTERACTIONS if writable or code not in _WRITING
        ],
        "versioning": "versioned",
        "readHistory": True,
        "updateCreate": writable,
        "conditionalCreate": writable,
        "conditionalRead": "not-match",
        "conditionalUpdate": False,
        "conditionalDelete": "not-supported",
        "searchParam": params,
    }
    if resource_type in _NOTES:
        described["documentation"] = _NOTES[resource_type]
    operations = _OPERATIONS.get(resource_type, ()) + _OPERATIONS["*"]
    described["operation"] = [{"name": name, "definition": url} for name, url in operations]
    return described


_NOTES = {
    "AuditEvent": (
        "Events of the server's own audit log (ids that begin with `audit-`) are read and searched "
        "together with those that clients store, newest first, sorted by date alone. They can be "
        "neither created, updated nor deleted."
    ),
}

_OPERATIONS: dict[str, tuple[tuple[str, str], ...]] = {
    "*": (
        ("validate", "http://hl7.org/fhir/OperationDefinition/Resource-validate"),
        ("erase", "https://chartlake.org/fhir/OperationDefinition/Resource-erase"),
    ),
    "Patient": (
        ("timeline", "https://chartlake.org/fhir/OperationDefinition/Patient-timeline"),
        ("purge", "http://hl7.org/fhir/OperationDefinition/Patient-purge"),
    ),
    "DocumentReference": (
        ("nlp", "https://chartlake.org/fhir/OperationDefinition/DocumentReference-nlp"),
    ),
}
