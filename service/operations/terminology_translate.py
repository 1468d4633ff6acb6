"""`ConceptMap/$translate`: what a code is in another code system.

https://hl7.org/fhir/R4/conceptmap-operation-translate.html
"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from schemas.outcomes import error
from schemas.parse import canonical_bytes
from schemas.terminology import Terminology
from schemas.terminology.concept_map import Dependency, Match, Question, translate
from schemas.terminology.unknown import Unknown
from service.context import Context, Ctx, FhirBody
from service.operations.terminology_codes import codings_of
from service.operations.terminology_expand import versioned
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

_TRANSLATE: Specification = {
    "url": Parameter(),
    "conceptMap": Parameter("ConceptMap"),
    "conceptMapVersion": Parameter(),
    "code": Parameter(),
    "system": Parameter(),
    "version": Parameter(),
    "source": Parameter(),
    "coding": Parameter("Coding"),
    "codeableConcept": Parameter("CodeableConcept"),
    "target": Parameter(),
    "targetsystem": Parameter(),
    # As it is spelled from R4B on.
    "targetSystem": Parameter(),
    "dependency": Parameter("part", many=True),
    "reverse": Parameter("boolean"),
    "date": Parameter(),
}


@router.get("/ConceptMap/$translate", summary="translate a code")
@router.get("/ConceptMap/{id}/$translate", summary="translate a code by a stored map")
def translate_get(ctx: Ctx, request: Request, id: str | None = None) -> Response:
    """Parameters with `result` and a `match` for each concept that the code is mapped to."""
    return _translate(ctx, request, None, id)


@router.post("/ConceptMap/$translate", summary="translate a code")
@router.post("/ConceptMap/{id}/$translate", summary="translate a code by a stored map")
async def translate_post(
    ctx: Ctx, request: Request, body: FhirBody, id: str | None = None
) -> Response:
    """The same with Parameters."""
    return await run_in_threadpool(_translate, ctx, request, body, id)


def _translate(ctx: Context, request: Request, body: bytes | None, id: str | None) -> Response:
    given = read_parameters(request, body, _TRANSLATE)
    codings = codings_of(given, "version")
    for coding in codings:
        if not isinstance(coding.get("system"), str):
            raise required("system", "A code needs its system: a code alone could be any system's.")
    dependencies = tuple(one for part in given.many("dependency") for one in _dependencies(part))
    matches: list[Match] = []
    with terminology_at(ctx, request, given) as (terminology, view, said):
        maps = _maps(terminology, view, given, id)
        source = _value_set(view, given, "source")
        target = _value_set(view, given, "target")
        try:
            for coding in codings:
                question = Question(
                    coding["system"],
                    coding["code"],
                    str(coding.get("version", "")),
                    source,
                    target,
                    given.text("targetsystem") or given.text("targetSystem"),
                    given.flag("reverse"),
                    dependencies,
                )
                matches += translate(
                    maps, question, lambda url: terminology.find("ConceptMap", url)
                )
        except Unknown as reason:
            raise error("unprocessable", f"It cannot be translated: {reason}.") from None
    return fhir_bytes(canonical_bytes(_answer(matches)), 200, **said.headers)


def _answer(matches: list[Match]) -> Json:
    decided = [match for match in matches if not match.open_dependencies]
    open_names = sorted({name for match in matches for name in match.open_dependencies})
    message = ""
    if open_names:
        message = (
            f"{len(matches) - len(decided)} further mappings depend on other elements: give "
            f"dependency for {', '.join(open_names)}."
        )
    found = any(match.is_match for match in decided)
    if not found and not message:
        message = "No map has a match for the code."
    return result(result=found, message=message, match=[_match(match) for match in decided])


def _match(match: Match) -> Json:
    parts: list[Json] = []
    if match.equivalence:
        parts.append({"name": "equivalence", "valueCode": match.equivalence})
    coding = {
        name: value
        for name, value in (
            ("system", match.system),
            ("version", match.version),
            ("code", match.code),
            ("display", match.display),
        )
        if value is not None
    }
    if match.code is not None:
        parts.append({"name": "concept", "valueCoding": coding})
    parts += [
        {
            "name": "product",
            "part": [
                {"name": "element", "valueUri": one.get("property")},
                {
                    "name": "concept",
                    "valueCoding": {
                        name: one[key]
                        for name, key in (
                            ("system", "system"),
                            ("code", "value"),
                            ("display", "display"),
                        )
                        if key in one
                    },
                },
            ],
        }
        for one in match.products
    ]
    if match.source:
        parts.append({"name": "source", "valueUri": match.source})
    return {"name": "match", "part": parts}


def _maps(terminology: Terminology, view: LakeAt, given: Given, id: str | None) -> list[Json]:
    """The maps to look into: the one that is named, else all."""
    url, inline = given.text("url"), given.element("conceptMap")
    if (id is not None) + bool(url) + (inline is not None) > 1:
        raise error("invalid", "The map is named twice: by address, url or conceptMap.", "url")
    if id is not None:
        return [view.read("ConceptMap", id).resource()]
    if inline is not None:
        return [inline]
    if not url:
        return list(terminology.maps())
    canonical = versioned(url, given.text("conceptMapVersion"), "conceptMapVersion")
    found = terminology.find("ConceptMap", canonical)
    if found is None:
        raise error("not-found", f"The concept map {canonical[:200]} is not known.", "url")
    return [found]


def _value_set(view: LakeAt, given: Given, side: str) -> str:
    """The URL of a value set that is named by its URL, or as `ValueSet/id`."""
    named = given.text(side)
    kind, _, id = named.partition("/")
    if kind != "ValueSet":
        return named
    url = view.read("ValueSet", id).resource().get("url")
    if not isinstance(url, str):
        raise error("unprocessable", f"The value set that {side} names has no url.", side)
    return url


def _dependencies(parts: list[Json]) -> list[Dependency]:
    """What one `dependency` gives: an element's URI and its concept."""
    named = {one.get("name"): one for one in parts}
    element = named.get("element", {})
    uri = element.get("valueUri") or element.get("valueString")
    concept = named.get("concept", {}).get("valueCodeableConcept")
    if not isinstance(uri, str) or not isinstance(concept, dict):
        raise required(
            "dependency", "A dependency has the parts element (uri) and concept (CodeableConcept)."
        )
    return [
        Dependency(uri, str(coding.get("system", "")), coding["code"])
        for coding in concept.get("coding", [])
        if isinstance(coding.get("code"), str)
    ]
