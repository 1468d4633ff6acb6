"""`$validate`: would this resource be accepted? (R4 resource-operation-validate.html)

Whether a resource is valid is said in an OperationOutcome, always with 200; a request that gives
nothing to validate is refused. Nothing is stored.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from schemas.outcomes import FhirError, Issue, error, operation_outcome
from schemas.parse import parse_resource
from service.as_of import At, parse_at, view_at
from service.context import Context, Ctx, FhirBody, ResourceType
from service.reference_integrity import EXISTING, ReferenceIntegrity
from service.responses import fhir_resource
from service.validation import STRICT, has_errors

router = APIRouter()

Resource = dict[str, Any]

# https://hl7.org/fhir/R4/valueset-resource-validation-mode.html
MODES = ("create", "update", "delete", "profile")

_TEXT_VALUES = ("valueCode", "valueUri", "valueCanonical", "valueUrl", "valueString")


@dataclass(frozen=True)
class Asked:
    """What is to be validated, as what, against which profiles."""

    resource: Resource | None
    mode: str
    profiles: tuple[str, ...]


@router.post("/{resource_type}/$validate", summary="validate a resource, storing nothing")
def validate(resource_type: ResourceType, body: FhirBody, ctx: Ctx, request: Request) -> Response:
    """The issues of a resource in the body, which is the resource itself or Parameters.

    The parameters are `resource`, `mode` and `profile`; the latter two may stand in the address.
    """
    asked = _asked(body, resource_type, request)
    if asked.mode in ("delete", "profile"):
        raise error(
            "invalid",
            f"The mode {asked.mode} is for a stored resource: {resource_type}/ID/$validate.",
            "mode",
        )
    return _answer(ctx, resource_type, "", asked)


@router.post("/{resource_type}/{id}/$validate", summary="validate a resource, or its update")
def validate_instance(
    resource_type: ResourceType, id: str, body: FhirBody, ctx: Ctx, request: Request
) -> Response:
    """The issues of a resource in the body as an update of a stored one, or of the stored one.

    Without a resource it is the stored one; with the mode `delete`, whether it may be deleted.
    """
    return _answer(ctx, resource_type, id, _asked(body, resource_type, request))


@router.get("/{resource_type}/{id}/$validate", summary="validate a stored resource")
def validate_stored(
    resource_type: ResourceType, id: str, ctx: Ctx, request: Request, at: At = None
) -> Response:
    """The issues of a resource as it is stored now or was `at`; `mode` and `profile` as above."""
    query = request.query_params
    asked = Asked(None, _mode(query.getlist("mode")), tuple(query.getlist("profile")))
    return _answer(ctx, resource_type, id, asked, at)


def _asked(body: bytes, resource_type: str, request: Request) -> Asked:
    """What the body and the address ask for. Raises FhirError where nothing is to be validated."""
    modes = request.query_params.getlist("mode")
    profiles = request.query_params.getlist("profile")
    resource: Resource | None = parse_resource(body) if body.strip() else None
    if resource is not None and resource["resourceType"] == "Parameters":
        found, parts = _from_parameters(resource)
        if resource_type != "Parameters" or found is not None:
            resource = found
            modes += parts.get("mode", [])
            profiles += parts.get("profile", [])
    return Asked(resource, _mode(modes), tuple(dict.fromkeys(profiles)))


def _from_parameters(parameters: Resource) -> tuple[Resource | None, dict[str, list[str]]]:
    """The part `resource` of Parameters, and the texts of `mode` and `profile`."""
    resource: Resource | None = None
    texts: dict[str, list[str]] = {}
    parts = parameters.get("parameter")
    for index, part in enumerate(parts if isinstance(parts, list) else []):
        name = part.get("name") if isinstance(part, dict) else None
        place = f"Parameters.parameter[{index}]"
        if name == "resource":
            resource = part.get("resource")
            kind = resource.get("resourceType") if isinstance(resource, dict) else None
            if not isinstance(kind, str):
                raise error("invalid", "The parameter holds no resource.", f"{place}.resource")
        elif name in ("mode", "profile"):
            values = [part[key] for key in _TEXT_VALUES if isinstance(part.get(key), str)]
            if not values:
                raise error("invalid", f"{name} has a code or a uri as its value.", place)
            texts.setdefault(name, []).extend(values)
        else:
            known = "resource, mode and profile"
            raise error("not-supported", f"The parameters of $validate are {known}.", place)
    return resource, texts


def _mode(given: list[str]) -> str:
    modes = set(given)
    if len(modes) > 1:
        raise error("invalid", "mode is given twice, with different values.", "mode")
    mode = modes.pop() if modes else ""
    if mode and mode not in MODES:
        raise error("value", f"mode is one of {', '.join(MODES)}.", "mode")
    return mode


def _answer(
    ctx: Context,
    resource_type: str,
    id: str,
    asked: Asked,
    at: list[str] | None = None,
) -> Response:
    issues: list[Issue] = []
    resource = asked.resource
    if asked.mode == "profile" and (resource is not None or not asked.profiles):
        raise error(
            "invalid",
            "The mode profile is for a stored resource and a profile, without a resource.",
            "mode",
        )
    if resource is None:
        if not id:
            raise error(
                "required",
                "There is nothing to validate: send the resource, or Parameters with the resource "
                "in a parameter named `resource`.",
                "Parameters.parameter",
            )
        with view_at(ctx.lake, parse_at(at)) as (view, _):
            resource = view.read(resource_type, id).resource()
    if asked.mode == "delete":
        issues += deletion_issues(ctx, resource_type, id)
    else:
        issues += _validated(ctx, resource, resource_type, asked.profiles)
        if asked.resource is not None and id:
            issues += _identity(resource, resource_type, id)
        elif asked.resource is not None and asked.mode == "update" and "id" not in resource:
            issues.append(_missing_id(resource_type))
        if asked.resource is not None and asked.mode in ("create", "update"):
            issues += _as_change(ctx, resource, asked.mode, has_errors(issues))
    if not has_errors(issues):
        what = "It may be deleted." if asked.mode == "delete" else (
            f"All OK: this is a valid {resource_type}."
        )  # fmt: skip
        issues.insert(0, Issue("information", "informational", what))
    return fhir_resource(operation_outcome(issues))


def _validated(
    ctx: Context, resource: Resource, resource_type: str, profiles: tuple[str, ...]
) -> Iterator[Issue]:
    """As the level `strict` would have it; a profile that was asked for has to be known."""
    validation = ctx.ingest.validation
    for canonical in profiles:
        if validation.profiles.type_of(canonical) is None:
            yield Issue(
                "error",
                "not-found",
                f"The profile {canonical[:256]} is not known here: store its StructureDefinition.",
                ("profile",),
            )
    yield from validation.issues(resource, resource_type, profiles=profiles, level=STRICT)


def _identity(resource: Resource, resource_type: str, id: str) -> list[Issue]:
    if "id" not in resource:
        return [_missing_id(resource_type)]
    if resource["id"] != id:
        text = "The id in the resource is not the id in the address."
        return [Issue("error", "invalid", text, (f"{resource_type}.id",))]
    return []


def _missing_id(resource_type: str) -> Issue:
    text = "An update names the id of the resource."
    return Issue("error", "required", text, (f"{resource_type}.id",))


def _as_change(ctx: Context, resource: Resource, mode: str, invalid: bool) -> list[Issue]:
    """What else the create or update would be refused for."""
    if invalid:
        return []
    found: list[Issue] = []
    try:
        ctx.ingest.check_note(resource)
    except FhirError as failure:
        found += failure.issues
    if ctx.ingest.policy.reference_integrity == EXISTING:
        integrity = ReferenceIntegrity(ctx.lake, ctx.lake.t)
        found += integrity.missing(resource, "", (), ())
    if mode == "update" and not ctx.ingest.policy.update_create and "id" in resource:
        kind, id = resource["resourceType"], resource["id"]
        if ctx.lake.standing(kind, id, at=ctx.lake.t) is None:
            text = f"{kind}/{id} is not here, and an update creates nothing in this datastore."
            found.append(Issue("error", "not-found", text, (f"{kind}.id",)))
    return found


def deletion_issues(ctx: Context, resource_type: str, id: str) -> list[Issue]:
    """What a deletion would be refused for."""
    if ctx.ingest.policy.reference_integrity == EXISTING:
        key = (resource_type, id)
        try:
            ReferenceIntegrity(ctx.lake, ctx.lake.t).check_deletion(key, {key}, resource_type)
        except FhirError as failure:
            return failure.issues
    return []
