"""Definitions that are not as they should be: a lake that checks little may hold any.

Whatever they are, a question has an answer, or is told that it cannot be answered.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.outcomes import FhirError
from schemas.terminology import Terminology
from schemas.terminology.concept_map import Question, translate
from schemas.terminology.expansion import Options, expand
from schemas.terminology.lookup import details
from schemas.terminology.unknown import Unknown

NAMES = [
    "code", "system", "display", "compose", "include", "exclude", "filter", "property", "op",
    "value", "valueSet", "version", "concept", "designation", "language", "use", "expansion",
    "contains", "total", "offset", "extension", "url", "valueCanonical", "valueCode", "content",
    "group", "element", "source", "target", "equivalence", "dependsOn", "product", "unmapped",
    "mode", "inactive", "caseSensitive", "hierarchyMeaning", "supplements", "uri", "meta",
]  # fmt: skip
TEXTS = [
    "u", "v", "a", "b", "is-a", "regex", "=", "in", "exists", "concept", "parent", "complete",
    "fixed", "other-map", "true", "(", "http://unitsofmeasure.org", "canonical",
    "http://hl7.org/fhir/sid/icd-10-cm", "E11", "provided", "supplement",
    "http://hl7.org/fhir/StructureDefinition/valueset-supplement",
]  # fmt: skip

json_values = st.recursive(
    st.sampled_from([None, True, False, 0, 7, -1, *TEXTS]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=5)
    ),
    max_leaves=30,
)
definitions = st.dictionaries(st.sampled_from(NAMES), json_values, max_size=8)


def with_content(definition: dict[str, Any]) -> dict[str, Any]:
    return {"url": "u", "content": "complete", **definition}


@settings(max_examples=150)
@given(definitions, definitions.map(with_content), st.sampled_from(TEXTS))
def test_any_definition_is_answered(
    value_set: dict[str, Any], system: dict[str, Any], code: str
) -> None:
    def find(resource_type: str, canonical: str) -> dict[str, Any] | None:
        return {"ValueSet": value_set, "CodeSystem": system}.get(resource_type)

    terminology = Terminology(find)
    assert terminology.contains("v", "u", code) in (True, False, None)
    assert terminology.member_of(value_set.get("concept"), "v") in (True, False, None)
    assert terminology.subsumes("u", code, "a") in (
        None, "equivalent", "subsumes", "subsumed-by", "not-subsumed",
    )  # fmt: skip
    for options in (
        Options(filter=code, display_language="de", include_designations=True),
        Options(nested=True, designations=("de",), active_only=True, selectable_only=True),
    ):
        with suppress(FhirError):
            expand(terminology.compile(value_set), options)
    with suppress(FhirError):
        details(terminology, "u", code, None)
    with suppress(Unknown):
        maps = [value_set, system]
        translate(maps, Question("u", code), lambda url: system)
        translate(maps, Question("u", code, reverse=True), lambda url: None)
