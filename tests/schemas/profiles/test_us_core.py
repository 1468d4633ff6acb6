"""US Core 6.1.0: its own examples are valid, and broken ones are not."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest

from schemas.outcomes import Issue
from schemas.validate import validate
from tests.schemas.profiles.conftest import UsCore

Json = dict[str, Any]
CORE = "http://hl7.org/fhir/us/core/StructureDefinition/"

# Claimed by examples, and not in the package: SDC's.
ELSEWHERE = "http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-questionnaire"
# Derives from a profile of SDC, so that it cannot be applied without its snapshot.
ON_SDC = CORE + "us-core-questionnaireresponse"
# `telecom or endpoint` with two telecoms is no boolean: it cannot be evaluated, which is a warning.
# https://hl7.org/fhirpath/N1/#singleton-evaluation-of-collections
NOT_EVALUATED = "pd-1"


def claims(us_core: UsCore) -> Iterator[tuple[Json, str]]:
    for example in us_core.examples.values():
        entries = example.get("entry", ()) if example["resourceType"] == "Bundle" else ()
        for one in (example, *(entry["resource"] for entry in entries)):
            for url in one.get("meta", {}).get("profile", ()):
                yield one, url


def errors(us_core: UsCore, resource: Json, url: str) -> list[Issue]:
    found = [*validate(resource), *us_core.profiles.validate(resource, url)]
    return [issue for issue in found if issue.severity == "error"]


def test_every_profile_compiles_and_is_checked_in_full(us_core: UsCore) -> None:
    assert len(us_core.definitions) == 59
    for url in us_core.definitions:
        compiled = us_core.profiles.compiled(url)
        assert compiled is not None
        assert compiled.notes == []


def test_every_example_is_valid_against_the_profiles_it_claims(us_core: UsCore) -> None:
    assert len(us_core.examples) > 170
    seen = 0
    for resource, url in claims(us_core):
        seen += 1
        issues = us_core.profiles.validate(resource, url)
        assert [issue for issue in issues if issue.severity == "error"] == []
        warned = [i for i in issues if i.severity == "warning" and i.code != "not-supported"]
        unknown = {issue.code for issue in warned} == {"not-found"}
        assert unknown == (url == ELSEWHERE)
        unevaluated = [i for i in issues if "could not be checked" in i.diagnostics]
        assert all(f" {NOT_EVALUATED}:" in issue.diagnostics for issue in unevaluated)
    assert seen > 180


def dropped(resource: Json, path: list[str]) -> Json | None:
    """A copy without the first element at the path; None where there is none."""
    copied = copy.deepcopy(resource)
    nodes = [copied]
    for name in path[:-1]:
        below = [node[name] for node in nodes if name in node]
        nodes = [item for one in below for item in (one if isinstance(one, list) else [one])]
        nodes = [node for node in nodes if isinstance(node, dict)]
    plain = path[-1].removesuffix("[x]")
    for node in nodes[:1]:
        keys = [
            key
            for key in node
            if key.removeprefix("_") == plain
            or (plain != path[-1] and key.startswith(plain) and key[len(plain)].isupper())
        ]
        for key in keys:
            del node[key]
        if keys:
            return copied
    return None


def test_without_an_element_that_is_required_it_is_not_valid(us_core: UsCore) -> None:
    broken = 0
    for resource, url in claims(us_core):
        definition = us_core.definitions.get(url)
        for element in definition["snapshot"]["element"] if definition else ():
            if element["min"] < 1 or ":" in element["id"] or "." not in element["id"]:
                continue
            mutant = dropped(resource, element["path"].split(".")[1:])
            if mutant is not None:
                broken += 1
                assert errors(us_core, mutant, url), (url, element["id"])
                if url != ON_SDC:
                    found = [*validate(mutant), *us_core.by_differential.validate(mutant, url)]
                    assert any(issue.severity == "error" for issue in found), (url, element["id"])
    assert broken > 700


def test_the_differentials_alone_say_the_same(us_core: UsCore) -> None:
    for resource, url in claims(us_core):
        found = us_core.by_differential.validate(resource, url)
        if url == ON_SDC:
            assert "profile it derives from is not known" in found[0].diagnostics
        else:
            # A snapshot has R4's own extensible bindings besides.
            assert set(found) <= set(us_core.profiles.validate(resource, url)), url
            assert all(issue.severity != "error" for issue in found)


MUTATIONS: list[tuple[str, str, Any, str]] = [
    # example, path of what changes, what it becomes, place of the error
    ("Patient-example", "identifier.0.system", None, "Patient.identifier[0].system"),
    ("Patient-example", "name.0", {"use": "old"}, "Patient.name[0]"),
    ("Patient-example", "extension.0.extension.5.url", "words", "Patient.extension[0].extension"),
    ("Patient-example", "extension.0.valueString", "x", "Patient.extension[0].value"),
    ("Observation-blood-pressure", "code.coding.0.code", "8480-6", "Observation.code"),
    ("Observation-blood-pressure", "component", None, "Observation.component"),
    (
        "Observation-blood-pressure",
        "component.0.valueQuantity.code",
        "kPa",
        "Observation.component[0].valueQuantity.code",
    ),
    (
        "Observation-blood-pressure",
        "component.0.code.coding.0.code",
        "8462-4",
        "Observation.component[1]",
    ),
    ("Observation-blood-pressure", "category.0.coding.0.code", "exam", "Observation.category"),
    ("Observation-blood-pressure", "effectiveDateTime", "199", "Observation.effectiveDateTime"),
    ("Practitioner-practitioner-1", "identifier.0.value", "123", "Practitioner.identifier[0]"),
]


def changed(resource: Json, path: str, value: Any) -> Json:
    copied = copy.deepcopy(resource)
    *steps, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    node: Any = copied
    for step in steps:
        node = node[step]
    if value is None:
        del node[last]
    else:
        node[last] = value
    return copied


@pytest.mark.parametrize(("example", "path", "value", "place"), MUTATIONS)
def test_a_broken_example_is_refused_at_its_place(
    us_core: UsCore, example: str, path: str, value: Any, place: str
) -> None:
    resource = us_core.examples[example]
    url = resource["meta"]["profile"][0]
    found = [i.expression[0] for i in errors(us_core, changed(resource, path, value), url)]
    assert any(one.startswith(place) for one in found), found
