"""FHIRPath Patch: what each operation does to which JSON, and what is refused.

https://hl7.org/fhir/R4/fhirpatch.html
"""

from __future__ import annotations

import copy
from typing import Any

import pytest

from schemas.fhirpath_patch import apply_fhirpath_patch, read_fhirpath_patch
from schemas.outcomes import FhirError
from schemas.parse import canonical_bytes, parse_json
from schemas.validate import validate


def operation(kind: str, path: str, **more: Any) -> dict[str, Any]:
    parts: list[dict[str, Any]] = [
        {"name": "type", "valueCode": kind},
        {"name": "path", "valueString": path},
    ]
    for name, value in more.items():
        if name == "name":
            parts.append({"name": name, "valueString": value})
        elif name in ("index", "source", "destination"):
            parts.append({"name": name, "valueInteger": value})
        else:
            parts.append({"name": "value", **value})
    return {"name": "operation", "part": parts}


def patched(resource: dict[str, Any], *operations: dict[str, Any]) -> dict[str, Any]:
    patch = read_fhirpath_patch({"resourceType": "Parameters", "parameter": list(operations)})
    whole = {"resourceType": "Patient", **resource}
    result = apply_fhirpath_patch(copy.deepcopy(whole), patch)
    # The patch may be applied again, and gives the same.
    assert apply_fhirpath_patch(copy.deepcopy(whole), patch) == result
    return {name: value for name, value in result.items() if name != "resourceType"}


EXTENSION = {"url": "http://example.org/x", "valueBoolean": True}
GIVEN = {"name": [{"given": ["A", "B"], "_given": [None, {"id": "b"}]}]}


@pytest.mark.parametrize(
    ("before", "done", "after"),
    [
        # add
        ({}, operation("add", "Patient", name="birthDate", value={"valueDate": "1930-01-01"}),
         {"birthDate": "1930-01-01"}),
        ({"contact": [{"gender": "male"}]},
         operation("add", "Patient.contact[0]", name="name",
                   value={"valueHumanName": {"text": "a"}}),
         {"contact": [{"gender": "male", "name": {"text": "a"}}]}),
        ({"identifier": [{"value": "1"}]},
         operation("add", "Patient", name="identifier", value={"valueIdentifier": {"value": "2"}}),
         {"identifier": [{"value": "1"}, {"value": "2"}]}),
        ({}, operation("add", "Patient", name="deceased", value={"valueBoolean": True}),
         {"deceasedBoolean": True}),
        ({}, operation("add", "Patient", name="deceasedBoolean", value={"valueBoolean": True}),
         {"deceasedBoolean": True}),
        ({}, operation("add", "Patient", name="contact", value={"part": [
            {"name": "name", "valueHumanName": {"text": "a"}},
            {"name": "gender", "valueCode": "male"},
            {"name": "telecom", "valueContactPoint": {"value": "1"}},
            {"name": "telecom", "valueContactPoint": {"value": "2"}}]}),
         {"contact": [{"name": {"text": "a"}, "gender": "male",
                       "telecom": [{"value": "1"}, {"value": "2"}]}]}),
        ({"birthDate": "1920-01-01"},
         operation("add", "Patient.birthDate", name="extension",
                   value={"part": [
                       {"name": "url", "valueUri": "http://example.org/x"},
                       {"name": "value", "valueBoolean": True}]}),
         {"birthDate": "1920-01-01", "_birthDate": {"extension": [EXTENSION]}}),
        (GIVEN, operation("add", "Patient.name", name="given", value={"valueString": "C"}),
         {"name": [{"given": ["A", "B", "C"], "_given": [None, {"id": "b"}, None]}]}),
        ({"name": [{"given": ["A"]}]},
         operation("add", "Patient.name.given[0]", name="extension",
                   value={"part": [{"name": "url", "valueUri": "http://example.org/x"},
                                   {"name": "value", "valueBoolean": True}]}),
         {"name": [{"given": ["A"], "_given": [{"extension": [EXTENSION]}]}]}),
        ({}, operation("add", "Patient", name="contained",
                       value={"resource": {"resourceType": "Organization", "id": "o"}}),
         {"contained": [{"resourceType": "Organization", "id": "o"}]}),
        ({}, operation("add", "Patient", name="birthDate",
                       value={"_valueDate": {"extension": [EXTENSION]}}),
         {"_birthDate": {"extension": [EXTENSION]}}),
        # insert
        ({"identifier": [{"value": "1"}, {"value": "2"}]},
         operation("insert", "Patient.identifier", index=1,
                   value={"valueIdentifier": {"value": "3"}}),
         {"identifier": [{"value": "1"}, {"value": "3"}, {"value": "2"}]}),
        ({"identifier": [{"value": "1"}]},
         operation("insert", "Patient.identifier", index=1,
                   value={"valueIdentifier": {"value": "3"}}),
         {"identifier": [{"value": "1"}, {"value": "3"}]}),
        ({}, operation("insert", "Patient.identifier", index=0,
                       value={"valueIdentifier": {"value": "3"}}),
         {"identifier": [{"value": "3"}]}),
        (GIVEN, operation("insert", "Patient.name[0].given", index=0, value={"valueString": "Z"}),
         {"name": [{"given": ["Z", "A", "B"], "_given": [None, None, {"id": "b"}]}]}),
        # delete
        ({"birthDate": "1920-01-01", "_birthDate": {"id": "1"}},
         operation("delete", "Patient.birthDate"), {}),
        ({"contact": [{"name": {"text": "a"}, "gender": "male"}]},
         operation("delete", "Patient.contact[0].name.text"), {"contact": [{"gender": "male"}]}),
        ({"contact": [{"name": {"text": "a"}}]},
         operation("delete", "Patient.contact[0].name.text"), {}),
        ({"identifier": [{"value": "1"}, {"value": "2"}]},
         operation("delete", "Patient.identifier.where(value = '1')"),
         {"identifier": [{"value": "2"}]}),
        ({"active": True}, operation("delete", "Patient.birthDate"), {"active": True}),
        (GIVEN, operation("delete", "Patient.name.given[1]"), {"name": [{"given": ["A"]}]}),
        (GIVEN, operation("delete", "Patient.name.given[0]"),
         {"name": [{"given": ["B"], "_given": [{"id": "b"}]}]}),
        ({"birthDate": "1920", "_birthDate": {"extension": [EXTENSION]}},
         operation("delete", "Patient.birthDate.extension[0]"), {"birthDate": "1920"}),
        # replace
        ({"birthDate": "1920-01-01", "active": True},
         operation("replace", "Patient.birthDate", value={"valueDate": "1930-01-01"}),
         {"birthDate": "1930-01-01", "active": True}),
        ({"birthDate": "1920", "_birthDate": {"id": "1"}},
         operation("replace", "Patient.birthDate", value={"valueDate": "1930"}),
         {"birthDate": "1930"}),
        ({"maritalStatus": {"id": "1", "text": "m"}},
         operation("replace", "Patient.maritalStatus",
                   value={"valueCodeableConcept": {"id": "2", "text": "n"}}),
         {"maritalStatus": {"id": "2", "text": "n"}}),
        ({"deceasedBoolean": True, "gender": "male"},
         operation("replace", "Patient.deceased", value={"valueDateTime": "2020"}),
         {"deceasedDateTime": "2020", "gender": "male"}),
        (GIVEN, operation("replace", "Patient.name.given[1]", value={"valueString": "C"}),
         {"name": [{"given": ["A", "C"]}]}),
        ({"contact": [{"gender": "male"}]},
         operation("replace", "Patient.contact[0].gender", value={"valueString": "female"}),
         {"contact": [{"gender": "female"}]}),
        # move
        ({"identifier": [{"value": v} for v in "1234"]},
         operation("move", "Patient.identifier", source=3, destination=1),
         {"identifier": [{"value": v} for v in "1423"]}),
        ({"identifier": [{"value": v} for v in "1234"]},
         operation("move", "Patient.identifier", source=0, destination=3),
         {"identifier": [{"value": v} for v in "2341"]}),
        (GIVEN, operation("move", "Patient.name.given", source=1, destination=0),
         {"name": [{"given": ["B", "A"], "_given": [{"id": "b"}, None]}]}),
    ],
)  # fmt: skip
def test_operations(before: dict[str, Any], done: dict[str, Any], after: dict[str, Any]) -> None:
    result = patched(before, done)
    assert result == after
    assert list(result) == list(after)
    assert validate({"resourceType": "Patient", **result}, "Patient") == []


def test_operations_see_what_those_before_them_did() -> None:
    result = patched(
        {},
        operation("add", "Patient", name="name", value={"valueHumanName": {"family": "A"}}),
        operation("add", "Patient.name", name="given", value={"valueString": "B"}),
        operation("replace", "Patient.name.family", value={"valueString": "C"}),
    )
    assert result == {"name": [{"family": "C", "given": ["B"]}]}


def test_decimals_keep_their_digits() -> None:
    resource = parse_json(b'{"resourceType":"Observation","valueQuantity":{"value":1.50}}')
    patch = parse_json(
        b'{"parameter":[{"name":"operation","part":[{"name":"type","valueCode":"add"},'
        b'{"name":"path","valueString":"Observation.value"},{"name":"name","valueString":"unit"},'
        b'{"name":"value","valueString":"mg"}]},{"name":"operation","part":['
        b'{"name":"type","valueCode":"add"},{"name":"path","valueString":"Observation"},'
        b'{"name":"name","valueString":"component"},{"name":"value","part":['
        b'{"name":"value","valueQuantity":{"value":2.00}}]}]}]}'
    )
    result = canonical_bytes(apply_fhirpath_patch(resource, read_fhirpath_patch(patch)))
    assert b'"value":1.50,"unit":"mg"' in result
    assert b'"component":[{"valueQuantity":{"value":2.00}}]' in result


@pytest.mark.parametrize(
    "parameter",
    [
        {"name": "other"},
        "x",
        operation("spoil", "Patient"),
        operation("add", "Patient", name="active"),
        operation("add", "Patient", value={"valueBoolean": True}),
        operation("delete", "Patient.active", name="x"),
        operation("delete", "Patient.("),
        operation("delete", "Patient.nonsense()"),
        operation("insert", "Patient.name", value={"valueHumanName": {}}, index=-1),
        operation("insert", "Patient.name", value={"valueNothing": {}}, index=0),
        operation("insert", "Patient.name", value={}, index=0),
        operation("replace", "Patient.active", value={"valueBoolean": True, "valueString": "x"}),
        {"name": "operation", "part": [{"name": "type", "valueString": 1}]},
        {"name": "operation", "part": [{"name": "surplus", "valueString": "x"}]},
        {
            "name": "operation",
            "part": [*operation("delete", "Patient.active")["part"], {"name": "type"}],
        },
    ],
)
def test_what_is_no_patch_is_invalid(parameter: Any) -> None:
    with pytest.raises(FhirError) as refused:
        read_fhirpath_patch({"parameter": [operation("delete", "Patient.active"), parameter]})
    assert refused.value.category == "invalid"
    assert refused.value.issues[0].expression[0].startswith("Parameters.parameter[1]")


@pytest.mark.parametrize(
    "done",
    [
        operation("add", "Patient", name="nothing", value={"valueString": "x"}),
        operation("add", "Patient", name="gender", value={"valueCode": "male"}),
        operation("add", "Patient", name="deceased", value={"valueString": "x"}),
        operation("add", "Patient", name="birthDate", value={"valueBoolean": True}),
        operation("add", "Patient.contact", name="gender", value={"valueCode": "male"}),
        operation("add", "Patient.nothing", name="gender", value={"valueCode": "male"}),
        operation("add", "1 + 1", name="gender", value={"valueCode": "male"}),
        operation("delete", "Patient.identifier"),
        operation("delete", "Patient"),
        operation("replace", "Patient.birthDate", value={"valueDate": "1930"}),
        operation("replace", "Patient.identifier", value={"valueIdentifier": {"value": "x"}}),
        operation("replace", "Patient", value={"resource": {"resourceType": "Patient"}}),
        operation("insert", "Patient.identifier", index=3, value={"valueIdentifier": {}}),
        operation("insert", "Patient.gender", index=0, value={"valueCode": "male"}),
        operation("insert", "Patient.birthDate", index=0, value={"valueDate": "1930"}),
        operation("move", "Patient.identifier", source=2, destination=0),
        operation("move", "Patient.identifier", source=0, destination=2),
        operation("move", "Patient.name", source=0, destination=0),
        operation("move", "Patient.identifier.value", source=0, destination=0),
        operation("delete", "iif(Patient.identifier.single().exists(), {}, {})"),
    ],
)
def test_what_cannot_be_done_is_unprocessable(done: dict[str, Any]) -> None:
    before = {
        "gender": "male",
        "identifier": [{"value": "1"}, {"value": "2"}],
        "contact": [{"gender": "female"}, {"gender": "male"}],
    }
    with pytest.raises(FhirError) as refused:
        patched(before, done)
    assert refused.value.category == "unprocessable"
    assert refused.value.issues[0].expression == ("Parameters.parameter[0]",)
