"""`CodeSystem/$lookup`, `$validate-code` and `$subsumes`: what a code is.

https://hl7.org/fhir/R4/codesystem-operations.html
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from schemas.outcomes import error
from schemas.parse import canonical_bytes
from schemas.terminology import Membership, Terminology, structured
from schemas.terminology.code_system import CodeSystem
from schemas.terminology.expansion import display_in
from schemas.terminology.lookup import Details, details
from schemas.terminology.parts import Entry
from schemas.value_converters import normalized
from service.context import Context, Ctx, FhirBody
from service.operations.terminology_parameters import (
    Given,
    Parameter,
    Specification,
    read_parameters,
    required,
    result,
    terminology_at,
)
from service.responses import fhir_bytes
from storage.lake import LakeAt

router = APIRouter()

Json = dict[str, Any]
Judge = Callable[[str, str, str | None], Membership]
"""Whether a code (system, code, version) is in what is asked about."""

CODE: Specification = {
    "code": Parameter(),
    "system": Parameter(),
    "display": Parameter(),
    "coding": Parameter("Coding"),
    "codeableConcept": Parameter("CodeableConcept"),
    "date": Parameter(),
    "abstract": Parameter("boolean"),
    "displayLanguage": Parameter(),
}
_LOOKUP: Specification = {
    "code": Parameter(),
    "system": Parameter(),
    "version": Parameter(),
    "coding": Parameter("Coding"),
    "date": Parameter(),
    "displayLanguage": Parameter(),
    "property": Parameter(many=True),
}
_VALIDATE: Specification = {
    **{name: found for name, found in CODE.items() if name != "system"},
    "url": Parameter(),
    "codeSystem": Parameter("CodeSystem"),
    "version": Parameter(),
}
_SUBSUMES: Specification = {
    "codeA": Parameter(),
    "codeB": Parameter(),
    "system": Parameter(),
    "version": Parameter(),
    "codingA": Parameter("Coding"),
    "codingB": Parameter("Coding"),
}


@router.get("/CodeSystem/$lookup", summary="what is known of a code")
def lookup_get(ctx: Ctx, request: Request) -> Response:
    """Parameters with name, display, designations and properties of `system` and `code`."""
    return _lookup(ctx, request, None)


@router.post("/CodeSystem/$lookup", summary="what is known of a code")
async def lookup_post(ctx: Ctx, request: Request, body: FhirBody) -> Response:
    """The same with Parameters."""
    return await run_in_threadpool(_lookup, ctx, request, body)


@router.get("/CodeSystem/$validate-code", summary="whether there is a code")
@router.get("/CodeSystem/{id}/$validate-code", summary="whether a stored code system has a code")
def validate_get(ctx: Ctx, request: Request, id: str | None = None) -> Response:
    """Parameters with `result`; 422 where it cannot be told."""
    return _validate(ctx, request, None, id)


@router.post("/CodeSystem/$validate-code", summary="whether there is a code")
@router.post("/CodeSystem/{id}/$validate-code", summary="whether a stored code system has a code")
async def validate_post(
    ctx: Ctx, request: Request, body: FhirBody, id: str | None = None
) -> Response:
    """The same with Parameters."""
    return await run_in_threadpool(_validate, ctx, request, body, id)


@router.get("/CodeSystem/$subsumes", summary="how two codes stand to one another")
@router.get("/CodeSystem/{id}/$subsumes", summary="the same within a stored code system")
def subsumes_get(ctx: Ctx, request: Request, id: str | None = None) -> Response:
    """Parameters with `outcome`; 422 where it cannot be told."""
    return _subsumes(ctx, request, None, id)


@router.post("/CodeSystem/$subsumes", summary="how two codes stand to one another")
@router.post("/CodeSystem/{id}/$subsumes", summary="the same within a stored code system")
async def subsumes_post(
    ctx: Ctx, request: Request, body: FhirBody, id: str | None = None
) -> Response:
    """The same with Parameters."""
    return await run_in_threadpool(_subsumes, ctx, request, body, id)


def codings_of(given: Given, version_name: str) -> list[Json]:
    """The codings that a request asks about: `code` with its `system`, `coding`, or the concept's.

    Raises FhirError `required` for none, `invalid` for several of the three.
    """
    forms = [name for name in ("code", "coding", "codeableConcept") if given.has(name)]
    if len(forms) > 1:
        raise error("invalid", "Give one of code, coding and codeableConcept.", forms[1])
    if not forms:
        raise required("code", "Say which code: code, coding or codeableConcept.")
    if forms == ["code"]:
        coding: Json = {"code": given.text("code")}
        for name, element in (
            ("system", "system"),
            (version_name, "version"),
            ("display", "display"),
        ):
            if given.has(name):
                coding[element] = given.text(name)
        return [coding]
    if given.has("display"):
        raise error("invalid", "display belongs to code; a coding has its own.", "display")
    found = given.element(forms[0]) or {}
    codings = [found] if forms == ["coding"] else found.get("coding", [])
    for coding in codings:
        if not isinstance(coding.get("code"), str):
            raise required(forms[0], f"{forms[0]} has a coding without a code.")
    return [dict(coding) for coding in codings]


def checked(codings: list[Json], judge: Judge, given: Given, what: str) -> Json:
    """The answer of `$validate-code`: whether one of the codings is in it, and what is to be said.

    Raises FhirError `unprocessable` where that cannot be told.
    """
    messages: list[str] = []
    unknown: list[str] = []
    for coding in codings:
        membership = judge(coding["system"], coding["code"], coding.get("version"))
        if membership.result is None:
            unknown.append(membership.reason)
            continue
        if not membership.result:
            messages.append(f"{_named(coding)} is not in {what}")
            continue
        problem = _problem(coding, membership.entry, given)
        if problem:
            messages.append(problem)
            continue
        display = _display(membership.entry, given)
        return result(result=True, display=display)
    if unknown:
        raise error("unprocessable", f"It cannot be told: {unknown[0]}.")
    if not codings:
        messages.append("the concept has no coding")
    return result(result=False, message="; ".join(messages))


def _named(coding: Json) -> str:
    return f"{coding['system'][:200]}|{coding['code'][:200]}"


def _display(entry: Entry | None, given: Given) -> str | None:
    return display_in(entry, given.text("displayLanguage")) if entry is not None else None


def _problem(coding: Json, entry: Entry | None, given: Given) -> str:
    """Why a code that is in it is not to be used so; empty when all is well."""
    if entry is None:
        return ""
    if given.boolean("abstract") is False and entry.abstract:
        return f"{_named(coding)} is abstract"
    said = coding.get("display")
    told = [entry.display, *(one.get("value") for one in entry.designations)]
    known = [one for one in told if isinstance(one, str)]
    if isinstance(said, str) and known and normalized(said) not in map(normalized, known):
        return f"the display of {_named(coding)} is not one that it has, such as {known[0][:200]!r}"
    return ""


def _lookup(ctx: Context, request: Request, body: bytes | None) -> Response:
    given = read_parameters(request, body, _LOOKUP)
    coding = _one_coding(given, "code", "coding", "system")
    system, code = coding["system"], coding["code"]
    with terminology_at(ctx, request, given) as (terminology, _view, said):
        found = details(terminology, system, code, coding.get("version") or None)
    answer = _told(found, given)
    return fhir_bytes(canonical_bytes(answer), 200, **said.headers)


def _told(found: Details, given: Given) -> Json:
    wanted = frozenset(given.many("property"))
    language = given.text("displayLanguage")
    languages = {name.removeprefix("lang.") for name in wanted if name.startswith("lang.")}
    designations = [
        {
            "name": "designation",
            "part": [
                {"name": name, f"value{kind}": one[name]}
                for name, kind in (("language", "Code"), ("use", "Coding"), ("value", "String"))
                if name in one
            ],
        }
        for one in found.entry.designations
        if not wanted or "designation" in wanted or one.get("language") in languages
    ]
    properties = [
        {
            "name": "property",
            "part": [
                {"name": "code", "valueCode": one.code},
                {"name": "value", one.key: one.value},
                *([{"name": "description", "valueString": one.words}] if one.words else []),
            ],
        }
        for one in found.properties
        if not wanted or one.code in wanted
    ]
    return result(
        name=found.name,
        version=found.entry.version,
        display=display_in(found.entry, language) or found.entry.code,
        designation=designations,
        property=properties,
    )


def _validate(ctx: Context, request: Request, body: bytes | None, id: str | None) -> Response:
    given = read_parameters(request, body, _VALIDATE)
    codings = codings_of(given, "version")
    with terminology_at(ctx, request, given) as (terminology, view, said):
        own = _given_system(view, given, id)
        url = own.url if own is not None else given.text("url")
        for coding in codings:
            if coding.setdefault("system", url) != url and url:
                raise error("invalid", "The coding is of another code system.", "coding")
            if not coding["system"]:
                raise required("url", "Name the code system: url, or the coding's own system.")

        def judge(system: str, code: str, version: str | None) -> Membership:
            asking = terminology if own is None else _only(own)
            membership = asking.validate_code(system, code, version if own is None else None)
            if not membership.known:
                raise error("not-found", f"The code system {system[:200]} is not known.", "url")
            return membership

        answer = checked(codings, judge, given, "the code system")
    return fhir_bytes(canonical_bytes(answer), 200, **said.headers)


def _subsumes(ctx: Context, request: Request, body: bytes | None, id: str | None) -> Response:
    given = read_parameters(request, body, _SUBSUMES)
    with terminology_at(ctx, request, given) as (terminology, view, said):
        own = None if id is None else CodeSystem(view.read("CodeSystem", id).resource())
        if own is not None:
            terminology = _only(own)
        default = own.url if own is not None else ""
        a = _one_coding(given, "codeA", "codingA", "system", default)
        b = _one_coding(given, "codeB", "codingB", "system", default)
        if a["system"] != b["system"] or (own is not None and a["system"] != own.url):
            raise error("not-supported", "Both codes must be of the same code system.", "codingB")
        version = None if own is not None else a.get("version") or None
        outcome = terminology.subsumes(a["system"], a["code"], b["code"], version)
        if outcome is None:
            raise _not_told(terminology, a, b, version)
    answer = {
        "resourceType": "Parameters",
        "parameter": [{"name": "outcome", "valueCode": outcome}],
    }
    return fhir_bytes(canonical_bytes(answer), 200, **said.headers)


def _not_told(terminology: Terminology, a: Json, b: Json, version: str | None) -> Exception:
    """Why the relation of two codes cannot be told."""
    found = terminology.code_system(a["system"], version)
    if found is None and structured.find(a["system"]) is None:
        return error("not-found", f"The code system {a['system'][:200]} is not known.", "system")
    for coding in (a, b):
        if terminology.validate_code(coding["system"], coding["code"], version).result is False:
            return error("not-found", f"{_named(coding)} is no code of its code system.")
    return error(
        "unprocessable",
        f"It cannot be told from what is here of {a['system'][:200]}, or its hierarchy is no is-a.",
    )


def _given_system(view: LakeAt, given: Given, id: str | None) -> CodeSystem | None:
    """The code system that is named by the address, or given in the request."""
    inline = given.element("codeSystem")
    if (id is not None) + (inline is not None) + given.has("url") > 1:
        raise error("invalid", "The code system is named twice: address, url or codeSystem.", "url")
    if id is not None:
        return CodeSystem(view.read("CodeSystem", id).resource())
    return CodeSystem(inline) if inline is not None else None


def _only(system: CodeSystem) -> Terminology:
    """A terminology of one code system."""
    return Terminology(
        lambda kind, url: system.resource if (kind, url) == ("CodeSystem", system.url) else None
    )


def _one_coding(given: Given, code: str, coding: str, system: str, default: str = "") -> Json:
    """The coding that two parameters give, or one. FhirError `required`, `invalid`."""
    whole = given.element(coding)
    if whole is not None:
        if given.has(code):
            raise error("invalid", f"Give one of {code} and {coding}.", coding)
        found = dict(whole)
    else:
        if not given.has(code):
            raise required(code, f"Say which code: {code} with {system}, or {coding}.")
        found = {"code": given.text(code), "system": given.text(system) or default}
    if given.has("version") and not found.get("version"):
        found["version"] = given.text("version")
    for name in ("code", "system"):
        if not isinstance(found.get(name), str) or not found[name]:
            raise required(code, f"{code if whole is None else coding} lacks its {name}.")
    return found
