"""`ValueSet/$expand` and `ValueSet/$validate-code`: which codes a value set has.

https://hl7.org/fhir/R4/valueset-operation-expand.html,
https://hl7.org/fhir/R4/valueset-operation-validate-code.html
"""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from schemas.outcomes import error
from schemas.parse import canonical_bytes
from schemas.terminology import Terminology
from schemas.terminology.expansion import Options, expand
from schemas.terminology.value_set import ValueSet
from service.context import Context, Ctx, FhirBody
from service.operations.terminology_codes import CODE, checked, codings_of
from service.operations.terminology_parameters import (
    Given,
    Parameter,
    Specification,
    read_parameters,
    required,
    terminology_at,
)
from service.responses import fhir_bytes
from storage.lake import LakeAt

router = APIRouter()

_URI = Parameter(name_in_json="valueUri")
_BOOLEAN = Parameter("boolean", name_in_json="valueBoolean")
_INTEGER = Parameter("integer", name_in_json="valueInteger")

_VALUE_SET: Specification = {
    "url": _URI,
    "valueSet": Parameter("ValueSet"),
    "valueSetVersion": Parameter(),
    "context": None,
}
_EXPAND: Specification = {
    **_VALUE_SET,
    "contextDirection": None,
    "filter": Parameter(),
    "date": Parameter(name_in_json="valueDateTime"),
    "offset": _INTEGER,
    "count": _INTEGER,
    "includeDesignations": _BOOLEAN,
    "designation": Parameter(many=True),
    "includeDefinition": _BOOLEAN,
    "activeOnly": _BOOLEAN,
    "excludeNested": _BOOLEAN,
    "excludeNotForUI": _BOOLEAN,
    # Nothing here is post-coordinated.
    "excludePostCoordinated": _BOOLEAN,
    "displayLanguage": Parameter(name_in_json="valueCode"),
    "exclude-system": Parameter(many=True, name_in_json="valueUri"),
    "system-version": None,
    "check-system-version": None,
    "force-system-version": None,
}
_VALIDATE: Specification = {**_VALUE_SET, **CODE, "systemVersion": Parameter()}


@router.get("/ValueSet/$expand", summary="the codes of a value set")
@router.get("/ValueSet/{id}/$expand", summary="the codes of a stored value set")
def expand_get(ctx: Ctx, request: Request, id: str | None = None) -> Response:
    """The value set with its expansion; `url` names it where the address does not."""
    return _expand(ctx, request, None, id)


@router.post("/ValueSet/$expand", summary="the codes of a value set")
@router.post("/ValueSet/{id}/$expand", summary="the codes of a stored value set")
async def expand_post(
    ctx: Ctx, request: Request, body: FhirBody, id: str | None = None
) -> Response:
    """The same with Parameters, or with a ValueSet as the body."""
    return await run_in_threadpool(_expand, ctx, request, body, id)


@router.get("/ValueSet/$validate-code", summary="whether a code is in a value set")
@router.get("/ValueSet/{id}/$validate-code", summary="whether a code is in a stored value set")
def validate_get(ctx: Ctx, request: Request, id: str | None = None) -> Response:
    """Parameters with `result`; 422 where it cannot be told."""
    return _validate(ctx, request, None, id)


@router.post("/ValueSet/$validate-code", summary="whether a code is in a value set")
@router.post("/ValueSet/{id}/$validate-code", summary="whether a code is in a stored value set")
async def validate_post(
    ctx: Ctx, request: Request, body: FhirBody, id: str | None = None
) -> Response:
    """The same with Parameters."""
    return await run_in_threadpool(_validate, ctx, request, body, id)


def _expand(ctx: Context, request: Request, body: bytes | None, id: str | None) -> Response:
    given = read_parameters(request, body, _EXPAND)
    options = Options(
        filter=given.text("filter"),
        offset=given.number("offset"),
        count=given.number("count"),
        include_designations=given.flag("includeDesignations"),
        designations=tuple(given.many("designation")),
        include_definition=given.flag("includeDefinition"),
        active_only=given.flag("activeOnly"),
        nested=given.boolean("excludeNested") is False,
        selectable_only=given.flag("excludeNotForUI"),
        display_language=given.text("displayLanguage"),
        exclude_systems=tuple(given.many("exclude-system")),
    )
    repeated = [
        {"name": name, parameter.name_in_json: value}
        for name, value in given
        if (parameter := _EXPAND[name]) is not None and parameter.kind != "ValueSet"
    ]
    with terminology_at(ctx, request, given) as (terminology, view, said):
        found = expand(value_set_of(terminology, view, given, id), options, repeated)
    return fhir_bytes(canonical_bytes(found), 200, **said.headers)


def _validate(ctx: Context, request: Request, body: bytes | None, id: str | None) -> Response:
    given = read_parameters(request, body, _VALIDATE)
    codings = codings_of(given, "systemVersion")
    for coding in codings:
        if not isinstance(coding.get("system"), str):
            raise required("system", "A code needs its system: a code alone could be any system's.")
    with terminology_at(ctx, request, given) as (terminology, view, said):
        value_set = value_set_of(terminology, view, given, id)
        answer = checked(
            codings,
            lambda system, code, _version: terminology.membership(value_set, system, code),
            given,
            "the value set",
        )
    return fhir_bytes(canonical_bytes(answer), 200, **said.headers)


def value_set_of(terminology: Terminology, view: LakeAt, given: Given, id: str | None) -> ValueSet:
    """The value set that a request is about.

    Raises FhirError: `required`, `invalid` (named twice), `not-found`.
    """
    url, inline = given.text("url"), given.element("valueSet")
    if (id is not None) + bool(url) + (inline is not None) > 1:
        raise error("invalid", "The value set is named twice: by address, url or valueSet.", "url")
    if id is not None:
        return terminology.compile(view.read("ValueSet", id).resource())
    if inline is not None:
        return terminology.compile(inline)
    if not url:
        raise required("url", "Name the value set: url, or the resource itself as valueSet.")
    canonical = versioned(url, given.text("valueSetVersion"), "valueSetVersion")
    found = terminology.value_set(canonical)
    if not found.resource:
        raise error("not-found", f"{found.unknown[:1].upper()}{found.unknown[1:]}.", "url")
    return found


def versioned(url: str, version: str, name: str) -> str:
    """A canonical URL with a version that was given besides. FhirError `invalid` for two."""
    if not version:
        return url
    if "|" in url and not url.endswith(f"|{version}"):
        raise error("invalid", f"{name} is not the version that the url has.", name)
    return f"{url.partition('|')[0]}|{version}"
