"""Resources: the right type, the right status, nothing invented, everything traceable."""

import json
import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from nlp import PIPELINE_VERSION, Annotator, DerivationError, NoteSource, to_resources
from schemas import codes


def derive(annotator: Annotator, source: NoteSource, text: str) -> list[dict[str, Any]]:
    return to_resources(annotator.annotate(text), source)


def of_type(resources: list[dict[str, Any]], resource_type: str) -> list[dict[str, Any]]:
    return [r for r in resources if r["resourceType"] == resource_type]


def code(concept: dict[str, Any]) -> str:
    found: str = concept["coding"][0]["code"]
    return found


@pytest.mark.parametrize(
    ("text", "clinical", "verification"),
    [
        ("Assessment: pneumonia.", "active", "confirmed"),
        ("No evidence of pneumonia.", None, "refuted"),
        ("Possible pneumonia.", "active", "provisional"),
        ("History of pneumonia in 2010.", "inactive", "confirmed"),
        ("History of type 2 diabetes.", "active", "confirmed"),
    ],
)
def test_condition_status(
    annotator: Annotator, source: NoteSource, text: str, clinical: str | None, verification: str
) -> None:
    (found,) = of_type(derive(annotator, source, text), "Condition")
    assert code(found["verificationStatus"]) == verification
    assert (code(found["clinicalStatus"]) if "clinicalStatus" in found else None) == clinical


def test_assessment_decides_between_mentions(annotator: Annotator, source: NoteSource) -> None:
    text = "HPI: concern for pneumonia.\nASSESSMENT: Pneumonia was ruled out."
    (found,) = of_type(derive(annotator, source, text), "Condition")
    assert code(found["verificationStatus"]) == "refuted"
    text = "HPI: no pneumonia last year.\nASSESSMENT: Pneumonia."
    (found,) = of_type(derive(annotator, source, text), "Condition")
    assert code(found["clinicalStatus"]) == "active"


def test_family_history_is_never_the_patients_condition(
    annotator: Annotator, source: NoteSource
) -> None:
    found = derive(annotator, source, "Mother has diabetes. Father had a stroke and asthma.")
    assert of_type(found, "Condition") == []
    members = {code(m["relationship"]): m for m in of_type(found, "FamilyMemberHistory")}
    assert set(members) == {"MTH", "FTH"}
    assert len(members["FTH"]["condition"]) == 2


@pytest.mark.parametrize(
    "text", ["Return if he develops pneumonia.", "Risk of stroke.", "If he develops asthma, call."]
)
def test_hypothetical_gives_no_condition(
    annotator: Annotator, source: NoteSource, text: str
) -> None:
    assert of_type(derive(annotator, source, text), "Condition") == []


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("Medications: metformin 500 mg BID", "active"),
        ("Metformin was discontinued.", "stopped"),
        ("He is not taking metformin.", "not-taken"),
        ("Plan: start metformin.", "intended"),
        ("Metformin was held.", "on-hold"),
        ("Discussed metformin at length.", "unknown"),
        ("Medications: metformin\nHOSPITAL COURSE: Metformin was stopped.", "stopped"),
        (
            "HOSPITAL COURSE: Metformin was held.\nDISCHARGE MEDICATIONS: metformin 500 mg BID",
            "active",
        ),
        ("Start metformin if the glucose stays high.", "intended"),
    ],
)
def test_medication_status(
    annotator: Annotator, source: NoteSource, text: str, status: str
) -> None:
    (found,) = of_type(derive(annotator, source, text), "MedicationStatement")
    assert found["status"] == status
    assert code(found["medicationCodeableConcept"]) == "6809"


def test_conditional_use_is_no_statement(annotator: Annotator, source: NoteSource) -> None:
    text = "If the pain is severe, oxycodone may help."
    assert of_type(derive(annotator, source, text), "MedicationStatement") == []


def test_brand_and_ingredient_are_one_drug(annotator: Annotator, source: NoteSource) -> None:
    (found,) = of_type(
        derive(annotator, source, "Takes Glucophage. Metformin 500 mg BID."), "MedicationStatement"
    )
    assert len(found["extension"]) == 2


def test_dosage_is_structured(annotator: Annotator, source: NoteSource) -> None:
    text = "Medications: ibuprofen 400-600 mg PO q4-6h PRN for 5 days"
    (found,) = of_type(derive(annotator, source, text), "MedicationStatement")
    (dosage,) = found["dosage"]
    assert dosage["doseAndRate"][0]["doseRange"]["low"] == {
        "value": Decimal(400),
        "unit": "mg",
        "system": codes.UCUM,
        "code": "mg",
    }
    assert dosage["doseAndRate"][0]["doseRange"]["high"]["value"] == Decimal(600)
    assert code(dosage["route"]) == "26643006"
    assert dosage["asNeededBoolean"] is True
    repeat = dosage["timing"]["repeat"]
    assert (repeat["frequency"], repeat["period"], repeat["periodMax"]) == (1, 4, 6)
    assert repeat["periodUnit"] == "h"
    assert repeat["boundsDuration"]["value"] == Decimal(5)
    assert dosage["text"] == "400-600 mg PO q4-6h PRN for 5 days"


def test_two_clauses_are_two_dosages(annotator: Annotator, source: NoteSource) -> None:
    text = "Medications: gabapentin 300 mg 1 capsule every morning and 2 capsules at bedtime"
    (found,) = of_type(derive(annotator, source, text), "MedicationStatement")
    assert [d["doseAndRate"][0]["doseQuantity"]["value"] for d in found["dosage"]] == [1, 2]
    assert [d["timing"]["repeat"]["when"] for d in found["dosage"]] == [["MORN"], ["HS"]]
    assert [d["sequence"] for d in found["dosage"]] == [1, 1]


def test_allergy_is_no_medication(annotator: Annotator, source: NoteSource) -> None:
    found = derive(annotator, source, "Allergies: sulfa (rash), codeine - nausea")
    assert of_type(found, "MedicationStatement") == []
    assert of_type(found, "Observation") == []
    allergies = of_type(found, "AllergyIntolerance")
    assert [a["code"]["text"] for a in allergies] == ["sulfa", "codeine"]
    assert [code(a["verificationStatus"]) for a in allergies] == ["unconfirmed"] * 2
    reaction = allergies[0]["reaction"][0]["manifestation"][0]
    assert (reaction["text"], code(reaction)) == ("rash", "271807003")


@pytest.mark.parametrize(
    "text",
    [
        "She has no allergy to penicillin.",
        "No known allergy to iodine.",
        "Not allergic to penicillin.",
        "Allergies: denies allergy to codeine",
        "ALLERGIES: NKDA",
        "Allergies: no known drug allergies",
    ],
)
def test_no_known_allergy_is_no_allergy(
    annotator: Annotator, source: NoteSource, text: str
) -> None:
    found = of_type(derive(annotator, source, text), "AllergyIntolerance")
    assert {code(allergy["code"]) for allergy in found} <= {"716186003", "409137002"}


@pytest.mark.parametrize(("text", "value"), [("Has fever.", "52101004"), ("No fever.", "2667000")])
def test_symptom_is_present_or_absent(
    annotator: Annotator, source: NoteSource, text: str, value: str
) -> None:
    (found,) = of_type(derive(annotator, source, text), "Observation")
    assert code(found["code"]) == "386661006"
    assert code(found["valueCodeableConcept"]) == value
    assert found["status"] == "preliminary"


def test_measurement_has_quantity_in_ucum(annotator: Annotator, source: NoteSource) -> None:
    (found,) = of_type(derive(annotator, source, "HbA1c 8.4 %"), "Observation")
    assert code(found["code"]) == "4548-4"
    assert found["valueQuantity"] == {
        "value": Decimal("8.4"),
        "unit": "%",
        "system": codes.UCUM,
        "code": "%",
    }


def test_blood_pressure_has_components(annotator: Annotator, source: NoteSource) -> None:
    (found,) = of_type(derive(annotator, source, "BP 142/88"), "Observation")
    assert code(found["code"]) == "85354-9"
    assert [(code(c["code"]), c["valueQuantity"]["value"]) for c in found["component"]] == [
        ("8480-6", 142),
        ("8462-4", 88),
    ]


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("Status post appendectomy.", "completed"),
        ("No prior appendectomy.", "not-done"),
        ("Plan: appendectomy.", "preparation"),
        ("Appendectomy will be scheduled.", "preparation"),
        ("Chest x-ray was obtained.", "completed"),
        ("Plan: his chest x-ray showed a fracture.", "completed"),
        ("Plan: obtain chest x-ray.", "preparation"),
    ],
)
def test_procedure_status(annotator: Annotator, source: NoteSource, text: str, status: str) -> None:
    (found,) = of_type(derive(annotator, source, text), "Procedure")
    assert found["status"] == status
    assert "performedDateTime" not in found


NOTE = """Past Medical History: type 2 diabetes. Family History: asthma in mother.
Medications: metformin 500 mg PO BID. Allergies: penicillin.
HbA1c 8.4 %. Denies fever. Colonoscopy was done."""


def test_every_resource_is_traceable(annotator: Annotator, source: NoteSource) -> None:
    resources = derive(annotator, source, NOTE)
    *found, provenance = resources
    assert {r["resourceType"] for r in found} == {
        "Condition",
        "MedicationStatement",
        "AllergyIntolerance",
        "Observation",
        "Procedure",
        "FamilyMemberHistory",
    }
    for resource in found:
        assert re.fullmatch(r"[A-Za-z0-9\-.]{1,64}", resource["id"])
        assert codes.is_nlp_derived(resource)
        assert resource["meta"]["source"] == source.reference
        owner = resource.get("subject") or resource["patient"]
        assert owner == {"reference": "Patient/p1"}
        for extension in resource["extension"]:
            assert extension["url"] == codes.NLP_MENTION
            parts = {p["url"]: p for p in extension["extension"]}
            begin, end = parts["begin"]["valueInteger"], parts["end"]["valueInteger"]
            assert NOTE[begin:end] == parts["text"]["valueString"]
            assert (
                parts["source"]["valueReference"]["reference"]
                == "DocumentReference/note-1/_history/3"
            )
    assert provenance["resourceType"] == "Provenance"
    assert [t["reference"] for t in provenance["target"]] == [
        f"{r['resourceType']}/{r['id']}" for r in found
    ]
    assert provenance["agent"][0]["who"]["display"] == PIPELINE_VERSION
    assert provenance["entity"][0]["what"]["reference"] == "DocumentReference/note-1/_history/3"
    assert provenance["recorded"] == "2024-03-05T10:00:00.000Z"


def test_ids_do_not_depend_on_the_status(annotator: Annotator, source: NoteSource) -> None:
    (active,) = of_type(derive(annotator, source, "Takes metformin daily."), "MedicationStatement")
    (stopped,) = of_type(derive(annotator, source, "Metformin was stopped."), "MedicationStatement")
    assert active["id"] == stopped["id"]


def test_ids_depend_on_the_note(annotator: Annotator, source: NoteSource) -> None:
    other = NoteSource("DocumentReference/note-2", "1", "Patient/p1")
    mentions = annotator.annotate("Asthma.")
    assert to_resources(mentions, source)[0]["id"] != to_resources(mentions, other)[0]["id"]


def test_ids_are_unique_within_a_note(annotator: Annotator, source: NoteSource) -> None:
    resources = derive(annotator, source, NOTE + " HbA1c 9.1 %. HbA1c 8.4 %.")
    keys = [(r["resourceType"], r["id"]) for r in resources]
    assert len(keys) == len(set(keys))


def test_same_mentions_give_the_same_resources(annotator: Annotator, source: NoteSource) -> None:
    mentions = annotator.annotate(NOTE)
    assert to_resources(mentions, source) == to_resources(mentions, source)


def test_recorded_may_be_given(annotator: Annotator, source: NoteSource) -> None:
    moment = datetime(2025, 1, 2, 3, 4, 5, tzinfo=UTC)
    found = to_resources(annotator.annotate("Asthma."), source, recorded=moment)
    assert found[-1]["recorded"] == "2025-01-02T03:04:05.000Z"


@pytest.mark.parametrize(
    "date", ["2024", "2024-03", "2024-03-05", "2024-03-05T10:00:00+02:00", None]
)
def test_any_precision_of_the_notes_date_is_taken(annotator: Annotator, date: str | None) -> None:
    source = NoteSource("DocumentReference/n", None, "Patient/p", None, date)
    found = to_resources(annotator.annotate("Asthma. Fever. Metformin. BP 120/80."), source)
    assert len(found) == 5


def test_nothing_found_gives_nothing(annotator: Annotator, source: NoteSource) -> None:
    assert derive(annotator, source, "") == []
    assert derive(annotator, source, "The weather was fine.") == []


def test_no_floats_in_resources(annotator: Annotator, source: NoteSource) -> None:
    def walk(value: Any) -> None:
        assert not isinstance(value, float)
        for item in (
            value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        ):
            walk(item)

    for resource in derive(annotator, source, NOTE):
        walk(resource)


def test_mentions_are_json(annotator: Annotator) -> None:
    for mention in annotator.annotate(NOTE):
        assert json.loads(json.dumps(mention.to_dict()))["text"] == mention.text


def test_error_names_the_element_and_never_the_text(annotator: Annotator) -> None:
    source = NoteSource("DocumentReference/n", "1", "Patient/p", None, "not a date of Jane Doe")
    with pytest.raises(DerivationError, match=r"Condition is not valid at recordedDate") as caught:
        to_resources(annotator.annotate("Asthma."), source)
    assert "Jane" not in str(caught.value)
    assert "Asthma" not in str(caught.value)


def test_broad_diagnosis_joins_the_narrow_one(annotator: Annotator, source: NoteSource) -> None:
    found = of_type(derive(annotator, source, "Has diabetes. Type 2 diabetes."), "Condition")
    assert [code(c["code"]) for c in found] == ["44054006"]
    assert len(found[0]["extension"]) == 2
    found = of_type(derive(annotator, source, "Has diabetes. No type 2 diabetes."), "Condition")
    assert len(found) == 2


def test_risks_of_an_operation_are_no_findings(annotator: Annotator, source: NoteSource) -> None:
    text = "Plan: the risks include but are not limited to pain, infection, stroke and amputation."
    assert derive(annotator, source, text) == []


def test_symptom_is_present_if_anything_says_so(annotator: Annotator, source: NoteSource) -> None:
    text = "HPI: He has pain.\nASSESSMENT: no pain at rest."
    (found,) = of_type(derive(annotator, source, text), "Observation")
    assert code(found["valueCodeableConcept"]) == "52101004"


def test_a_broad_mention_may_be_all_the_evidence(annotator: Annotator, source: NoteSource) -> None:
    text = "PAST MEDICAL HISTORY: Type 2 diabetes mellitus.\nASSESSMENT: Diabetes, stable."
    (found,) = of_type(derive(annotator, source, text), "Condition")
    assert code(found["code"]) == "44054006"
    assert code(found["clinicalStatus"]) == "active"
