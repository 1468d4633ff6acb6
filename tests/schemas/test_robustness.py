"""Whatever a client sends, nothing in `schemas` raises anything but what it says it does."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from schemas.clinical_dates import cared_for_in
from schemas.compartments import patient_ids
from schemas.fhir_xml_parser import from_xml
from schemas.fhir_xml_serializer import to_xml
from schemas.ids import iter_references
from schemas.notes import note_text
from schemas.outcomes import FhirError, error, operation_outcome
from schemas.parse import canonical_bytes, parse_json
from schemas.search_values import extract
from schemas.structure import TYPES
from schemas.summary import SUMMARIES, is_subsetted, parse_elements, subset_issues, summary
from schemas.validate import validate
from schemas.views import flatten

_KEYS = sorted(
    {key for kind in ("Patient", "Observation", "Extension", "DocumentReference", "Coding")
     for key in TYPES[kind].json_names}
    | {"reference", "identifier", "value", "resourceType", "_birthDate", "url", "attachment",
       "contentType", "data"}
)  # fmt: skip
_TYPES = ["Patient", "Observation", "DocumentReference", "Bundle", "MedicationStatement"]
_ODD = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.decimals(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["", "x", "2023-02-30", "Patient/1", "#a", "urn:x", "text/plain", *_TYPES]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_KEYS), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(st.sampled_from(_TYPES), st.dictionaries(st.sampled_from(_KEYS), _ODD, max_size=6))
def test_odd_resources(kind: str, elements: dict[str, Any]) -> None:
    resource = {**elements, "resourceType": kind}
    before = copy.deepcopy(resource)
    issues = validate(resource)
    assert parse_json(canonical_bytes(operation_outcome(issues)))
    extract(resource)
    flatten(resource)
    patient_ids(resource)
    list(iter_references(resource))
    assert resource == before


@given(st.sampled_from(_TYPES), st.dictionaries(st.sampled_from(_KEYS), _ODD, max_size=6))
def test_odd_resources_in_other_forms(kind: str, elements: dict[str, Any]) -> None:
    resource = {**elements, "resourceType": kind}
    before = copy.deepcopy(resource)
    for keep in (*map(summary, SUMMARIES), parse_elements("id").keep):
        if keep is not None:
            assert is_subsetted(keep(resource))
    subset_issues(resource)
    cared_for_in(resource, 0, 1)
    try:
        xml = to_xml(resource)
    except FhirError as failure:
        assert failure.category == "not-acceptable"
    else:
        assert from_xml(xml)["resourceType"] == kind
    assert resource == before


_XML = st.recursive(
    st.sampled_from(["", "x", "<!-- c -->", '<id value="1"/>', '<active value="x"/>', "&amp;"]),
    lambda inner: st.builds(
        "<{0} {1}>{2}</{0}>".format,
        st.sampled_from(["name", "contained", "Patient", "extension", "text", "gender", "h:div"]),
        st.sampled_from(["", 'url="u"', 'value="1"', 'id="i"', 'xmlns="urn:x"', 'q:x="1"']),
        st.lists(inner, max_size=3).map("".join),
    ),
    max_leaves=12,
)


@given(_XML)
def test_odd_xml(inner: str) -> None:
    head = '<Patient xmlns="http://hl7.org/fhir" xmlns:h="http://www.w3.org/1999/xhtml">'
    try:
        resource = from_xml(f"{head}{inner}</Patient>".encode())
    except FhirError as failure:
        assert failure.category in ("invalid", "structure")
        return
    validate(resource)
    canonical_bytes(resource)


@given(st.lists(st.dictionaries(st.sampled_from(["attachment"]), _ODD), max_size=2))
def test_odd_notes(content: list[Any]) -> None:
    def read(id: str) -> tuple[str, bytes]:
        raise error("not-found", id)

    try:
        note_text({"resourceType": "DocumentReference", "content": content}, read)
    except FhirError:
        return
