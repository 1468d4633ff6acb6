"""The OpenAPI description: what FastAPI knows of the routes, and what only FHIR knows.

FastAPI sees neither the bodies that our dependencies read, nor what failures look like, nor search
parameters, whose names no route can list.
"""

from __future__ import annotations

import re
import warnings
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from schemas.structure import RESOURCE_TYPES
from service.request_body import fhir_body
from service.surface import dependencies_of, routes_by_operation

_FHIR_JSON = "application/fhir+json"
_FHIR_XML = "application/fhir+xml"
_RESOURCE = {"type": "object", "required": ["resourceType"]}
_TYPE = {"$ref": "#/components/schemas/ResourceType"}
_FAILURE = {
    "description": "The request was refused or failed: why, and where.",
    "content": {
        _FHIR_JSON: {"schema": {"$ref": "#/components/schemas/OperationOutcome"}},
        _FHIR_XML: {},
    },
}
_SCHEMAS = {
    "ResourceType": {"type": "string", "enum": sorted(RESOURCE_TYPES)},
    "OperationOutcome": {
        "type": "object",
        "required": ["resourceType", "issue"],
        "properties": {
            "resourceType": {"const": "OperationOutcome"},
            "issue": {"type": "array", "minItems": 1, "items": {"type": "object"}},
        },
    },
}
_SEARCH = {
    "name": "criteria",
    "in": "query",
    "description": "Search parameters of the type, see /fhir/metadata (R4 search.html).",
    "style": "form",
    "explode": True,
    "schema": {"type": "object", "additionalProperties": {"type": "string"}},
}
_ARGUMENTS = {
    **_SEARCH,
    "name": "arguments",
    "description": "Parameters of the operation that are no resources (R4 operations.html).",
}
_FORM_PARAMETERS = [
    {"name": name, "in": "query", "description": text, "schema": schema}
    for name, text, schema in (
        ("_format", "Form of the answer, instead of `Accept`.", {"enum": ["json", "xml"]}),
        ("_pretty", "Indent the answer.", {"type": "boolean"}),
        (
            "_summary",
            "Part of each resource (R4 search.html#summary).",
            {"enum": ["true", "false", "text", "data", "count"]},
        ),
        ("_elements", "Elements of each resource, comma-separated.", {"type": "string"}),
    )
]
_TEXT: dict[str, Any] = {"type": "string"}
_PLAIN_BODIES: dict[tuple[str, str], tuple[tuple[str, ...], dict[str, Any]]] = {
    ("post", "/notes"): (("text/plain",), _TEXT),
    ("post", "/nlp/annotate"): (("text/plain",), _TEXT),
    ("post", "/cohorts"): (("application/json",), {"type": "object"}),
    ("post", "/sql"): (
        ("application/json",),
        {"type": "object", "required": ["query"], "properties": {"query": _TEXT}},
    ),
}
_TABLES = (
    "application/json",
    "text/csv",
    "application/vnd.apache.parquet",
    "application/vnd.apache.arrow.stream",
)
# What a success may be besides what FastAPI lists.
_STATUSES = {
    ("get", "/fhir/{resource_type}/{id}"): {"304": "It has not changed."},
    ("get", "/fhir/{resource_type}/{id}/_history/{version_id}"): {"304": "It has not changed."},
    ("get", "/fhir/_jobs/{id}"): {"202": "It is not finished."},
    ("delete", "/fhir/_jobs/{id}"): {"202": "It is cancelled."},
    ("post", "/fhir/{resource_type}"): {"201": "It is stored under a new id."},
    ("put", "/fhir/{resource_type}/{id}"): {"201": "It is stored for the first time."},
    ("delete", "/fhir/{resource_type}/{id}"): {"204": "It is deleted, or never was."},
    ("delete", "/fhir/{resource_type}"): {"204": "There is nothing left that matches."},
    ("post", "/fhir/{resource_type}/{id}/$erase"): {"202": "It will be erased by a job."},
    ("post", "/fhir/Patient/{id}/$purge"): {"202": "It will be erased by a job."},
    ("get", "/readyz"): {"503": "It is not ready."},
}


def description(app: FastAPI) -> dict[str, Any]:
    """The document, made once."""
    if app.openapi_schema is None:
        with warnings.catch_warnings():
            # A route with two methods has one id; each operation gets its own below.
            warnings.filterwarnings("ignore", message="Duplicate Operation ID")
            document = get_openapi(title=app.title, version=app.version, routes=app.routes)
        document.setdefault("components", {}).setdefault("schemas", {}).update(_SCHEMAS)
        routes = routes_by_operation(app.state.surfaces, "/fhir")
        for path, operations in document["paths"].items():
            for method, operation in operations.items():
                operation["operationId"] = re.sub(r"\W+", "_", method + path).strip("_")
                _complete(path, method, operation, routes.get((method, path)))
        app.openapi_schema = document
    return app.openapi_schema


def _complete(path: str, method: str, operation: dict[str, Any], route: Any) -> None:
    responses = operation.setdefault("responses", {})
    responses.pop("422", None)
    for status, text in _STATUSES.get((method, path), {}).items():
        responses[status] = {"description": text}
    responses["default"] = _FAILURE
    if route is not None:
        for status in set(responses) & {"200", "201"}:
            responses[status]["content"] = {_FHIR_JSON: {}, _FHIR_XML: {}}
    elif path == "/sql":
        responses["200"]["content"] = {kind: {} for kind in _TABLES}
    parameters = operation.setdefault("parameters", [])
    for parameter in parameters:
        if parameter["name"] == "resource_type":
            parameter["schema"] = _TYPE
    if route is None:
        if (method, path) in _PLAIN_BODIES:
            operation["requestBody"] = _body(*_PLAIN_BODIES[method, path])
        return
    parameters += _FORM_PARAMETERS
    if path in ("/fhir", "/fhir/{resource_type}", "/fhir/{resource_type}/_search"):
        parameters.append(_SEARCH)
    if method == "patch":
        kinds = ("application/json-patch+json", "application/merge-patch+json", _FHIR_JSON)
        operation["requestBody"] = _body(kinds, {})
    elif path.endswith("/_search"):
        form = {"type": "object", "additionalProperties": {"type": "string"}}
        operation["requestBody"] = _body(("application/x-www-form-urlencoded",), form, False)
    elif method in ("post", "put") and fhir_body in dependencies_of(route):
        operation["requestBody"] = _body((_FHIR_JSON, _FHIR_XML), _RESOURCE)
    elif "$" in path:
        if method == "post":
            operation["requestBody"] = _body((_FHIR_JSON, _FHIR_XML), _RESOURCE, required=False)
        parameters.append(_ARGUMENTS)


def _body(kinds: tuple[str, ...], schema: dict[str, Any], required: bool = True) -> dict[str, Any]:
    content = {
        kind: {"schema": schema if "json" in kind or "form" in kind else {}} for kind in kinds
    }
    return {"required": required, "content": content}
