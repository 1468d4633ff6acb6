"""What searches find: each parameter type, its modifiers, and what is refused.

https://hl7.org/fhir/R4/search.html
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from schemas.outcomes import FhirError
from storage.lake import Delete, Lake, Put

Found = Callable[..., list[str]]
Make = Callable[..., dict[str, Any]]

UCUM = "http://unitsofmeasure.org"


@pytest.fixture
def ward(lake: Lake, patient: Make, observation: Make) -> Lake:
    """Two patients and six observations."""

    def quantity(value: float, **more: Any) -> dict[str, Any]:
        return {"value": value, "unit": "percent", "system": UCUM, "code": "%", **more}

    lake.transact(
        [
            Put(
                patient(
                    "p1",
                    name=[{"family": "Müller-O'Neil", "given": ["Ann", "Eve"]}],
                    birthDate="1980-02-03",
                    active=True,
                    identifier=[{"system": "urn:mrn", "value": "a|b,c"}],
                    meta={
                        "tag": [{"system": "urn:t", "code": "x"}],
                        "profile": ["http://p.org/A|1.0"],
                        "security": [{"system": "urn:s", "code": "R"}],
                        "source": "http://src.org/a/b",
                    },
                )
            ),
            Put(patient("p2", name=[{"family": "Mullen", "given": ["Bob"]}], gender="male")),
            Put(observation("a1", valueQuantity=quantity(8.1), effectiveDateTime="2024-03-05")),
            Put(observation("a2", valueQuantity=quantity(5.4), effectiveDateTime="2023")),
            Put(observation("a3", effectiveDateTime="2024-03-05T10:00:00Z")),
            Put(observation("a4", code="718-7", patient="p2", effectiveDateTime="2022-12-31")),
            Put(
                observation(
                    "a5",
                    code="718-7",
                    effectivePeriod={"start": "2024-01-01", "end": "2024-06-30"},
                    effectiveDateTime=None,
                )
                | {"status": "amended"}
            ),
            Put(
                {
                    "resourceType": "Observation",
                    "id": "a6",
                    "status": "final",
                    "code": {"text": "Words only"},
                    "subject": {"identifier": {"system": "urn:mrn", "value": "9"}},
                    "focus": [{"reference": "http://elsewhere.org/fhir/Patient/p1"}],
                }
            ),
        ]
    )
    return lake


OBSERVATIONS: list[tuple[str, str, str]] = [
    ("_id", "a1", "a1"),
    ("_id", "a1,a3,zz", "a1 a3"),
    ("_lastUpdated", "ge2000", "a1 a2 a3 a4 a5 a6"),
    ("_lastUpdated", "lt2000", ""),
    ("_lastUpdated", "lt2000,gt2001", "a1 a2 a3 a4 a5 a6"),
    # token
    ("code", "4548-4", "a1 a2 a3"),
    ("code", "http://loinc.org|4548-4", "a1 a2 a3"),
    ("code", "http://other.org|4548-4", ""),
    ("code", "|4548-4", ""),
    ("code", "http://loinc.org|", "a1 a2 a3 a4 a5"),
    ("code", "4548-4,718-7", "a1 a2 a3 a4 a5"),
    ("code", "HTTP://LOINC.ORG|4548-4", ""),
    ("code:not", "4548-4", "a4 a5 a6"),
    ("code:not", "4548-4,718-7", "a6"),
    ("code:text", "hemoglobin", "a1 a2 a3 a4 a5"),
    ("code:text", "WORDS", "a6"),
    ("code:missing", "true", ""),
    ("status", "final", "a1 a2 a3 a4 a6"),
    ("status:not", "final", "a5"),
    # reference
    ("subject", "Patient/p1", "a1 a2 a3 a5"),
    ("subject", "p1", "a1 a2 a3 a5"),
    ("subject", "p1,p2", "a1 a2 a3 a4 a5"),
    ("patient", "p1", "a1 a2 a3 a5"),
    ("patient", "Patient/p2", "a4"),
    ("subject:Patient", "p2", "a4"),
    ("subject", "Group/p1", ""),
    ("subject:Group", "p1", ""),
    ("focus", "http://elsewhere.org/fhir/Patient/p1", "a6"),
    ("focus", "Patient/p1", ""),
    ("subject:identifier", "urn:mrn|9", "a6"),
    ("subject:missing", "true", ""),
    ("subject:missing", "false", "a1 a2 a3 a4 a5 a6"),
    ("encounter:missing", "true", "a1 a2 a3 a4 a5 a6"),
    ("encounter:missing", "false", ""),
    # date: a1 day, a2 year 2023, a3 second, a4 day, a5 half a year
    ("date", "2024-03-05", "a1 a3"),
    ("date", "2024", "a1 a3 a5"),
    ("date", "2024-03", "a1 a3"),
    ("date", "2023", "a2"),
    ("date", "2023-05", ""),
    ("date", "ne2024", "a2 a4"),
    ("date", "gt2024-03-05", "a5"),
    ("date", "lt2023-02", "a2 a4"),
    ("date", "ge2024-03-05", "a1 a3 a5"),
    ("date", "le2023-01-01", "a2 a4"),
    ("date", "le2022-12-31", "a4"),
    ("date", "ge2024-06-30", "a5"),
    ("date", "ge2024-07-01", ""),
    ("date", "sa2023", "a1 a3 a5"),
    ("date", "sa2024-01-15", "a1 a3"),
    ("date", "eb2024-01-01", "a2 a4"),
    ("date", "2024-03-05T10:00:00Z", "a3"),
    ("date", "2024-03-05T11:00:00+01:00", "a3"),
    ("date", "2024-03-05T11:00:00 01:00", "a3"),
    ("date", "2022,2023", "a2 a4"),
    ("date:missing", "true", "a6"),
    # quantity
    ("value-quantity", "8.1", "a1"),
    ("value-quantity", "8", "a1"),
    ("value-quantity", "8.10", "a1"),
    ("value-quantity", "8.2", ""),
    ("value-quantity", f"8.1|{UCUM}|%", "a1"),
    ("value-quantity", "8.1||percent", "a1"),
    ("value-quantity", "8.1||%", "a1"),
    ("value-quantity", "8.1||mg", ""),
    ("value-quantity", f"gt5.4|{UCUM}|%", "a1"),
    ("value-quantity", "ge5.4", "a1 a2"),
    ("value-quantity", "lt8.1", "a2"),
    ("value-quantity", "le8.1", "a1 a2"),
    ("value-quantity", "ne8.1", "a2"),
    ("value-quantity", "ap8", "a1"),
    ("value-quantity", "-8.1", ""),
]


@pytest.mark.parametrize(("name", "value", "expected"), OBSERVATIONS)
@pytest.mark.parametrize("flushed", [False, True], ids=["hot", "flushed"])
def test_observations(
    ward: Lake, found: Found, name: str, value: str, expected: str, flushed: bool
) -> None:
    if flushed:
        ward.flush()
    assert found(ward, "Observation", (name, value), strict=True) == expected.split()


PATIENTS: list[tuple[str, str, str]] = [
    ("name", "mull", "p1 p2"),
    ("name", "Müll", "p1 p2"),
    ("name", "eve", "p1"),
    ("family", "MULLER", "p1"),
    ("family", "uller", ""),
    ("family:contains", "uller", "p1"),
    ("family:contains", "O'Ne", "p1"),
    ("family:contains", "%", ""),
    ("family:contains", "_", ""),
    ("family:exact", "Müller-O'Neil", "p1"),
    ("family:exact", "muller-o'neil", ""),
    ("given:exact", "Bob", "p2"),
    ("given:exact", "bob", ""),
    ("gender", "male", "p2"),
    ("active", "true", "p1"),
    ("active:missing", "true", "p2"),
    ("birthdate", "1980", "p1"),
    ("identifier", r"urn:mrn|a\|b\,c", "p1"),
    ("identifier", r"a\|b\,c", "p1"),
    ("identifier", "urn:mrn|", "p1"),
    ("_tag", "urn:t|x", "p1"),
    ("_tag:not", "urn:t|x", "p2"),
    ("_security", "R", "p1"),
    ("_profile", "http://p.org/A", "p1"),
    ("_profile", "http://p.org/A|1.0", "p1"),
    ("_profile", "http://p.org/A|2.0", ""),
    ("_profile", "http://p.org/", ""),
    ("_source", "http://src.org/a/b", "p1"),
    ("_source:below", "http://src.org/a", "p1"),
    ("_source:below", "http://src.org/a/b", "p1"),
    ("_source:below", "http://src.org/", "p1"),
    ("_source:below", "http://src.or", ""),
    ("_source:above", "http://src.org/a/b/c", "p1"),
    ("_source:above", "http://src.org/a", ""),
]


@pytest.mark.parametrize(("name", "value", "expected"), PATIENTS)
def test_patients(ward: Lake, found: Found, name: str, value: str, expected: str) -> None:
    assert found(ward, "Patient", (name, value), strict=True) == expected.split()


def test_all_parameters_must_match(ward: Lake, found: Found) -> None:
    assert found(ward, "Observation", ("patient", "p1"), ("code", "4548-4")) == ["a1", "a2", "a3"]
    both = [("date", "ge2024-01-01"), ("date", "lt2024-04-01")]
    assert found(ward, "Observation", *both) == ["a1", "a3", "a5"]
    assert found(ward, "Observation", *both, ("_id", "a3,a4")) == ["a3"]
    assert found(ward, "Observation", ("status:not", "final"), ("code", "718-7")) == ["a5"]
    assert found(ward, "Patient", ("given", "ann"), ("given", "eve")) == ["p1"]
    assert found(ward, "Patient", ("given", "ann"), ("given", "bob")) == []


def test_search_as_of_the_past(ward: Lake, found: Found, patient: Make) -> None:
    ward.transact([Put(patient("p1", gender="male"))])
    ward.transact([Delete("Patient", "p2")])
    assert found(ward, "Patient", ("gender", "male")) == ["p1"]
    assert found(ward, "Patient", ("gender", "male"), at=2) == ["p2", "p1"]
    assert found(ward, "Patient", ("gender", "male"), at=1) == ["p2"]
    assert found(ward, "Patient", at=0) == []
    assert [v.version_id for v in ward.search("Patient", [("_id", "p1")], at=1).versions] == [1]


def test_sorting(ward: Lake, found: Found) -> None:
    def ids(*params: tuple[str, str]) -> str:
        return " ".join(found(ward, "Observation", *params))

    assert ids(("_sort", "date")) == "a4 a2 a5 a1 a3 a6"
    assert ids(("_sort", "-date")) == "a3 a1 a5 a2 a4 a6"
    assert ids(("_sort", "-_id")) == "a6 a5 a4 a3 a2 a1"
    assert ids(("_sort", "-_lastUpdated")) == "a6 a5 a4 a3 a2 a1"
    assert ids(("_sort", "_lastUpdated,-_id")) == "a6 a5 a4 a3 a2 a1"
    assert ids(("_sort", "-value-quantity,_id")) == "a1 a2 a3 a4 a5 a6"
    for sort in ("-date", "date", "-_id", "value-quantity", "-value-quantity,date"):
        whole = ids(("_sort", sort))
        paged, page = [], ward.search("Observation", [("_sort", sort), ("_count", "2")])
        while True:
            paged += [v.id for v in page.versions]
            if not page.next:
                break
            page = ward.search(
                "Observation", [("_sort", sort), ("_count", "2"), ("_cursor", page.next)]
            )
        assert " ".join(paged) == whole, sort


def test_counts_and_totals(ward: Lake) -> None:
    page = ward.search("Observation", [("_count", "0"), ("code", "4548-4")])
    assert (page.versions, page.total, page.next) == ([], 3, None)
    page = ward.search("Observation", [("_count", "2")])
    assert (len(page.versions), page.total, page.next is not None) == (2, 6, True)
    page = ward.search("Observation", [("_count", "2"), ("_total", "none")])
    assert (len(page.versions), page.total) == (2, None)
    assert len(ward.search("Observation", [("_count", "99999")]).versions) == 6
    assert ward.search("Encounter", []).total == 0


def test_unknown_parameters_are_named_or_refused(ward: Lake) -> None:
    page = ward.search("Patient", [("nonsense", "1"), ("_summary", "true"), ("gender", "male")])
    assert page.ignored == ["nonsense", "_summary"]
    assert page.total == 1
    with pytest.raises(FhirError) as failure:
        ward.search("Patient", [("nonsense", "1")], strict=True)
    assert failure.value.category == "not-supported"
    assert failure.value.issues[0].expression == ("nonsense",)


REFUSED: list[tuple[str, str, str]] = [
    ("code:in", "http://vs", "not-supported"),
    ("code:nonsense", "x", "not-supported"),
    ("subject:Patient.nonsense", "x", "not-supported"),
    ("subject.nonsense", "x", "not-supported"),
    ("code.name", "x", "not-supported"),
    ("subject:Medication.code", "x", "not-supported"),
    ("subject:Medication", "x", "not-supported"),
    ("_id:not", "x", "not-supported"),
    ("date:exact", "2024", "not-supported"),
    ("code", "", "value"),
    ("code", "a,,b", "value"),
    ("code", "|", "value"),
    ("date", "2024-13", "value"),
    ("date", "yesterday", "value"),
    ("date", "xx2024", "value"),
    ("_lastUpdated", "soon", "value"),
    ("_id", "not an id", "value"),
    ("value-quantity", "much", "value"),
    ("value-quantity", "1|2", "value"),
    ("value-quantity", "NaN", "value"),
    ("subject", "Patient?name=x", "value"),
    ("subject", "/", "value"),
    ("subject:Patient", "Group/1", "value"),
    ("code:missing", "maybe", "value"),
    ("_count", "-1", "value"),
    ("_count", "ten", "value"),
    ("_total", "some", "value"),
    ("_sort", "code-value-quantity", "not-supported"),
    ("_sort", "", "not-supported"),
    ("_sort", "nonsense", "not-supported"),
    ("code", ",".join(str(n) for n in range(200)), "value"),
]


@pytest.mark.parametrize(("name", "value", "category"), REFUSED)
@pytest.mark.parametrize("empty", [False, True], ids=["full", "empty"])
def test_bad_values_and_modifiers_are_refused(
    lake: Lake, observation: Make, name: str, value: str, category: str, empty: bool
) -> None:
    if not empty:
        lake.transact([Put(observation())])
    with pytest.raises(FhirError) as failure:
        lake.search("Observation", [(name, value)])
    assert failure.value.category == category
    assert failure.value.issues[0].expression == (name,)
    if len(value) > 1 and name not in ("_sort", "date", "_lastUpdated"):
        assert value not in failure.value.issues[0].diagnostics.replace(name, "")


def test_many_alternatives(lake: Lake, observation: Make, found: Found) -> None:
    lake.transact([Put(observation(f"o{n}", code=str(n))) for n in range(120)])
    codes = ",".join(str(n) for n in range(10, 110))
    assert len(found(lake, "Observation", ("code", codes), ("_count", "1000"))) == 100
    ids = ",".join(f"o{n}" for n in range(900))
    assert len(found(lake, "Observation", ("_id", ids), ("_count", "1000"))) == 120


def test_unknown_type_is_refused(lake: Lake) -> None:
    with pytest.raises(FhirError) as failure:
        lake.search("Nonsense", [])
    assert failure.value.category == "unknown-type"


def test_given_twice_with_two_meanings(lake: Lake) -> None:
    with pytest.raises(FhirError, match="twice"):
        lake.search("Patient", [("_count", "1"), ("_count", "2")])
