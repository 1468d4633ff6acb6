"""Who is in a cohort, and what shows it."""

from __future__ import annotations

from typing import Any

import pytest

from schemas import codes
from schemas.outcomes import FhirError
from storage.analytics import cohort
from storage.analytics.cohort import CohortResult

from .conftest import MemoryLake
from .fhir_samples import (
    about,
    concept,
    condition,
    medication_request,
    mention,
    observation,
    patient,
)

E11 = {"system": "icd10cm", "code": "E11", "descendants": True}
A1C_OVER_8 = {"codes": ["loinc|4548-4"], "select": "latest", "value": {"gt": 8, "unit": "%"}}


def find(lake: MemoryLake, *include: Any, exclude: Any = (), t: int | None = None) -> CohortResult:
    definition = {"name": "test", "include": list(include), "exclude": list(exclude)}
    return cohort.run(lake.at(t), definition)


def members(lake: MemoryLake, *include: Any, exclude: Any = (), t: int | None = None) -> list[str]:
    return [m["patient_id"] for m in find(lake, *include, exclude=exclude, t=t).members]


def test_members_evidence_and_attrition(lake: MemoryLake) -> None:
    lake.commit(
        patient("a", gender="female", birthDate="1974-06-16"),
        patient("b", gender="male", birthDate="1960"),
        patient("c", gender="female", birthDate="2000-01-01"),
        condition("c1", "a", "E11.9", onsetDateTime="2019-05-01"),
        condition("c2", "a", "E11.65", onsetDateTime="2021-05-01"),
        condition("c3", "b", "E11"),
        observation("o1", "a", 7.5, "%", when="2022-01-01"),
        observation("o2", "a", 9, "%", when="2023-01-01"),
        observation("o3", "b", 9, "%", when="2022-01-01"),
        observation("o4", "b", 7, "%", when="2023-01-01"),
    )
    lake.flush()
    result = find(lake, {"condition": {"codes": [E11]}}, {"observation": A1C_OVER_8},
                  {"age": {"min": 40}}, exclude=[{"gender": "male"}])  # fmt: skip
    assert result.members == [
        {
            "patient_id": "a", "age": 49, "gender": "female",
            "condition": {
                "reference": "Condition/c2", "date": "2021-05-01T00:00:00Z", "code": "E11.65",
                "display": None, "value": None, "unit": None,
            },
            "observation": {
                "reference": "Observation/o2", "date": "2023-01-01T00:00:00Z", "code": "4548-4",
                "display": None, "value": 9.0, "unit": "%",
            },
        }
    ]  # fmt: skip
    assert result.attrition == [
        {"criterion": "all patients", "count": 3},
        {"criterion": "condition", "count": 2},
        {"criterion": "observation", "count": 1},
        {"criterion": "age", "count": 1},
        {"criterion": "not gender", "count": 1},
    ]
    assert result.warnings == [
        "1 patients have only a year or month of birth; their age is counted from its first day"
    ]
    assert "8" not in result.sql.split("WHERE")[-1]
    assert result.to_dict()["instant"] == "2024-06-15T12:01:00Z"


@pytest.mark.parametrize(
    ("birth", "age"),
    [("1984-06-15", 40), ("1984-06-16", 39), ("1984-06-14", 40), ("2004-02-29", 20),
     ("2024-06-15", 0), ("1984-06", 40), ("1984", 40)],
)  # fmt: skip
def test_age_is_completed_years(lake: MemoryLake, birth: str, age: int) -> None:
    lake.commit(patient("a", birthDate=birth))
    assert find(lake, {"age": {"min": age, "max": age}}).members == [
        {"patient_id": "a", "age": age, "gender": "unknown"}
    ]
    assert members(lake, {"age": {"min": age + 1}}) == []


def test_unknown_age_is_neither_included_nor_excluded(lake: MemoryLake) -> None:
    lake.commit(patient("a"), patient("b", birthDate="1950-01-01"))
    old = {"age": {"min": 65}}
    assert members(lake, old) == ["b"]
    assert members(lake, {"not": old}) == []
    assert members(lake, exclude=[old]) == ["a"]
    assert "1 patients have no birth date" in find(lake, old).warnings[0]


@pytest.mark.parametrize(
    ("said", "counts"),
    [
        ({}, True),
        ({"clinical": None}, True),
        ({"clinical": "recurrence"}, True),
        ({"clinical": "resolved"}, False),
        ({"clinical": "inactive"}, False),
        ({"verification": "confirmed"}, True),
        ({"verification": "unconfirmed"}, True),
        ({"verification": "refuted"}, False),
        ({"verification": "entered-in-error"}, False),
    ],
)
def test_which_conditions_count(lake: MemoryLake, said: dict[str, Any], counts: bool) -> None:
    lake.commit(patient("a"), condition("c", "a", "E11.9", **said))
    assert members(lake, {"condition": {"codes": [E11]}}) == (["a"] if counts else [])


@pytest.mark.parametrize("verification", ["refuted", "entered-in-error"])
def test_refuted_never_counts(lake: MemoryLake, verification: str) -> None:
    lake.commit(patient("a"), condition("c", "a", "E11.9", verification=verification))
    assert members(lake, {"condition": {"codes": [E11], "clinical_status": "any"}}) == []


@pytest.mark.parametrize("status", ["any", "resolved"])
def test_other_clinical_statuses(lake: MemoryLake, status: str) -> None:
    lake.commit(patient("a"), condition("c", "a", "E11.9", clinical="resolved"))
    assert members(lake, {"condition": {"codes": [E11], "clinical_status": status}}) == ["a"]


@pytest.mark.parametrize("trait", ["NEGATED", "FAMILY", "HYPOTHETICAL"])
def test_what_a_note_denies_never_counts(lake: MemoryLake, trait: str) -> None:
    lake.commit(patient("a"), mention(condition("c", "a", "E11.9"), trait))
    assert members(lake, {"condition": {"codes": [E11], "clinical_status": "any"}}) == []


@pytest.mark.parametrize(
    ("source", "found"), [("any", ["a", "b"]), ("nlp", ["b"]), ("structured", ["a"])]
)
def test_source(lake: MemoryLake, source: str, found: list[str]) -> None:
    lake.commit(
        patient("a"), patient("b"),
        condition("c", "a", "E11.9"), mention(condition("d", "b", "E11.9"), "HISTORICAL"),
    )  # fmt: skip
    assert members(lake, {"condition": {"codes": [E11], "source": source}}) == found


@pytest.mark.parametrize(
    ("asked", "recorded", "system", "found"),
    [
        ("E11.9", "E11.9", codes.ICD10CM, True),
        ("E11.9", "E119", codes.ICD10CM, True),
        ("E11.9", "E11.9", "urn:oid:2.16.840.1.113883.6.90", True),
        ("E11.9", "E11.9", codes.SNOMED, False),
        ("E11.9", "E11.90", codes.ICD10CM, False),
        ("E11", "E11.9", codes.ICD10CM, False),
    ],
)
def test_codes(lake: MemoryLake, asked: str, recorded: str, system: str, found: bool) -> None:
    lake.commit(patient("a"), condition("c", "a", recorded, system=system))
    for code in ({"system": "icd10cm", "code": asked}, f"{codes.ICD10CM}|{asked}"):
        assert members(lake, {"condition": {"codes": [code]}}) == (["a"] if found else [])


@pytest.mark.parametrize(
    ("asked", "recorded", "found"),
    [("E11.6", "E11.65", True), ("E11.6", "E1165", True), ("e11.6", "E11.6", True),
     ("E11.6", "E11.9", False), ("E11", "E12", False)],
)  # fmt: skip
def test_descendants(lake: MemoryLake, asked: str, recorded: str, found: bool) -> None:
    lake.commit(patient("a"), condition("c", "a", recorded))
    code = {"system": "icd10cm", "code": asked, "descendants": True}
    assert members(lake, {"condition": {"codes": [code]}}) == (["a"] if found else [])


@pytest.mark.parametrize(
    ("text", "recorded", "found"),
    [
        ("metformin", "Metformin 500 MG", True),
        ("METFORMIN", "24 HR metformin", True),
        ("metformin", "metforminum", False),
        ("zinc", "Zinc-oxide", True),
        ("insulin glargine", "insulin   glargine 100 UNT/ML", True),
        ("a.b", "axb", False),
        ("co-trimoxazole", "Co-Trimoxazole tablet", True),
        ("mg", "5mg", False),
    ],
)
def test_text_is_whole_words(lake: MemoryLake, text: str, recorded: str, found: bool) -> None:
    lake.commit(patient("a"), medication_request("m", "a", recorded))
    assert members(lake, {"medication": {"text": text}}) == (["a"] if found else [])


@pytest.mark.parametrize(
    ("asked", "on"),
    [(None, {"active"}), ("on", {"active"}), ("ever", {"active", "completed", "stopped"}),
     ("any", {"active", "completed", "stopped", "draft"}), (["completed"], {"completed"})],
)  # fmt: skip
def test_medication_status(lake: MemoryLake, asked: Any, on: set[str]) -> None:
    statuses = ("active", "completed", "stopped", "draft", "entered-in-error")
    lake.commit(*(patient(status) for status in statuses))
    lake.commit(*(medication_request(s, s, "metformin", status=s) for s in statuses))
    criterion = {"text": "metformin"} | ({"status": asked} if asked else {})
    assert set(members(lake, {"medication": criterion})) == on


def test_medication_by_reference(lake: MemoryLake) -> None:
    lake.commit(
        patient("a"),
        {"resourceType": "Medication", "id": "m", "code": concept(codes.RXNORM, "6809")},
        medication_request("r", "a", None, medicationReference={"reference": "Medication/m"}),
    )
    assert members(lake, {"medication": {"codes": ["rxnorm|6809"]}}) == ["a"]


@pytest.mark.parametrize(
    ("select", "value", "found"),
    [
        ("any", {"ge": 9}, True), ("any", {"gt": 9}, False), ("latest", {"lt": 7}, True),
        ("latest", {"ge": 7}, False), ("first", {"ge": 8, "le": 8}, True), ("min", {"lt": 6}, True),
        ("min", {"ge": 6}, False), ("max", {"ge": 9, "lt": 9.1}, True), ("max", {"lt": 9}, False),
    ],
)  # fmt: skip
def test_which_value_counts(lake: MemoryLake, select: str, value: Any, found: bool) -> None:
    lake.commit(
        patient("a"),
        observation("o1", "a", 8, "%", when="2020"),
        observation("o2", "a", 9, "%", when="2021"),
        observation("o3", "a", 5.5, "%", when="2022"),
        observation("o4", "a", 99, "%", when="2023", status="entered-in-error"),
        observation("o5", "a", 99, "%", when="2023", code="1-1"),
    )
    asked = {"codes": ["loinc|4548-4"], "select": select, "value": value | {"unit": "%"}}
    assert members(lake, {"observation": asked}) == (["a"] if found else [])


@pytest.mark.parametrize(
    ("value", "comparator", "bound", "found"),
    [(5, "<", {"lt": 5}, True), (5, "<", {"lt": 4}, False), (5, "<", {"gt": 1}, False),
     (5, "<=", {"lt": 5}, False), (5, "<=", {"le": 5}, True), (5, ">", {"gt": 5}, True),
     (5, ">=", {"gt": 5}, False), (5, ">=", {"ge": 5}, True), (500, ">", {"lt": 600}, False)],
)  # fmt: skip
def test_bounds_count_only_where_they_are_sure(
    lake: MemoryLake, value: float, comparator: str, bound: Any, found: bool
) -> None:
    lake.commit(patient("a"), observation("o", "a", value, "%", comparator=comparator))
    asked = {"codes": ["loinc|4548-4"], "value": bound | {"unit": "%"}}
    assert members(lake, {"observation": asked}) == (["a"] if found else [])


@pytest.mark.parametrize(
    ("value", "unit", "code", "asked", "found"),
    [
        (8.1, "%", "4548-4", {"gt": 8, "unit": "%"}, True),
        (8.1, "percent", "4548-4", {"gt": 8, "unit": "%"}, True),
        (65, "mmol/mol", "4548-4", {"gt": 8, "unit": "%"}, True),  # 8.1 %
        (64, "mmol/mol", "59261-8", {"gt": 8, "unit": "%"}, False),  # 8.0 %
        (48, "mmol/mol", "59261-8", {"ge": 6.5, "le": 6.5, "unit": "%"}, True),
        (6.5, "%", "4548-4", {"ge": 48, "le": 48, "unit": "mmol/mol"}, True),
        (65, "mmol/mol", "1-1", {"gt": 8, "unit": "%"}, False),
        (9, "g/dL", "4548-4", {"gt": 8, "unit": "%"}, False),
        (9, None, "4548-4", {"gt": 8, "unit": "%"}, False),
        (9, None, "4548-4", {"gt": 8, "unit": "1"}, True),
        (9, "{score}", "4548-4", {"gt": 8, "unit": "1"}, True),
    ],
)
def test_units_are_never_mixed(
    lake: MemoryLake, value: float, unit: str | None, code: str, asked: Any, found: bool
) -> None:
    lake.commit(patient("a"), observation("o", "a", value, unit, code=code))
    listed = ["loinc|4548-4", "loinc|59261-8", "loinc|1-1"]
    assert members(lake, {"observation": {"codes": listed, "value": asked}}) == (
        ["a"] if found else []
    )


def test_values_in_other_units_are_told(lake: MemoryLake) -> None:
    lake.commit(
        patient("a"), observation("o1", "a", 9, "g/dL"), observation("o2", "a", 9),
        observation("o3", "a", 9, "%"),
    )  # fmt: skip
    assert find(lake, {"observation": A1C_OVER_8}).warnings == [
        "observation: 2 values were not compared, since their unit is another (none, g/dL)"
    ]


def test_components_are_found(lake: MemoryLake) -> None:
    part = {"code": concept(codes.LOINC, "8480-6"), "valueQuantity": {"value": 150, "unit": "mmHg"}}
    panel = about(
        "Observation", "bp", "a", status="final", code=concept(codes.LOINC, "85354-9"),
        component=[part], effectiveDateTime="2020-01-01",
    )  # fmt: skip
    lake.commit(patient("a"), panel)
    high = {"codes": ["loinc|8480-6"], "value": {"ge": 140, "unit": "mm[Hg]"}}
    for _ in range(2):
        (member,) = find(lake, {"observation": high}).members
        assert member["observation"]["reference"] == "Observation/bp"
        assert member["observation"]["value"] == 150
        lake.flush()
    assert members(lake, {"observation": high | {"value": {"lt": 140, "unit": "mm[Hg]"}}}) == []


@pytest.mark.parametrize(
    ("window", "found"),
    [({}, 3), ({"since": "2020"}, 2), ({"until": "2019-12"}, 1), ({"since": "2020-06-02"}, 1),
     ({"since": "2020-06-01", "until": "2020-06-01"}, 1), ({"since": "2021-01-02"}, 0)],
)  # fmt: skip
def test_window_and_count(lake: MemoryLake, window: dict[str, str], found: int) -> None:
    lake.commit(
        patient("a"),
        observation("o1", "a", 1, "%", when="2019-12-31T23:59:59Z"),
        observation("o2", "a", 1, "%", when="2020-06-01T23:00:00Z"),
        observation("o3", "a", 1, "%", when="2021-01-01"),
    )
    for n in range(1, 5):
        asked = {"codes": ["loinc|4548-4"], "at_least": n} | window
        assert members(lake, {"observation": asked}) == (["a"] if n <= found else [])


def test_other_kinds(lake: MemoryLake) -> None:
    lake.commit(
        patient("a", deceasedDateTime="2024-01-01"),
        about("Procedure", "p", "a", status="completed", code={"text": "Appendectomy"}),
        about("Encounter", "e", "a", status="finished", **{"class": {"code": "EMER"}},
              period={"start": "2020-01-01"}),
        about("Immunization", "i", "a", status="completed", vaccineCode=concept(codes.CVX, "140"),
              occurrenceDateTime="2021-10-01"),
        about("AllergyIntolerance", "l", "a", code={"text": "Penicillin"}),
        about("Immunization", "n", "a", status="not-done", vaccineCode=concept(codes.CVX, "141")),
    )  # fmt: skip
    for criterion in (
        {"deceased": True},
        {"procedure": {"text": "appendectomy"}},
        {"encounter": {"class": "EMER", "since": "2020", "until": "2020"}},
        {"immunization": {"codes": ["cvx|140"]}},
        {"allergy": {"text": "penicillin"}},
    ):
        assert members(lake, criterion) == ["a"], criterion
        assert members(lake, {"not": criterion}) == []
    assert members(lake, {"deceased": False}) == []
    assert members(lake, {"immunization": {"codes": ["cvx|141"]}}) == []
    assert members(lake, {"encounter": {"class": "AMB"}}) == []


def test_nested(lake: MemoryLake) -> None:
    lake.commit(
        patient("a", gender="male"), patient("b", gender="female"), patient("c", gender="female"),
        condition("c1", "a", "E11.9"), condition("c2", "b", "I10"),
    )  # fmt: skip
    diabetes = {"label": "diabetes", "condition": {"codes": [E11]}}
    pressure = {"condition": {"codes": ["icd10cm|I10"]}}
    either = find(lake, {"any_of": [diabetes, pressure]})
    assert [m["patient_id"] for m in either.members] == ["a", "b"]
    assert [m["diabetes"] is None for m in either.members] == [False, True]
    assert members(lake, {"all_of": [{"not": diabetes}, {"gender": "female"}]}) == ["b", "c"]
    assert members(lake, exclude=[{"any_of": [diabetes, pressure]}]) == ["c"]


def test_as_of_a_past_commit(lake: MemoryLake) -> None:
    first = lake.commit(patient("a"), patient("b"), condition("c", "a", "E11.9"))
    lake.flush()
    second = lake.commit(condition("c", "b", "E11.9"))
    lake.flush()
    third = lake.commit(deletes=("Condition/c", "Patient/a"))
    asked = {"condition": {"codes": [E11]}}
    assert [members(lake, asked, t=t) for t in (first, second, third)] == [["a"], ["b"], []]
    assert find(lake, asked, t=third).attrition[0]["count"] == 1


def test_no_patients(lake: MemoryLake) -> None:
    result = find(lake, {"condition": {"codes": [E11]}})
    assert (result.count, result.attrition) == (
        0,
        [{"criterion": "all patients", "count": 0}, {"criterion": "condition", "count": 0}],
    )


def test_definition_is_checked(lake: MemoryLake) -> None:
    with pytest.raises(FhirError, match=r"include\[0\]\.condition"):
        find(lake, {"condition": {}})


def test_an_order_not_to_give_is_no_medication(lake: MemoryLake) -> None:
    order = medication_request("m", "a", "metformin")
    lake.commit(patient("a"), order)
    on_metformin = {"medication": {"text": "metformin"}}
    assert members(lake, on_metformin) == ["a"]
    lake.commit({**order, "doNotPerform": True})
    assert members(lake, on_metformin) == []
