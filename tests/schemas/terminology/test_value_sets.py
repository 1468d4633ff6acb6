"""Value sets: what an include, an exclude and a filter select, and what cannot be told.

https://hl7.org/fhir/R4/valueset.html#compositions,
https://hl7.org/fhir/R4/valueset-filter-operator.html
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.terminology import Terminology, built_in
from schemas.terminology.parts import Prefixed
from schemas.terminology.unknown import Unknown
from schemas.value_sets import VALUE_SETS
from tests.schemas.terminology.conftest import (
    ANIMALS,
    all_of,
    code_system,
    such,
    terminology_of,
    value_set,
)

ICD10CM = "http://hl7.org/fhir/sid/icd-10-cm"
LOINC = "http://loinc.org"
UCUM = "http://unitsofmeasure.org"
ALL = ["mammal", "dog", "poodle", "dodo", "whale", "ant"]

Codes = Callable[..., list[str]]


@pytest.mark.parametrize(
    ("include", "expected"),
    [
        (all_of(), ALL),
        (all_of(version="3"), ALL),
        (all_of(concept=[{"code": "dog"}, {"code": "cat"}]), ["dog", "cat"]),
        (such("concept", "is-a", "mammal"), ["mammal", "dog", "poodle", "dodo", "whale"]),
        (such("concept", "descendent-of", "mammal"), ["dog", "poodle", "dodo", "whale"]),
        (such("concept", "is-not-a", "dog"), ["mammal", "dodo", "whale", "ant"]),
        (such("concept", "generalizes", "poodle"), ["mammal", "dog", "poodle"]),
        (such("code", "=", "dog"), ["dog"]),
        (such("concept", "in", "dog, ant,cat"), ["dog", "ant"]),
        (such("concept", "not-in", "dog,ant"), ["mammal", "poodle", "dodo", "whale"]),
        (such("code", "regex", "d.*|a?nt"), ["dog", "dodo", "ant"]),
        (such("display", "=", "Blue whale"), ["whale"]),
        (such("display", "regex", "[A-D].*"), ["dog", "whale", "ant"]),
        (such("parent", "=", "mammal"), ["dog", "dodo", "whale"]),
        (such("child", "=", "poodle"), ["dog"]),
        (such("child", "exists", "false"), ["poodle", "dodo", "whale", "ant"]),
        (such("legs", "=", "4"), ["dog"]),
        (such("legs", "in", "0,6"), ["whale", "ant"]),
        (such("legs", "exists", "true"), ["dog", "whale", "ant"]),
        (such("legs", "exists", "false"), ["mammal", "poodle", "dodo"]),
        (such("gone", "=", "true"), ["dodo"]),
        (
            all_of(
                filter=[
                    {"property": "concept", "op": "is-a", "value": "mammal"},
                    {"property": "legs", "op": "exists", "value": "true"},
                ]
            ),
            ["dog", "whale"],
        ),
    ],
)
def test_what_an_include_selects(codes: Codes, include: Any, expected: list[str]) -> None:
    assert codes(include) == expected
    found = terminology_of(code_system()).compile(value_set(include))
    for code in [*ALL, "cat", "", "DOG"]:
        assert found.test(ANIMALS, code) is (code in expected)
        assert found.test("http://other.org", code) is False


def test_includes_are_a_union_and_excludes_leave_out(codes: Codes) -> None:
    two = (such("legs", "=", "6"), such("concept", "is-a", "dog"))
    assert codes(*two) == ["ant", "dog", "poodle"]
    assert codes(*two, exclude=[all_of(concept=[{"code": "dog"}])]) == ["ant", "poodle"]
    assert codes(all_of(), exclude=[such("concept", "is-a", "mammal")]) == ["ant"]
    assert codes(all_of(), inactive=False) == [code for code in ALL if code != "dodo"]


def test_imported_value_sets_are_met_all(codes: Codes) -> None:
    legs = value_set(such("legs", "exists", "true"), url="http://x/legs")
    dogs = value_set(such("concept", "is-a", "dog"), url="http://x/dogs")
    others = (legs, dogs)
    assert codes({"valueSet": ["http://x/legs"]}, others=others) == ["dog", "whale", "ant"]
    assert codes({"valueSet": ["http://x/legs", "http://x/dogs"]}, others=others) == ["dog"]
    assert codes(all_of(valueSet=["http://x/dogs"]), others=others) == ["dog", "poodle"]
    found = terminology_of(code_system(), *others).compile(
        value_set({"valueSet": ["http://x/legs"]})
    )
    assert found.test(ANIMALS, "dog") is True and found.test(ANIMALS, "poodle") is False


def test_value_sets_that_import_one_another_in_a_circle_cannot_be_told() -> None:
    a = value_set({"valueSet": ["http://x/b"]}, all_of(concept=[{"code": "dog"}]), url="http://x/a")
    b = value_set({"valueSet": ["http://x/a"]}, url="http://x/b")
    for first, second in (("http://x/a", "http://x/b"), ("http://x/b", "http://x/a")):
        terminology = terminology_of(a, b, code_system())
        for url in (first, second):
            assert terminology.contains(url, ANIMALS, "ant") is None
        assert terminology.contains("http://x/a", ANIMALS, "dog") is True
        assert "imports itself" in terminology.membership("http://x/a", ANIMALS, "ant").reason
        with pytest.raises(Unknown):
            terminology.value_set("http://x/a").entries()
    own = value_set({"valueSet": ["http://x/own"]}, url="http://x/own")
    assert terminology_of(own).contains("http://x/own", ANIMALS, "dog") is None


def test_very_deep_imports_are_refused_whatever_was_asked_before() -> None:
    chain = [value_set({"valueSet": [f"http://x/{n + 1}"]}, url=f"http://x/{n}") for n in range(60)]
    terminology = terminology_of(*chain, value_set(all_of(), url="http://x/60"), code_system())
    assert terminology.contains("http://x/0", ANIMALS, "dog") is None
    assert terminology.contains("http://x/40", ANIMALS, "dog") is True
    assert terminology.contains("http://x/0", ANIMALS, "dog") is None
    wide = [
        value_set(*({"valueSet": [f"http://x/{n + 1}"]} for _ in range(5)), url=f"http://x/{n}")
        for n in range(25)
    ]
    begin = time.perf_counter()
    terminology = terminology_of(*wide, value_set(all_of(), url="http://x/25"), code_system())
    assert terminology.contains("http://x/24", ANIMALS, "dog") is True
    assert len(terminology.value_set("http://x/0").includes) == 5
    assert time.perf_counter() - begin < 2


@pytest.mark.parametrize(
    ("include", "reason"),
    [
        (all_of(LOINC), "loinc.org is not loaded"),
        (all_of(version="99"), "version 99 is not loaded"),
        (such("CLASS", "=", "CHEM", LOINC), "loinc.org is not loaded"),
        (such("wings", "=", "2"), "no property 'wings'"),
        (such("concept", "is-a", "unicorn"), "no concept that a filter"),
        (such("concept", "sounds-like", "dog"), "not understood"),
        (such("legs", "is-a", "4"), "not understood"),
        (such("code", "regex", "(a+"), "the regex of a filter"),
        (such("code", "exists", "perhaps"), "true or false"),
        ({"valueSet": ["http://x/none"]}, "http://x/none is not known"),
        ({}, "neither a system nor a value set"),
        (all_of(filter=[{"property": "concept"}]), "lacks its property"),
    ],
)
def test_what_cannot_be_told_is_said(include: Any, reason: str) -> None:
    terminology = terminology_of(code_system())
    found = terminology.compile(value_set(include))
    system = include.get("system", ANIMALS)
    assert found.test(system, "dog") is None
    assert reason in terminology.membership(found, system, "dog").reason
    with pytest.raises(Unknown, match=r"."):
        found.entries()
    # What another include lists is known all the same.
    both = terminology.compile(value_set(include, all_of(system, concept=[{"code": "dog"}])))
    if include:
        assert both.test(system, "dog") is True and both.test(system, "ant") is None


@pytest.mark.parametrize("content", ["fragment", "example"])
def test_of_a_part_of_a_code_system_only_what_is_there_is_known(content: str) -> None:
    terminology = terminology_of(code_system(content=content))
    found = terminology.compile(value_set(such("concept", "is-a", "dog")))
    assert found.test(ANIMALS, "poodle") is True
    assert found.test(ANIMALS, "pug") is None
    assert [entry.code for entry in found.entries()] == ["dog", "poodle"] and found.open_reason
    assert terminology.descendants(ANIMALS, "dog") is None


@pytest.mark.parametrize("content", ["not-present", "supplement"])
def test_a_code_system_without_its_concepts_is_not_there(content: str) -> None:
    terminology = terminology_of(code_system(content=content))
    assert terminology.compile(value_set(all_of())).test(ANIMALS, "dog") is None


def test_a_hierarchy_that_is_no_is_a_selects_nothing() -> None:
    terminology = terminology_of(code_system(hierarchyMeaning="part-of"))
    found = terminology.compile(value_set(such("concept", "is-a", "mammal")))
    assert found.test(ANIMALS, "dog") is None
    assert terminology.subsumes(ANIMALS, "mammal", "dog") is None
    assert terminology.descendants(ANIMALS, "mammal") is None


def test_codes_without_case_are_accepted_in_any() -> None:
    terminology = terminology_of(code_system(caseSensitive=False))
    for include in (all_of(), all_of(concept=[{"code": "dog"}]), such("concept", "is-a", "dog")):
        found = terminology.compile(value_set(include))
        assert found.test(ANIMALS, "DOG") is True
        assert found.test(ANIMALS, "DOGS") is False


def test_an_expansion_that_came_with_the_value_set() -> None:
    contains = [
        {"system": LOINC, "code": "a", "contains": [{"system": LOINC, "code": "b"}]},
        {"display": "others", "contains": [{"system": LOINC, "code": "c", "abstract": True}]},
    ]
    expansion: dict[str, Any] = {"timestamp": "2024", "contains": contains}
    only = {"resourceType": "ValueSet", "url": "http://x", "expansion": expansion}
    terminology = terminology_of()
    found = terminology.compile(only)
    assert [entry.code for entry in found.entries()] == ["a", "b", "c"]
    assert found.test(LOINC, "b") is True and found.test(LOINC, "d") is False
    # A definition counts where it can be evaluated, else the expansion, if it is whole.
    listed = all_of(LOINC, concept=[{"code": "z"}])
    assert terminology.compile(value_set(listed, expansion=expansion)).test(LOINC, "a") is False
    unknown = value_set(all_of(LOINC), expansion=expansion)
    assert terminology.compile(unknown).test(LOINC, "a") is True
    assert terminology.compile(unknown).test(LOINC, "d") is False
    for partial in ({"total": 4}, {"offset": 1}):
        unknown = value_set(all_of(LOINC), expansion={**expansion, **partial})
        assert terminology.compile(unknown).test(LOINC, "a") is None
        alone = terminology.compile({**only, "expansion": {**expansion, **partial}})
        assert alone.test(LOINC, "a") is True and alone.test(LOINC, "d") is None
    assert terminology.compile({"resourceType": "ValueSet"}).test(LOINC, "a") is None


def test_supplements_add_designations_and_properties() -> None:
    supplement = {
        "resourceType": "CodeSystem",
        "url": "http://x/more",
        "content": "supplement",
        "supplements": ANIMALS,
        "concept": [
            {
                "code": "ant",
                "designation": [{"language": "de", "value": "Ameise"}],
                "property": [{"code": "colour", "valueCode": "red"}],
            }
        ],
    }
    extension = {
        "url": "http://hl7.org/fhir/StructureDefinition/valueset-supplement",
        "valueCanonical": "http://x/more",
    }
    asked = value_set(such("colour", "=", "red"), extension=[extension])
    (entry,) = terminology_of(code_system(), supplement).compile(asked).entries()
    assert entry.code == "ant" and entry.designations[0]["value"] == "Ameise"
    assert terminology_of(code_system()).compile(asked).test(ANIMALS, "ant") is None


def test_codes_known_by_their_form() -> None:
    terminology = Terminology(built_in.find)
    units = "http://hl7.org/fhir/ValueSet/ucum-units"
    assert terminology.contains(units, UCUM, "mg/dL") is True
    assert terminology.contains(units, UCUM, "tablet") is False
    masses = terminology.compile(value_set(such("canonical", "=", "g", UCUM)))
    assert masses.test(UCUM, "[lb_av]") is True and masses.test(UCUM, "m") is False
    languages = "http://hl7.org/fhir/ValueSet/all-languages"
    for code in ("de", "de-CH", "zh-Hant-TW", "x-klingon", "sl-rozaj-biske-1994", "en-a-bbb-x-a"):
        assert terminology.contains(languages, "urn:ietf:bcp:47", code) is True
    for code in ("", "d", "de_CH", "de-", "deutsch1", "1"):
        assert terminology.contains(languages, "urn:ietf:bcp:47", code) is False
    media = "http://hl7.org/fhir/ValueSet/mimetypes"
    for code in ("text/plain", "text/plain; charset=utf-8", "application/fhir+json"):
        assert terminology.contains(media, "urn:ietf:bcp:13", code) is True
    for code in ("text", "text/", "/plain", "text/plain;", "a/b/c", "text/plain; x"):
        assert terminology.contains(media, "urn:ietf:bcp:13", code) is False


def test_icd_10_cm_is_known_by_its_structure() -> None:
    terminology = terminology_of()
    diabetes = terminology.compile(value_set(such("concept", "is-a", "E11", ICD10CM)))
    assert diabetes.rules() == ([], [Prefixed(ICD10CM, "E11")])
    # Whether there is such a code, no one can tell without the list.
    assert diabetes.test(ICD10CM, "E11.9") is None
    assert diabetes.test(ICD10CM, "E10.9") is False and diabetes.test(ICD10CM, "E11-9") is False
    assert terminology.ancestors(ICD10CM, "E11.65") == {"E11.6", "E11"}
    assert terminology.subsumes(ICD10CM, "E11", "E11.65") == "subsumes"
    assert terminology.subsumes(ICD10CM, "E11.65", "E11.6") == "subsumed-by"
    assert terminology.subsumes(ICD10CM, "E11.6", "E11.9") == "not-subsumed"
    assert terminology.subsumes(ICD10CM, "E11", "rubbish") is None
    listed = all_of(ICD10CM, concept=[{"code": "E11.9"}, {"code": "I10"}])
    within = value_set({**such("concept", "is-a", "E11", ICD10CM), "valueSet": ["http://x"]})
    terminology = terminology_of(value_set(listed, url="http://x"))
    assert terminology.compile(within).test(ICD10CM, "I10") is False


def test_members_by_code_coding_and_concept() -> None:
    terminology = terminology_of(value_set(such("legs", "exists", "true")), code_system())
    url = "http://example.org/vs"
    dog, unicorn = {"system": ANIMALS, "code": "dog"}, {"system": ANIMALS, "code": "unicorn"}
    assert terminology.member_of("dog", url) is True
    assert terminology.member_of("unicorn", url) is False
    assert terminology.member_of("dog", url, "http://other.org") is False
    assert terminology.member_of(dog, url) is True
    assert terminology.member_of({"coding": [unicorn, dog]}, url) is True
    assert terminology.member_of({"coding": [unicorn]}, url) is False
    assert terminology.member_of({"text": "a dog"}, url) is False
    assert terminology.member_of({"coding": [unicorn]}, "http://none") is None
    assert terminology.member_of({"text": "x"}, "http://none") is None
    assert terminology.member_of(4, url) is None


def test_codings_that_subsume_one_another() -> None:
    terminology = terminology_of(code_system())
    mammal, dog = {"system": ANIMALS, "code": "mammal"}, {"system": ANIMALS, "code": "dog"}
    assert terminology.coding_subsumes(mammal, dog) is True
    assert terminology.coding_subsumes(dog, dog) is True
    assert terminology.coding_subsumes(dog, mammal) is False
    assert terminology.coding_subsumes(mammal, {"system": "http://x", "code": "dog"}) is False
    assert terminology.coding_subsumes(mammal, {"code": "dog"}) is None
    assert terminology.coding_subsumes(mammal, {"system": ANIMALS, "code": "unicorn"}) is None


def test_implicit_value_sets() -> None:
    sct = "http://snomed.info/sct"
    snomed = code_system(url=sct)
    snomed["concept"] = [{"code": "1", "concept": [{"code": "2"}]}, {"code": "3"}]
    terminology = terminology_of(snomed)
    assert terminology.contains(f"{sct}?fhir_vs", sct, "3") is True
    assert terminology.contains(f"{sct}?fhir_vs=isa/1", sct, "2") is True
    assert terminology.contains(f"{sct}?fhir_vs=isa/1", sct, "3") is False
    assert terminology.contains(f"{sct}?fhir_vs=refset/1", sct, "3") is None
    assert terminology.contains("http://loinc.org/vs", LOINC, "1-8") is None


def test_r4s_own_value_sets_can_be_told() -> None:
    terminology = Terminology(built_in.find)
    encounter = "http://terminology.hl7.org/ValueSet/v3-ActEncounterCode"
    act = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
    assert terminology.contains(encounter, act, "AMB") is True
    assert terminology.contains(encounter, act, "_ActEncounterCode") is False
    assert terminology.contains(encounter, act, "CASE") is False
    told = untold = 0
    for url in built_in.urls("ValueSet")[::20]:
        found = terminology.value_set(url)
        try:
            entries = found.entries()
        except Unknown:
            untold += 1
            continue
        told += 1
        assert all(found.test(one.system, one.code) is True for one in entries)
    assert told > 10 * untold


_SETS = st.lists(st.sampled_from([*ALL, "cat"]), unique=True)


@given(st.lists(_SETS, min_size=1, max_size=3), st.lists(_SETS, max_size=2), _SETS)
def test_a_value_set_is_what_sets_say(
    includes: list[list[str]], excludes: list[list[str]], imported: list[str]
) -> None:
    def of(codes: list[str]) -> dict[str, Any]:
        return such("concept", "in", ",".join(codes) or "none")

    other = value_set(of(imported), url="http://x/other")
    asked = value_set(
        *(of(codes) for codes in includes),
        {**of(includes[0]), "valueSet": ["http://x/other"]},
        exclude=[of(codes) for codes in excludes],
    )
    found = terminology_of(code_system(), other).compile(asked)
    expected = set().union(*includes) - set().union(*excludes) - {"cat"}
    assert {entry.code for entry in found.entries()} == expected
    assert {code for code in [*ALL, "cat"] if found.test(ANIMALS, code)} == expected


def test_required_bindings_have_the_same_codes_here() -> None:
    terminology = Terminology(built_in.find)
    for url, codes in VALUE_SETS.items():
        listed = {(one.system, one.code) for one in terminology.value_set(url).entries()}
        assert listed == {(system, code) for code, systems in codes.items() for system in systems}
