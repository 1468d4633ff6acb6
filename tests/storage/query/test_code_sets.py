"""`:in`, `:not-in`, `:below`, `:above` of token parameters, over both tiers of the index.

https://hl7.org/fhir/R4/search.html#token
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from schemas.outcomes import FhirError
from storage.lake import Lake, Put
from storage.query import code_sets
from tests.schemas.terminology.conftest import ANIMALS, all_of, code_system, such, value_set

ICD10CM = "http://hl7.org/fhir/sid/icd-10-cm"
MAMMALS = "http://example.org/mammals"
DIABETES = "http://example.org/diabetes"
V3 = "http://terminology.hl7.org/CodeSystem/v3-ActCode"

CODES = {
    "dog": (ANIMALS, "dog"),
    "poodle": (ANIMALS, "poodle"),
    "ant": (ANIMALS, "ant"),
    "other-dog": ("http://other.org", "dog"),
    "e11": (ICD10CM, "E11"),
    "e119": (ICD10CM, "E11.9"),
    "e1165": (ICD10CM, "E11.65"),
    "e10": (ICD10CM, "E10.9"),
    "e11-elsewhere": ("http://other.org", "E11.9"),
}


def condition(id: str, *codings: tuple[str, str]) -> dict[str, Any]:
    coding = [{"system": system, "code": code} for system, code in codings]
    return {
        "resourceType": "Condition",
        "id": id,
        "subject": {"reference": "Patient/p"},
        "code": {"coding": coding} if coding else {"text": "no code"},
    }


def definitions() -> list[dict[str, Any]]:
    return [
        {**code_system(), "id": "animals"},
        {**value_set(such("concept", "is-a", "mammal"), url=MAMMALS), "id": "mammals"},
        {**value_set(such("concept", "is-a", "E11", ICD10CM), url=DIABETES), "id": "diabetes"},
    ]


@pytest.fixture(scope="module", params=["hot", "flushed"])
def lake(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lake]:
    with Lake.open(tmp_path_factory.mktemp("code_sets") / "lake") as opened:
        resources = [condition(id, coding) for id, coding in CODES.items()]
        resources += [condition("both", CODES["ant"], CODES["e119"]), condition("none")]
        opened.transact([Put(resource) for resource in [*definitions(), *resources]])
        if request.param == "flushed":
            opened.flush()
        yield opened


def found(lake: Lake, name: str, *values: str, **more: Any) -> set[str]:
    page = lake.search("Condition", [(name, value) for value in values], **more)
    assert page.total == len(page.versions) and not page.ignored
    return {version.id for version in page.versions}


def test_codes_in_a_value_set(lake: Lake) -> None:
    assert found(lake, "code:in", MAMMALS) == {"dog", "poodle"}
    assert found(lake, "code:in", "ValueSet/mammals") == {"dog", "poodle"}
    assert found(lake, "code:in", DIABETES) == {"e11", "e119", "e1165", "both"}
    assert found(lake, "code:in", f"{MAMMALS},{DIABETES}") == {
        "dog", "poodle", "e11", "e119", "e1165", "both",
    }  # fmt: skip
    assert found(lake, "code:in", DIABETES, MAMMALS) == set()
    everything = {*CODES, "both", "none"}
    assert found(lake, "code:not-in", MAMMALS) == everything - {"dog", "poodle"}
    assert found(lake, "code:not-in", MAMMALS, DIABETES) == {
        "ant", "other-dog", "e10", "e11-elsewhere", "none",
    }  # fmt: skip


def test_codes_below_and_above(lake: Lake) -> None:
    assert found(lake, "code:below", f"{ANIMALS}|dog") == {"dog", "poodle"}
    assert found(lake, "code:below", f"{ANIMALS}|mammal") == {"dog", "poodle"}
    assert found(lake, "code:above", f"{ANIMALS}|poodle") == {"dog", "poodle"}
    assert found(lake, "code:above", f"{ANIMALS}|dog") == {"dog"}
    assert found(lake, "code:below", f"{ICD10CM}|E11") == {"e11", "e119", "e1165", "both"}
    # What is written like a code of ICD-10-CM is one.
    assert found(lake, "code:below", "E11") == {"e11", "e119", "e1165", "both"}
    assert found(lake, "code:below", "E11.6") == {"e1165"}
    assert found(lake, "code:above", "E11.65") == {"e11", "e1165"}
    assert found(lake, "code:below", f"E10,{ANIMALS}|ant") == {"e10", "ant", "both"}


def test_together_with_other_criteria(lake: Lake) -> None:
    page = lake.search("Condition", [("code:below", "E11"), ("_id", "e119,e10")])
    assert [version.id for version in page.versions] == ["e119"]
    page = lake.search("Condition", [("code:in", DIABETES), ("code", f"{ANIMALS}|ant")])
    assert [version.id for version in page.versions] == ["both"]
    page = lake.search("Condition", [("code:in", DIABETES), ("_sort", "_id"), ("_count", "2")])
    assert [version.id for version in page.versions] == ["both", "e11"] and page.total == 4


def test_in_a_filter(lake: Lake) -> None:
    assert found(lake, "_filter", f'code in "{MAMMALS}"') == {"dog", "poodle"}
    everything = {*CODES, "both", "none"}
    assert found(lake, "_filter", f'code ni "{MAMMALS}"') == everything - {"dog", "poodle"}
    # The value subsumes a concept of the resource; the value is subsumed by one.
    assert found(lake, "_filter", f'code ss "{ANIMALS}|mammal"') == {"dog", "poodle"}
    assert found(lake, "_filter", f'code sb "{ANIMALS}|poodle"') == {"dog", "poodle"}
    assert found(lake, "_filter", f'code sb "{ANIMALS}|dog"') == {"dog"}


def test_through_chains(lake: Lake) -> None:
    encounter = {
        "resourceType": "Encounter",
        "id": "of-dog",
        "status": "finished",
        "class": {"system": V3, "code": "AMB"},
        "diagnosis": [{"condition": {"reference": "Condition/dog"}}],
    }
    lake.transact([Put(encounter)])
    for value in ("diagnosis:Condition.code:in", "diagnosis:Condition.code:not-in"):
        page = lake.search("Encounter", [(value, MAMMALS)])
        assert [v.id for v in page.versions] == (["of-dog"] if value.endswith(":in") else [])
    page = lake.search("Condition", [("_has:Encounter:diagnosis:class:below", f"{V3}|AMB")])
    assert [version.id for version in page.versions] == ["dog"]


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("code:in", "http://example.org/none", "value set is not known"),
        ("code:in", "ValueSet/none", "value set is not known"),
        ("code:not-in", "http://example.org/none", "value set is not known"),
        ("code:in", "http://loinc.org/vs", "not loaded"),
        ("code:in", "http://hl7.org/fhir/ValueSet/ucum-units", "too many"),
        ("code:below", "http://loinc.org|1-8", "not loaded"),
        ("code:above", "http://loinc.org|1-8", "not loaded"),
        ("code:below", f"{ANIMALS}|unicorn", "no such code"),
        ("code:below", f"{ICD10CM}|rubbish", "no such code"),
        ("code:below", "dog", "system|code is needed"),
        ("code:below", "|dog", "system|code is needed"),
        ("code:below", f"{ANIMALS}|", "system|code is needed"),
        ("code:in", "", "empty"),
        ("_id:in", MAMMALS, "no modifiers"),
        ("subject:in", MAMMALS, "no such modifier"),
    ],
)
def test_what_cannot_be_told_is_refused(lake: Lake, name: str, value: str, reason: str) -> None:
    with pytest.raises(FhirError) as failure:
        lake.search("Condition", [(name, value)])
    assert failure.value.category in ("not-supported", "value")
    assert reason in str(failure.value) and failure.value.issues[0].expression == (name,)
    # Also where there is nothing to search.
    if name.startswith("code"):
        with pytest.raises(FhirError):
            lake.search("AllergyIntolerance", [(name, value)])


def test_codes_of_elements_with_a_required_binding(lake: Lake) -> None:
    encounter = {
        "resourceType": "Encounter",
        "id": "e",
        "status": "finished",
        "class": {"system": V3, "code": "IMP"},
    }
    lake.transact([Put(encounter)])
    inpatient = "http://terminology.hl7.org/ValueSet/v3-ActEncounterCode"
    for params in (
        [("class:in", inpatient)],
        [("class:below", f"{V3}|_ActEncounterCode")],
        [("status:in", "http://hl7.org/fhir/ValueSet/encounter-status")],
    ):
        assert lake.search("Encounter", [*params, ("_id", "e")]).total == 1
    assert lake.search("Encounter", [("class:not-in", inpatient), ("_id", "e")]).total == 0


def test_as_of_the_past_and_on_later_pages(tmp_path: Path) -> None:
    with Lake.open(tmp_path / "lake") as lake:
        lake.transact([Put(condition(id, coding)) for id, coding in CODES.items()])
        listed = value_set(all_of(concept=[{"code": "dog"}, {"code": "ant"}]), url=MAMMALS)
        first = lake.transact([Put({**listed, "id": "v"})]).t
        page = lake.search("Condition", [("code:in", MAMMALS), ("_count", "1")])
        assert page.total == 2 and page.next
        other = value_set(all_of(concept=[{"code": "poodle"}]), url=MAMMALS)
        lake.transact([Put({**other, "id": "v"})])
        assert found(lake, "code:in", MAMMALS) == {"poodle"}
        assert found(lake, "code:in", MAMMALS, at=first) == {"dog", "ant"}
        second = lake.search(
            "Condition", [("code:in", MAMMALS), ("_count", "1"), ("_cursor", page.next)]
        )
        assert {page.versions[0].id, second.versions[0].id} == {"dog", "ant"}
        lake.erase([("ValueSet", "v")], reason="a test")
        with pytest.raises(FhirError):
            found(lake, "code:in", MAMMALS, at=first)


@pytest.mark.parametrize("distinct", [20, 100_000])
def test_large_value_sets_in_both_tiers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, distinct: int
) -> None:
    monkeypatch.setattr(code_sets, "_MAX_DISTINCT", distinct)
    chosen = random.Random(7)
    with Lake.open(tmp_path / "lake") as lake:
        url = "http://example.org/large"
        codes = [f"c{n:06}" for n in range(0, 20_000, 2)]
        large = code_system(url, concept=[{"code": code} for code in codes])
        lake.transact(
            [Put({**large, "id": "l"}), Put({**value_set(all_of(url), url=url), "id": "v"})]
        )
        picked = [f"c{chosen.randrange(20_000):06}" for _ in range(600)]
        expected = {f"r{n}" for n, code in enumerate(picked) if int(code[1:]) % 2 == 0}
        lake.transact([Put(condition(f"r{n}", (url, picked[n]))) for n in range(300)])
        lake.flush()
        lake.transact([Put(condition(f"r{n}", (url, picked[n]))) for n in range(300, 600)])
        lake.transact([Put(condition("elsewhere", ("http://other.org", codes[0])))])
        page = lake.search("Condition", [("code:in", url), ("_count", "1000")])
        assert {version.id for version in page.versions} == expected and page.total == len(expected)
        page = lake.search("Condition", [("code:not-in", url), ("_count", "1000")])
        assert page.total == 601 - len(expected)
        begin = time.perf_counter()
        lake.search("Condition", [("code:in", url), ("_count", "10")])
        assert time.perf_counter() - begin < 0.5
        monkeypatch.setattr(code_sets, "MAX_CODES", 100)
        lake.transact([Put({**value_set(all_of(url), url=f"{url}/2"), "id": "v2"})])
        with pytest.raises(FhirError, match="10,000 codes"):
            lake.search("Condition", [("code:in", f"{url}/2")])


def test_a_process_that_only_reads_answers_the_same(tmp_path: Path) -> None:
    with Lake.open(tmp_path / "lake") as lake:
        resources = [*definitions(), *(condition(id, coding) for id, coding in CODES.items())]
        lake.transact([Put(resource) for resource in resources])
        with Lake.open(tmp_path / "lake", read_only=True) as reader:
            assert found(reader, "code:in", MAMMALS) == {"dog", "poodle"}
