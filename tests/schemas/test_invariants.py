"""R4's invariants: which resource breaks which rule, and that walking finds what FHIRPath finds.

https://hl7.org/fhir/R4/conformance-rules.html#constraints
"""

from __future__ import annotations

import itertools
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.fhirpath import FhirPathError
from schemas.invariant_natives import COVERED, NATIVES, REWRITTEN, SOFTENED
from schemas.invariant_presence import verdict
from schemas.invariant_rules import BEST_PRACTICE, plan_of
from schemas.invariants import issues
from schemas.structure import PRIMITIVE_TYPES, TYPES, load_definitions
from schemas.validate import inspect, validate

CODE = {"coding": [{"system": "http://loinc.org", "code": "1"}]}
OBSERVATION: dict[str, Any] = {"resourceType": "Observation", "status": "final", "code": CODE}


def broken(resource: dict[str, Any], **more: Any) -> list[tuple[str, str, str]]:
    """(severity, key, place) of each issue; the same whether it is known to have no extension."""
    if not inspect(resource).extended:
        assert issues(resource, **more) == issues(resource, **more, extended=False)
    found = []
    for issue in issues(resource, **more):
        assert issue.code == "invariant"
        (place,) = issue.expression
        key = issue.diagnostics.partition(" breaks the rule ")[2].partition(":")[0]
        found.append((issue.severity, key, place))
    return found


@pytest.mark.parametrize(
    ("resource", "expected"),
    [
        ({**OBSERVATION, "valueString": "x"}, []),
        (
            {**OBSERVATION, "valueString": "x", "dataAbsentReason": CODE},
            [("error", "obs-6", "Observation")],
        ),
        (
            {**OBSERVATION, "valueString": "x", "component": [{"code": CODE}]},
            [("error", "obs-7", "Observation")],
        ),
        ({**OBSERVATION, "valueString": "x", "component": [{"code": {"text": "y"}}]}, []),
        (
            {**OBSERVATION, "referenceRange": [{"text": "x"}, {"age": {"low": {"value": 1}}}]},
            [("error", "obs-3", "Observation.referenceRange[1]")],
        ),
        (
            {**OBSERVATION, "valueQuantity": {"value": Decimal(1), "code": "mg"}},
            [("error", "qty-3", "Observation.valueQuantity")],
        ),
        (
            {**OBSERVATION, "effectivePeriod": {"start": "2024-05-02", "end": "2024-05-01"}},
            [("error", "per-1", "Observation.effectivePeriod")],
        ),
        (
            {**OBSERVATION, "effectivePeriod": {
                "start": "2024-05-01T10:00:00+02:00", "end": "2024-05-01T09:00:00Z"}},
            [],
        ),
        (
            {**OBSERVATION, "effectivePeriod": {
                "start": "2024-05-01T10:00:00Z", "end": "2024-05-01T10:00:00+02:00"}},
            [("error", "per-1", "Observation.effectivePeriod")],
        ),
        ({**OBSERVATION, "effectivePeriod": {"start": "2024-05-01", "end": "2024-05"}}, []),
        (
            {**OBSERVATION, "valueRange": {"low": {"value": Decimal(2)}, "high": {"value": 1}}},
            [("error", "rng-2", "Observation.valueRange")],
        ),
        (
            {"resourceType": "Patient", "contact": [{"gender": "male"}]},
            [("error", "pat-1", "Patient.contact[0]")],
        ),
        (
            {"resourceType": "Patient", "telecom": [{"value": "555"}]},
            [("error", "cpt-2", "Patient.telecom[0]")],
        ),
        (
            {"resourceType": "Patient", "extension": [
                {"url": "http://e", "valuePeriod": {"start": "2024", "end": "2023"}}]},
            [("error", "per-1", "Patient.extension[0].valuePeriod")],
        ),
        (
            {"resourceType": "Patient", "birthDate": "2000", "_birthDate": {"extension": [
                {"url": "http://e", "valuePeriod": {"start": "2024", "end": "2023"}}]}},
            [("error", "per-1", "Patient._birthDate.extension[0].valuePeriod")],
        ),
        (
            {"resourceType": "Organization", "name": "x", "address": [{"use": "home"}],
             "telecom": [{"system": "phone", "use": "work"}, {"system": "phone", "use": "home"}]},
            [("error", "org-2", "Organization.address[0]"),
             ("error", "org-3", "Organization.telecom[1]")],
        ),
        ({"resourceType": "Organization", "active": True}, [("error", "org-1", "Organization")]),
        (
            {"resourceType": "Condition", "subject": {"reference": "Patient/1"},
             "abatementDateTime": "2024"},
            [("error", "con-4", "Condition")],
        ),
        (
            {"resourceType": "Bundle", "type": "collection", "total": 1, "entry": [
                {"resource": {"resourceType": "Patient", "contact": [{"gender": "male"}]}}]},
            [("error", "bdl-1", "Bundle"),
             ("error", "pat-1", "Bundle.entry[0].resource.contact[0]")],
        ),
        (
            {"resourceType": "Bundle", "type": "transaction", "entry": [
                {"resource": {"resourceType": "Patient"}}]},
            [("error", "bdl-3", "Bundle")],
        ),
        (
            {"resourceType": "Bundle", "type": "collection", "entry": [
                {"fullUrl": "urn:uuid:1", "resource": {"resourceType": "Patient"}},
                {"fullUrl": "urn:uuid:1", "resource": {"resourceType": "Patient"}}]},
            [("error", "bdl-7", "Bundle")],
        ),
        (
            {"resourceType": "Bundle", "type": "collection", "entry": [
                {"fullUrl": "urn:uuid:1", "resource": {"resourceType": "Patient"}},
                {"fullUrl": "urn:uuid:1", "resource": {
                    "resourceType": "Patient", "meta": {"versionId": "2"}}}]},
            [],
        ),
        (
            {"resourceType": "Bundle", "type": "history", "entry": [
                {"fullUrl": "http://e/Patient/1", "request": {"method": "DELETE", "url": "x"}}]},
            [("error", "bdl-4", "Bundle")],
        ),
        (
            {"resourceType": "Parameters", "parameter": [{"name": "x", "valueString": "y",
             "part": [{"name": "z", "valueString": "y"}]}]},
            [("error", "inv-1", "Parameters.parameter[0]")],
        ),
        (
            {"resourceType": "Questionnaire", "status": "draft", "item": [
                {"linkId": "1", "type": "boolean"},
                {"linkId": "1", "type": "display", "readOnly": True}]},
            [("error", "que-2", "Questionnaire"), ("error", "que-9", "Questionnaire.item[1]")],
        ),
        (
            {"resourceType": "Questionnaire", "status": "draft", "item": [
                {"linkId": "1", "type": "string", "enableWhen": [
                    {"question": "2", "operator": "exists", "answerBoolean": True},
                    {"question": "2", "operator": "exists", "answerString": "x"}]}]},
            [("error", "que-7", "Questionnaire.item[0].enableWhen[1]")],
        ),
        (
            {"resourceType": "CodeSystem", "status": "draft", "content": "complete", "concept": [
                {"code": "a", "concept": [{"code": "b"}]}, {"code": "b"}]},
            [("error", "csd-1", "CodeSystem")],
        ),
        (
            {"resourceType": "ValueSet", "status": "draft", "name": "no name"},
            [("warning", "vsd-0", "ValueSet")],
        ),
    ],
)  # fmt: skip
def test_a_broken_rule_is_named_with_its_place(
    resource: dict[str, Any], expected: list[tuple[str, str, str]]
) -> None:
    assert validate(resource) == []
    assert broken(resource) == expected


@pytest.mark.parametrize(
    ("resource", "extended"),
    [
        (OBSERVATION, False),
        ({**OBSERVATION, "_status": {"id": "s"}}, True),
        ({**OBSERVATION, "code": {**CODE, "extension": [{"url": "u", "valueCode": "c"}]}}, True),
        (
            {**OBSERVATION, "contained": [
                {"resourceType": "Patient", "id": "p", "_active": {"id": "a"}}]},
            True,
        ),
    ],
)  # fmt: skip
def test_a_resource_without_extensions_is_told_from_others(
    resource: dict[str, Any], extended: bool
) -> None:
    assert inspect(resource).extended is extended


def test_contained_resources_are_looked_at_with_their_own_rules() -> None:
    organization = {"resourceType": "Organization", "id": "o", "name": "x"}
    patient: dict[str, Any] = {
        "resourceType": "Patient",
        "contained": [organization],
        "managingOrganization": {"reference": "#o"},
    }
    assert broken(patient) == []
    del patient["managingOrganization"]
    assert broken(patient) == [("error", "dom-3", "Patient")]
    organization["partOf"] = {"reference": "#"}
    assert broken(patient) == []
    organization["meta"] = {"versionId": "1", "security": [{"code": "R"}]}
    del organization["name"]
    assert [key for _, key, _ in broken(patient)] == ["dom-4", "dom-5", "org-1"]


def test_one_resource_of_a_transaction_sees_its_own_resource() -> None:
    one = {**OBSERVATION, "valueString": "x", "component": [{"code": CODE}]}
    two = {**OBSERVATION, "code": {"text": "y"}, "valueString": "x", "component": [{"code": CODE}]}
    bundle = {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [{"resource": one}, {"resource": two}],
    }
    assert broken(bundle) == [("error", "obs-7", "Bundle.entry[0].resource")]


@pytest.mark.parametrize(
    ("div", "expected"),
    [
        ("<p>Text &nbsp; &amp; <img src='#a' alt='x'/></p>", []),
        ("<table><tr><td style='color: red'>x</td></tr></table>", []),
        ("<script>x</script>", ["txt-1"]),
        ("<p onclick='x'>y</p>", ["txt-1"]),
        ("<p>x", ["txt-1"]),
        ("<form>x</form>", ["txt-1"]),
        ("<p xmlns='http://e'>x</p>", ["txt-1"]),
        ("&unknown; x", ["txt-1"]),
        ("  ", ["txt-2"]),
    ],
)
def test_a_narrative_has_basic_formatting_and_content(div: str, expected: list[str]) -> None:
    text = {"status": "generated", "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{div}</div>'}
    found = broken({**OBSERVATION, "text": text})
    assert [(key, place) for _, key, place in found if key == "txt-1"] == [
        (key, "Observation.text.div") for key in expected if key == "txt-1"
    ]
    assert ("warning", "txt-2", "Observation.text.div") in found or "txt-2" not in expected


def test_a_document_type_in_a_narrative_is_refused() -> None:
    bomb = '<!DOCTYPE d [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><div>&b;</div>'
    found = broken({**OBSERVATION, "text": {"status": "generated", "div": bomb}})
    assert ("error", "txt-1", "Observation.text.div") in found


def test_a_missing_narrative_is_advice_and_said_only_when_asked_for() -> None:
    assert broken(OBSERVATION) == []
    assert broken(OBSERVATION, best_practice=True) == [("warning", "dom-6", "Observation")]


def test_a_problem_without_a_status_is_advice_too() -> None:
    condition = {
        "resourceType": "Condition",
        "subject": {"reference": "Patient/1"},
        "category": [{"coding": [{"code": "problem-list-item"}]}],
    }
    assert ("warning", "con-3", "Condition") in broken(condition, best_practice=True)
    condition["category"] = [{"coding": [{"code": "encounter-diagnosis"}]}]
    assert ("warning", "con-3", "Condition") not in broken(condition, best_practice=True)


def test_issues_name_no_values() -> None:
    resource = {**OBSERVATION, "effectivePeriod": {"start": "2024-12-31", "end": "2024-12-01"}}
    (issue,) = issues(resource)
    assert "2024" not in issue.diagnostics
    assert "If present, start SHALL have a lower value than end" in issue.diagnostics


def test_at_most_a_hundred_issues_are_listed() -> None:
    contacts = [{"gender": "male"}] * 500
    found = issues({"resourceType": "Patient", "contact": contacts})
    assert len(found) == 101
    assert "more than 100" in found[-1].diagnostics


SAMPLES = {
    "boolean": True, "integer": 1, "positiveInt": 1, "unsignedInt": 1, "decimal": Decimal("1.5"),
    "date": "2024-05-01", "dateTime": "2024-05-01", "instant": "2024-05-01T10:00:00Z",
    "time": "10:00:00",
}  # fmt: skip


def _sample(type_name: str, name: str) -> dict[str, Any]:
    element = TYPES[type_name].elements[name]
    key, kind = next(iter(element.json_names.items()))
    value: Any = SAMPLES.get(kind, "x") if kind in PRIMITIVE_TYPES else {"id": "x"}
    return {key: [value] if element.many else value}


def _types_with_rules() -> list[str]:
    return sorted({row[0] for row in load_definitions("invariants.json.gz") if not row[1]})


@pytest.mark.parametrize("type_name", _types_with_rules())
def test_presence_says_what_the_expression_says(type_name: str) -> None:
    """The oracle: an element made of nothing but presence, evaluated in full."""
    plan = plan_of("Patient" if type_name == "DomainResource" else type_name)
    triggered = [rule for slot in plan.slots.values() for rule in slot.triggered]
    checked = 0
    for rule in {rule.key: rule for rule in (*plan.always, *triggered)}.values():
        tree = rule.expression.tree
        known = [name for name, keys in _names_of(plan.type_name, rule)]
        for there in itertools.product((False, True), repeat=len(known)):
            present = dict(zip(known, there, strict=True))
            said = verdict(tree, present, plan.type_name)
            if said is None:
                continue
            node: dict[str, Any] = {}
            for name in known:
                if present[name]:
                    node |= _sample(plan.type_name, name)
            try:
                holds = rule.expression.holds(node, type_name=plan.type_name, resource=node)
            except FhirPathError:
                continue
            assert said is holds, (rule.key, present)
            checked += 1
    assert checked or all(rule.native for rule in (*plan.always, *triggered)) or not triggered


def _names_of(type_name: str, rule: Any) -> list[tuple[str, tuple[str, ...]]]:
    by_key = {
        key: element.name
        for element in TYPES[type_name].elements.values()
        for key in element.json_names
    }
    return [(by_key[keys[0]], keys) for _, keys in rule.presence]


def test_a_rule_waits_for_an_element_without_which_it_holds() -> None:
    plan = plan_of("Observation")
    assert [rule.key for rule in plan.always if rule.severity != BEST_PRACTICE] == []
    assert "obs-7" in [rule.key for rule in plan.slots["component"].triggered]


def test_every_special_treatment_is_of_a_rule_that_exists() -> None:
    keys = {row[2] for row in load_definitions("invariants.json.gz")}
    assert {*NATIVES, *COVERED, *REWRITTEN, *SOFTENED} <= keys


BUNDLE_TYPES = st.sampled_from(["transaction", "history", "batch-response", "collection"])
ENTRIES = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "fullUrl": st.sampled_from(["urn:uuid:1", "urn:uuid:2"]),
            "request": st.just({"method": "GET", "url": "x"}),
            "response": st.just({"status": "200"}),
            "resource": st.sampled_from(
                [
                    {"resourceType": "Patient"},
                    {"resourceType": "Patient", "meta": {"versionId": "1"}},
                ]
            ),
        },
    ),
    max_size=4,
)
CONTAINED = st.lists(
    st.fixed_dictionaries(
        {"resourceType": st.just("Organization")},
        optional={
            "meta": st.sampled_from([{"versionId": "1"}, {"security": [{"code": "R"}]}]),
            "contained": st.just([{"resourceType": "Patient"}]),
        },
    ),
    max_size=3,
)
CONCEPTS = st.recursive(
    st.lists(st.fixed_dictionaries({"code": st.sampled_from("abcdefgh")}), max_size=3),
    lambda inner: st.lists(
        st.fixed_dictionaries({"code": st.sampled_from("abcdefgh"), "concept": inner}), max_size=3
    ),
    max_leaves=6,
)
PERIODS = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(
        ("start", "end"),
        st.sampled_from(
            ["2024", "2024-05", "2024-05-01", "2024-05-01T10:00:00Z", "2024-05-01T10:00:00.5Z",
             "2024-05-01T10:00:00+14:00", "2025-01-01T00:00:00-05:00", "2023-12-31"]
        ),
    ),
)  # fmt: skip


@given(
    st.one_of(
        st.builds(
            lambda kind, entry: ("Bundle", {"type": kind, "entry": entry}), BUNDLE_TYPES, ENTRIES
        ),
        st.builds(lambda contained: ("Patient", {"contained": contained}), CONTAINED),
        st.builds(lambda concept: ("CodeSystem", {"concept": concept}), CONCEPTS),
        st.builds(lambda period: ("Period", period), PERIODS),
    )
)
def test_what_is_checked_in_python_is_what_the_expression_says(case: tuple[str, dict]) -> None:
    """The oracle of the rules that R4's expressions state well."""
    type_name, node = case
    resource = node if type_name == "Period" else {"resourceType": type_name, **node}
    plan = plan_of(type_name)
    rules = [*plan.always, *(rule for slot in plan.slots.values() for rule in slot.triggered)]
    for rule in rules:
        if rule.native is None or rule.key == "dom-3":
            continue
        said = rule.native(resource)
        holds = rule.expression.holds(resource, type_name=type_name, resource=resource)
        assert said is None or said is holds, rule.key


KEYS = sorted(
    {
        *("contained", "extension", "_birthDate", "meta", "text", "div", "value", "valuePeriod"),
        *("start", "end", "entry", "resource", "fullUrl", "type", "concept", "code", "component"),
        *("valueQuantity", "valueString", "telecom", "address", "contact", "id", "system", "item"),
        *("linkId", "name", "repeat", "when", "offset", "coding", "reference", "versionId"),
    }
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3) | st.just("Observation"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner),
    max_leaves=10,
)


@given(
    st.sampled_from(["Patient", "Bundle", "Observation", "CodeSystem", "Questionnaire", "x"]),
    st.dictionaries(st.sampled_from([*KEYS, "resourceType"]), JSON),
)
def test_odd_resources_raise_nothing(kind: str, resource: dict[str, Any]) -> None:
    for one in issues({**resource, "resourceType": kind}):
        assert one.severity in ("error", "warning", "information")
