"""The operations on terminology over HTTP.

https://hl7.org/fhir/R4/terminology-service.html, valueset-operations.html,
codesystem-operations.html, conceptmap-operations.html
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient

from schemas.validate import validate
from service.app import create_app
from service.settings import load_settings
from storage.lake import Lake, Put
from tests.schemas.terminology.conftest import ANIMALS, all_of, code_system, such, value_set
from tests.service.conftest import FHIR, assert_outcome

VS = "http://example.org/vs"
GENDER = "http://hl7.org/fhir/administrative-gender"
GENDERS = "http://hl7.org/fhir/ValueSet/administrative-gender"
V3_GENDER = "http://terminology.hl7.org/CodeSystem/v3-AdministrativeGender"
ICD10CM = "http://hl7.org/fhir/sid/icd-10-cm"
LARGE = "http://example.org/large"

MAP = {
    "resourceType": "ConceptMap",
    "id": "m",
    "url": "http://example.org/map",
    "status": "active",
    "sourceUri": VS,
    "targetUri": "http://example.org/latin-vs",
    "group": [
        {
            "source": ANIMALS,
            "target": "http://example.org/latin",
            "element": [
                {
                    "code": "dog",
                    "target": [
                        {"code": "canis", "display": "Canis", "equivalence": "wider"},
                        {
                            "code": "canis-m",
                            "equivalence": "equivalent",
                            "dependsOn": [
                                {"property": "http://x/sex", "system": GENDER, "value": "male"}
                            ],
                            "product": [
                                {"property": "http://x/p", "system": "http://y", "value": "z"}
                            ],
                        },
                    ],
                },
                {"code": "dodo", "target": [{"equivalence": "unmatched"}]},
            ],
            "unmapped": {"mode": "fixed", "code": "animal", "display": "Animal"},
        }
    ],
}


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lake]:
    with Lake.open(tmp_path_factory.mktemp("terminology") / "lake") as opened:
        large = code_system(LARGE)
        large["concept"] = [{"code": f"c{n:05}", "display": f"Thing {n}"} for n in range(21_000)]
        opened.transact(
            [
                Put({**code_system(), "id": "animals", "title": "Animals"}),
                Put({**value_set(such("legs", "exists", "true")), "id": "legs", "version": "1"}),
                Put({**large, "id": "large"}),
                Put(MAP),
            ]
        )
        yield opened


@pytest.fixture(scope="module")
def http(lake: Lake) -> Iterator[httpx.Client]:
    app = create_app(lake, load_settings({"nlp": False}))
    with TestClient(app, base_url="http://localhost") as client:
        yield client


def get(http: httpx.Client, path: str, **params: Any) -> Any:
    response = http.get(f"/fhir/{path}", params=params)
    assert response.status_code == 200, response.text
    assert response.headers["Chartlake-Commit"]
    resource = response.json()
    assert not [issue for issue in validate(resource) if issue.severity == "error"]
    return resource


def parameters(**values: Any) -> dict[str, Any]:
    """Parameters; a dict with a resourceType is a resource, a key says its `value[x]`."""
    found = []
    for name, value in values.items():
        for one in value if isinstance(value, list) else [value]:
            given = one if isinstance(one, dict) else {"valueString": one}
            if "resourceType" in given:
                given = {"resource": given}
            found.append({"name": name, **given})
    return {"resourceType": "Parameters", "parameter": found}


def post(http: httpx.Client, path: str, body: dict[str, Any]) -> httpx.Response:
    return http.post(f"/fhir/{path}", json=body, headers=FHIR)


def answers(resource: dict[str, Any]) -> dict[str, Any]:
    """The simple parameters of an answer, by name."""
    found = {}
    for one in resource["parameter"]:
        value = [v for k, v in one.items() if k.startswith("value")]
        if value:
            found[one["name"]] = value[0]
    return found


def codes(resource: dict[str, Any]) -> list[str]:
    return [one["code"] for one in resource["expansion"].get("contains", [])]


# $expand


def test_expand_by_url_by_id_and_as_a_resource(http: httpx.Client) -> None:
    by_url = get(http, "ValueSet/$expand", url=VS)
    assert codes(by_url) == ["dog", "whale", "ant"] and by_url["expansion"]["total"] == 3
    assert "compose" not in by_url and by_url["version"] == "1"
    assert {"name": "version", "valueUri": f"{ANIMALS}|3"} in by_url["expansion"]["parameter"]
    assert codes(get(http, "ValueSet/legs/$expand")) == codes(by_url)
    assert codes(get(http, "ValueSet/$expand", url=VS, valueSetVersion="1")) == codes(by_url)
    asked = value_set(such("concept", "is-a", "dog"))
    for body in (asked, parameters(valueSet=asked)):
        assert codes(post(http, "ValueSet/$expand", body).json()) == ["dog", "poodle"]
    assert codes(get(http, "ValueSet/$expand", url=GENDERS)) == [
        "male",
        "female",
        "other",
        "unknown",
    ]


def test_expand_with_its_parameters(http: httpx.Client) -> None:
    url = "http://example.org/all"
    asked = value_set(all_of(), url=url)

    def expand(**given: Any) -> dict[str, Any]:
        response = post(http, "ValueSet/$expand", parameters(valueSet=asked, **given))
        assert response.status_code == 200, response.text
        resource: dict[str, Any] = response.json()
        assert not [issue for issue in validate(resource) if issue.severity == "error"]
        return resource

    yes, no = {"valueBoolean": True}, {"valueBoolean": False}
    assert len(codes(expand())) == 6
    assert "dodo" not in codes(expand(activeOnly=yes))
    assert "mammal" not in codes(expand(excludeNotForUI=yes))
    assert expand(includeDefinition=yes)["compose"] == asked["compose"]
    assert codes(expand(filter="wha")) == ["whale"]
    assert codes(expand(filter="whale BLU")) == ["whale"]
    assert codes(expand(filter="hund")) == ["dog"]
    assert codes(expand(filter="hale")) == []
    assert codes(expand(filter="POO")) == ["poodle"]
    assert codes(expand(**{"exclude-system": {"valueCanonical": ANIMALS}})) == []
    assert codes(expand(**{"exclude-system": {"valueCanonical": f"{ANIMALS}|2"}})) != []
    (dog,) = expand(filter="dog", displayLanguage={"valueCode": "de"})["expansion"]["contains"]
    assert dog["display"] == "Hund" and "designation" not in dog
    (dog,) = expand(filter="dog", includeDesignations=yes)["expansion"]["contains"]
    assert [one["value"] for one in dog["designation"]] == ["Hund", "Chien"]
    for token in ("http://u|x", "urn:ietf:bcp:47|fr"):
        (dog,) = expand(filter="dog", designation=token)["expansion"]["contains"]
        assert [one["value"] for one in dog["designation"]] == ["Chien"]
    tree = expand(excludeNested=no)["expansion"]["contains"]
    assert [one["code"] for one in tree] == ["mammal", "ant"]
    assert tree[0]["abstract"] is True
    assert [one["code"] for one in tree[0]["contains"]] == ["dog", "dodo", "whale"]
    repeated = expand(filter="dog", count={"valueInteger": 1})["expansion"]["parameter"]
    assert {"name": "filter", "valueString": "dog"} in repeated
    assert {"name": "count", "valueInteger": 1} in repeated


def test_pages_of_an_expansion_fit_together(http: httpx.Client) -> None:
    asked = value_set(all_of(LARGE), url="http://example.org/large-vs")
    seen: list[str] = []
    identifiers = set()
    while True:
        page = parameters(
            valueSet=asked, offset={"valueInteger": len(seen)}, count={"valueInteger": 10_000}
        )
        expansion = post(http, "ValueSet/$expand", page).json()["expansion"]
        assert expansion["total"] == 21_000 and expansion["offset"] == len(seen)
        identifiers.add(expansion["identifier"])
        found = [one["code"] for one in expansion.get("contains", [])]
        if not found:
            break
        seen += found
    assert seen == [f"c{n:05}" for n in range(21_000)] and len(identifiers) == 1
    for count in ({}, {"count": {"valueInteger": 20_500}}):
        response = post(http, "ValueSet/$expand", parameters(valueSet=asked, **count))
        assert assert_outcome(response, 422, "count")["issue"][0]["code"] == "too-costly"
    nothing = post(http, "ValueSet/$expand", parameters(valueSet=asked, count={"valueInteger": 0}))
    assert nothing.json()["expansion"]["total"] == 21_000
    assert "contains" not in nothing.json()["expansion"]


def test_an_expansion_of_a_part_of_a_code_system_says_so(http: httpx.Client, lake: Lake) -> None:
    url = "http://example.org/part"
    lake.transact([Put({**code_system(url, "fragment"), "id": "part"})])
    asked = value_set(all_of(url), url="http://example.org/part-vs")
    expansion = post(http, "ValueSet/$expand", asked).json()["expansion"]
    assert expansion["extension"][0]["url"].endswith("valueset-unclosed")


@pytest.mark.parametrize(
    ("params", "status", "expression"),
    [
        ({}, 400, "url"),
        ({"url": "http://none"}, 404, "url"),
        ({"url": VS, "valueSetVersion": "9"}, 404, "url"),
        ({"url": f"{VS}|1", "valueSetVersion": "9"}, 400, "valueSetVersion"),
        ({"url": "http://loinc.org/vs"}, 422, None),
        ({"url": "http://hl7.org/fhir/ValueSet/ucum-units"}, 422, None),
        ({"url": VS, "nonsense": "1"}, 400, "nonsense"),
        ({"url": VS, "system-version": "http://x|1"}, 400, "system-version"),
        ({"url": VS, "context": "x"}, 400, "context"),
        ({"url": VS, "count": "-1"}, 400, "count"),
        ({"url": VS, "count": "many"}, 400, "count"),
        ({"url": VS, "offset": "9" * 30}, 400, "offset"),
        ({"url": VS, "activeOnly": "perhaps"}, 400, "activeOnly"),
        ({"url": VS, "filter": ""}, 400, "filter"),
        ({"url": [VS, VS]}, 400, "url"),
        ({"url": VS, "valueSet": "x"}, 400, "valueSet"),
        ({"url": VS, "date": "yesterday"}, 400, "date"),
        ({"url": VS, "date": "2024", "at": "1"}, 400, "date"),
        ({"url": VS, "at": "99999"}, 400, None),
    ],
)
def test_expansions_that_are_refused(
    http: httpx.Client, params: Any, status: int, expression: str | None
) -> None:
    assert_outcome(http.get("/fhir/ValueSet/$expand", params=params), status, expression)


def test_bodies_that_are_refused(http: httpx.Client) -> None:
    asked = value_set(all_of())
    assert_outcome(post(http, "ValueSet/$expand", {"resourceType": "Patient"}), 400, "resourceType")
    assert_outcome(post(http, "ValueSet/$expand", {**asked, "status": "x"}), 400, "ValueSet.status")
    twice = parameters(valueSet=asked, url={"valueUri": VS})
    assert_outcome(post(http, "ValueSet/$expand", twice), 400, "url")
    for wrong in ({"url": {"valueBoolean": True}}, {"valueSet": {"resourceType": "Patient"}}):
        assert_outcome(post(http, "ValueSet/$expand", parameters(**wrong)), 400, next(iter(wrong)))
    negative = parameters(url=VS, count={"valueInteger": -1})
    assert_outcome(post(http, "ValueSet/$expand", negative), 400, "count")
    assert_outcome(http.get("/fhir/ValueSet/none/$expand"), 404)
    assert_outcome(http.get("/fhir/ValueSet/legs/$expand", params={"url": VS}), 400, "url")


# $validate-code


def test_validate_code_in_a_value_set(http: httpx.Client) -> None:
    def validated(**params: Any) -> dict[str, Any]:
        return answers(get(http, "ValueSet/$validate-code", url=VS, **params))

    assert validated(system=ANIMALS, code="dog") == {"result": True, "display": "Dog"}
    assert validated(system=ANIMALS, code="dog", display="DOG")["result"] is True
    assert validated(system=ANIMALS, code="dog", displayLanguage="fr")["display"] == "Chien"
    wrong = validated(system=ANIMALS, code="dog", display="Cat")
    assert wrong["result"] is False and "Dog" in wrong["message"]
    outside = validated(system=ANIMALS, code="poodle")
    assert outside["result"] is False and "not in the value set" in outside["message"]
    assert answers(get(http, "ValueSet/legs/$validate-code", system=ANIMALS, code="ant"))["result"]
    everything = value_set(all_of(), url="http://example.org/all")
    for allowed in (True, False):
        asked = parameters(
            valueSet=everything,
            coding={"valueCoding": {"system": ANIMALS, "code": "mammal"}},
            abstract={"valueBoolean": allowed},
        )
        response = post(http, "ValueSet/$validate-code", asked)
        assert answers(response.json())["result"] is allowed


def test_validate_a_concept(http: httpx.Client) -> None:
    def validated(*codings: tuple[str, str]) -> Any:
        concept = {"coding": [{"system": system, "code": code} for system, code in codings]}
        asked = parameters(url=VS, codeableConcept={"valueCodeableConcept": concept})
        return post(http, "ValueSet/$validate-code", asked)

    assert answers(validated((GENDER, "male"), (ANIMALS, "dog")).json())["result"] is True
    assert answers(validated((GENDER, "male")).json())["result"] is False
    empty = parameters(url=VS, codeableConcept={"valueCodeableConcept": {"text": "a dog"}})
    assert answers(post(http, "ValueSet/$validate-code", empty).json())["result"] is False


def test_what_cannot_be_told_is_no_answer(http: httpx.Client) -> None:
    params = {"url": "http://loinc.org/vs", "system": "http://loinc.org", "code": "1-8"}
    outcome = assert_outcome(http.get("/fhir/ValueSet/$validate-code", params=params), 422)
    assert "not loaded" in outcome["issue"][0]["diagnostics"]
    params = {"url": ICD10CM, "code": "E11.9"}
    assert_outcome(http.get("/fhir/CodeSystem/$validate-code", params=params), 422)
    params = {"url": "http://none.org", "code": "x"}
    assert_outcome(http.get("/fhir/CodeSystem/$validate-code", params=params), 404, "url")


def test_validate_code_in_a_code_system(http: httpx.Client) -> None:
    def validated(path: str = "CodeSystem/$validate-code", **params: Any) -> dict[str, Any]:
        return answers(get(http, path, **params))

    assert validated(url=ANIMALS, code="dog") == {"result": True, "display": "Dog"}
    assert validated(url=ANIMALS, code="cat")["result"] is False
    assert validated("CodeSystem/animals/$validate-code", code="ant")["result"] is True
    assert validated(url="http://unitsofmeasure.org", code="mg/dL")["result"] is True
    assert validated(url="http://unitsofmeasure.org", code="tablets")["result"] is False
    assert validated(url=GENDER, code="female")["result"] is True
    inline = parameters(codeSystem=code_system("http://x.org"), code="dog")
    assert answers(post(http, "CodeSystem/$validate-code", inline).json())["result"] is True
    other = parameters(url=ANIMALS, coding={"valueCoding": {"system": GENDER, "code": "male"}})
    assert_outcome(post(http, "CodeSystem/$validate-code", other), 400, "coding")


@pytest.mark.parametrize("path", ["ValueSet/$validate-code", "CodeSystem/$validate-code"])
def test_codes_that_are_not_given_are_asked_for(http: httpx.Client, path: str) -> None:
    url = VS if path.startswith("ValueSet") else ANIMALS
    assert_outcome(http.get(f"/fhir/{path}", params={"url": url}), 400, "code")
    both = parameters(
        url=url, code="dog", coding={"valueCoding": {"system": ANIMALS, "code": "dog"}}
    )
    assert_outcome(post(http, path, both), 400, "coding")
    none = parameters(url=url, coding={"valueCoding": {"system": ANIMALS}})
    assert_outcome(post(http, path, none), 400, "coding")
    assert_outcome(
        http.get("/fhir/ValueSet/$validate-code", params={"url": VS, "code": "dog"}), 400, "system"
    )


# $lookup and $subsumes


def test_lookup(http: httpx.Client) -> None:
    found = get(http, "CodeSystem/$lookup", system=ANIMALS, code="dog")
    assert answers(found) == {"name": "Animals", "version": "3", "display": "Dog"}
    parts = [
        {one["name"]: next(v for k, v in one.items() if k != "name") for one in parameter["part"]}
        for parameter in found["parameter"]
        if "part" in parameter
    ]
    assert {"language": "de-CH", "value": "Hund"} in parts
    assert {"code": "legs", "value": 4} in parts
    assert {"code": "definition", "value": "A good one"} in parts
    assert {"code": "parent", "value": "mammal", "description": "Mammal"} in parts
    assert {"code": "child", "value": "poodle", "description": "Poodle"} in parts
    only = get(http, "CodeSystem/$lookup", system=ANIMALS, code="dog", property=["legs", "lang.fr"])
    assert [one["name"] for one in only["parameter"] if "part" in one] == [
        "designation",
        "property",
    ]
    german = get(http, "CodeSystem/$lookup", system=ANIMALS, code="dog", displayLanguage="de")
    assert answers(german)["display"] == "Hund"
    coding = parameters(coding={"valueCoding": {"system": GENDER, "code": "male"}})
    assert answers(post(http, "CodeSystem/$lookup", coding).json())["display"] == "Male"
    unit = get(http, "CodeSystem/$lookup", system="http://unitsofmeasure.org", code="mg/dL")
    assert answers(unit) == {"name": "UCUM", "display": "mg/dL"}


@pytest.mark.parametrize(
    ("params", "status", "expression"),
    [
        ({"system": ANIMALS, "code": "cat"}, 404, "code"),
        ({"system": "http://none.org", "code": "cat"}, 404, "system"),
        ({"system": ANIMALS, "version": "9", "code": "dog"}, 404, "system"),
        ({"system": ICD10CM, "code": "E11.9"}, 404, "system"),
        ({"system": "http://unitsofmeasure.org", "code": "spoons"}, 404, "code"),
        ({"code": "dog"}, 400, "code"),
        ({"system": ANIMALS}, 400, "code"),
    ],
)
def test_lookups_that_fail(
    http: httpx.Client, params: dict[str, str], status: int, expression: str
) -> None:
    assert_outcome(http.get("/fhir/CodeSystem/$lookup", params=params), status, expression)


@pytest.mark.parametrize(
    ("system", "a", "b", "outcome"),
    [
        (ANIMALS, "mammal", "poodle", "subsumes"),
        (ANIMALS, "poodle", "mammal", "subsumed-by"),
        (ANIMALS, "whale", "mammal", "subsumed-by"),
        (ANIMALS, "dog", "dog", "equivalent"),
        (ANIMALS, "dog", "ant", "not-subsumed"),
        (ICD10CM, "E11", "E11.65", "subsumes"),
        (
            "http://terminology.hl7.org/CodeSystem/condition-clinical",
            "active",
            "relapse",
            "subsumes",
        ),
    ],
)
def test_subsumes(http: httpx.Client, system: str, a: str, b: str, outcome: str) -> None:
    found = get(http, "CodeSystem/$subsumes", system=system, codeA=a, codeB=b)
    assert answers(found) == {"outcome": outcome}
    if system == ANIMALS:
        found = get(http, "CodeSystem/animals/$subsumes", codeA=a, codeB=b)
        assert answers(found) == {"outcome": outcome}


def test_subsumption_that_cannot_be_told(http: httpx.Client) -> None:
    def asked(**params: str) -> httpx.Response:
        return http.get("/fhir/CodeSystem/$subsumes", params=params)

    assert_outcome(asked(system=ANIMALS, codeA="dog", codeB="cat"), 404)
    assert_outcome(asked(system="http://none.org", codeA="dog", codeB="cat"), 404, "system")
    assert_outcome(asked(system=ANIMALS, codeA="dog"), 400, "codeB")
    assert_outcome(asked(codeA="dog", codeB="ant"), 400, "codeA")
    two = parameters(
        codingA={"valueCoding": {"system": ANIMALS, "code": "dog"}},
        codingB={"valueCoding": {"system": GENDER, "code": "male"}},
    )
    assert_outcome(post(http, "CodeSystem/$subsumes", two), 400, "codingB")


# $translate


def matches(resource: dict[str, Any]) -> list[tuple[str, str]]:
    found = []
    for one in resource["parameter"]:
        if one["name"] == "match":
            parts = {part["name"]: part for part in one["part"]}
            equivalence = parts.get("equivalence", {}).get("valueCode", "")
            found.append(
                (equivalence, parts.get("concept", {}).get("valueCoding", {}).get("code", ""))
            )
    return found


def test_translate(http: httpx.Client) -> None:
    def translated(path: str = "ConceptMap/$translate", **params: Any) -> dict[str, Any]:
        found: dict[str, Any] = get(http, path, **{"system": ANIMALS, "code": "dog", **params})
        return found

    for given in (
        {"url": MAP["url"]},
        {"target": MAP["targetUri"]},
        {"source": "ValueSet/legs"},
        {},
    ):
        found = translated(**given)
        assert matches(found) == [("wider", "canis")]
        assert answers(found)["result"] is True and "http://x/sex" in answers(found)["message"]
    assert matches(translated("ConceptMap/m/$translate")) == [("wider", "canis")]
    assert matches(translated(targetsystem="http://example.org/latin")) != []
    assert matches(translated(targetsystem="http://example.org/greek")) == []
    assert matches(translated(source="http://example.org/other")) == []
    assert matches(translated(code="ant")) == [("", "animal")]
    dodo = translated(code="dodo")
    assert matches(dodo) == [("unmatched", "")] and answers(dodo)["result"] is False
    back = translated(system="http://example.org/latin", code="canis", reverse="true")
    assert matches(back) == [("narrower", "dog")]
    nothing = answers(translated(system="http://none.org"))
    assert nothing == {"result": False, "message": "No map has a match for the code."}
    assert matches(translated(system=GENDER, code="male", targetsystem=V3_GENDER)) == [
        ("equal", "M")
    ]


def test_a_mapping_that_depends_on_another_element(http: httpx.Client) -> None:
    def translated(sex: str) -> dict[str, Any]:
        concept = {"coding": [{"system": GENDER, "code": sex}]}
        dependency = {
            "part": [
                {"name": "element", "valueUri": "http://x/sex"},
                {"name": "concept", "valueCodeableConcept": concept},
            ]
        }
        asked = parameters(
            url=MAP["url"],
            coding={"valueCoding": {"system": ANIMALS, "code": "dog"}},
            dependency=dependency,
        )
        response = post(http, "ConceptMap/$translate", asked)
        assert response.status_code == 200, response.text
        resource: dict[str, Any] = response.json()
        assert not [issue for issue in validate(resource) if issue.severity == "error"]
        return resource

    male = translated("male")
    assert matches(male) == [("wider", "canis"), ("equivalent", "canis-m")]
    assert '"product"' in str(male).replace("'", '"')
    assert matches(translated("female")) == [("wider", "canis")]
    wrong = parameters(
        url=MAP["url"],
        code="dog",
        system=ANIMALS,
        dependency={"part": [{"name": "element", "valueUri": "x"}]},
    )
    assert_outcome(post(http, "ConceptMap/$translate", wrong), 400, "dependency")


def test_translations_that_are_refused(http: httpx.Client) -> None:
    def asked(**params: str) -> httpx.Response:
        return http.get("/fhir/ConceptMap/$translate", params=params)

    assert_outcome(asked(url="http://none.org", system=ANIMALS, code="dog"), 404, "url")
    assert_outcome(asked(code="dog"), 400, "system")
    assert_outcome(asked(system=ANIMALS), 400, "code")
    circle = {**MAP, "url": "http://example.org/circle"}
    circle["group"] = [
        {
            "source": ANIMALS,
            "target": "http://t",
            "element": [{"code": "x"}],
            "unmapped": {"mode": "other-map", "url": "http://example.org/map2"},
        }
    ]
    asked_inline = parameters(conceptMap=circle, system=ANIMALS, code="dog")
    assert_outcome(post(http, "ConceptMap/$translate", asked_inline), 422)


# All of them


def test_as_of_the_past(http: httpx.Client, lake: Lake) -> None:
    url = "http://example.org/changing"
    first = lake.transact([Put({**value_set(all_of(concept=[{"code": "a"}]), url=url), "id": "c"})])
    second = lake.transact(
        [Put({**value_set(all_of(concept=[{"code": "b"}]), url=url), "id": "c"})]
    )
    assert codes(get(http, "ValueSet/$expand", url=url)) == ["b"]
    assert codes(get(http, "ValueSet/$expand", url=url, at=str(first.t))) == ["a"]
    assert codes(get(http, "ValueSet/c/$expand", at=str(first.t))) == ["a"]
    assert codes(get(http, "ValueSet/$expand", url=url, at=str(second.t))) == ["b"]
    assert codes(get(http, "ValueSet/$expand", url=url, date="2100")) == ["b"]
    assert_outcome(http.get("/fhir/ValueSet/$expand", params={"url": url, "date": "2001"}), 404)


def test_they_are_in_the_capability_statement(http: httpx.Client) -> None:
    (rest,) = http.get("/fhir/metadata").json()["rest"]
    offered = {
        (one["type"], operation["name"])
        for one in rest["resource"]
        for operation in one.get("operation", [])
    }
    assert {
        ("ValueSet", "expand"), ("ValueSet", "validate-code"), ("CodeSystem", "lookup"),
        ("CodeSystem", "validate-code"), ("CodeSystem", "subsumes"), ("ConceptMap", "translate"),
    } <= offered  # fmt: skip
    assert ("Patient", "expand") not in offered and ("ConceptMap", "lookup") not in offered


def test_in_xml(http: httpx.Client) -> None:
    response = http.get("/fhir/ValueSet/$expand", params={"url": VS, "_format": "xml"})
    assert response.status_code == 200 and '<code value="whale"/>' in response.text
