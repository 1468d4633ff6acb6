"""What a search for active conditions must not find: others' illnesses, worries, plans, doubts."""

from typing import Any

import pytest

from nlp import Annotator, NoteSource, to_resources


def derive(annotator: Annotator, source: NoteSource, text: str, kind: str) -> list[dict[str, Any]]:
    resources = to_resources(annotator.annotate(text), source)
    return [r for r in resources if r["resourceType"] == kind]


def code(concept: dict[str, Any] | None) -> str | None:
    return concept["coding"][0]["code"] if concept else None


def conditions(
    annotator: Annotator, source: NoteSource, text: str
) -> dict[str, tuple[str | None, str | None]]:
    return {
        c["code"]["text"].lower(): (code(c.get("clinicalStatus")), code(c["verificationStatus"]))
        for c in derive(annotator, source, text, "Condition")
    }


@pytest.mark.parametrize(
    ("text", "whose", "illness"),
    [
        ("Maternal grandmother: stroke.", "maternal grandmother", "stroke"),
        ("Lives alone. FHx: asthma.", "family member", "asthma"),
        ("Presents with cough, FHx: asthma.", "family member", "asthma"),
        ("Family hx unknown. Father MI at 50.", "father", "MI"),
        ("Her husband has dementia.", "husband", "dementia"),
        ("Mother's asthma is bad.", "mother", "asthma"),
        ("Mother's side: stroke", "mother", "stroke"),
        ("Mother breast CA.", "mother", "breast CA"),
        ("Her kids have influenza.", "family member", "influenza"),
    ],
)
def test_illness_of_another(
    annotator: Annotator, source: NoteSource, text: str, whose: str, illness: str
) -> None:
    assert conditions(annotator, source, text) == {}
    (member,) = derive(annotator, source, text, "FamilyMemberHistory")
    assert member["relationship"]["text"] == whose
    assert [c["code"]["text"] for c in member["condition"]] == [illness]


@pytest.mark.parametrize(
    "text",
    [
        "Brought in by mother: asthma since birth.",
        "Accompanied by daughter, asthma worse.",
        "Spoke with husband asthma is worse.",
        "Mother and father healthy. Asthma controlled.",
        "Mother reports asthma.",
        "Lives at mother's house, asthma worse.",
        "Caregiver has noted asthma symptoms; asthma is worse.",
        "FHx: gout. PMHx: asthma.",
    ],
)
def test_a_relative_beside_the_patients_illness(
    annotator: Annotator, source: NoteSource, text: str
) -> None:
    assert conditions(annotator, source, text)["asthma"] == ("active", "confirmed")


@pytest.mark.parametrize(
    "text",
    [
        "Vaccinated against influenza",
        "Discussed signs of heart failure",
        "Explained the warning signs of stroke.",
        "seen in the stroke clinic",
        "Screen for diabetes.",
        "Screen for colon cancer.",
        "Lupus anticoagulant test pending",
        "Her coworker has influenza.",
        "Roommate has influenza.",
        "The donor had hepatitis C and took warfarin.",
        "Several classmates have been diagnosed with measles.",
        "Another patient on the ward has scabies.",
    ],
)
def test_no_condition_and_no_drug(annotator: Annotator, source: NoteSource, text: str) -> None:
    assert conditions(annotator, source, text) == {}
    assert derive(annotator, source, text, "MedicationStatement") == []


@pytest.mark.parametrize(
    ("text", "name", "verification"),
    [
        ("Rule out pulmonary embolism.", "pulmonary embolism", "unconfirmed"),
        ("r/o MI", "mi", "unconfirmed"),
        ("CT chest to evaluate for PE.", "pe", "unconfirmed"),
        ("Screen for colon cancer and evaluate for anemia.", "anemia", "unconfirmed"),
        ("Consider hypothyroidism.", "hypothyroidism", "unconfirmed"),
        ("Considered sepsis but unlikely.", "sepsis", "unconfirmed"),
        ("worried about cancer", "cancer", "unconfirmed"),
        ("DDx includes gout and cellulitis.", "cellulitis", "differential"),
        ("Differential diagnosis: PE, pneumonia", "pe", "differential"),
        ("Rule out:\n- MI\n- stroke", "stroke", "differential"),
    ],
)
@pytest.mark.parametrize("encounter", ["Encounter/e1", None])
def test_what_is_only_looked_for_has_no_clinical_status(
    annotator: Annotator, text: str, name: str, verification: str, encounter: str | None
) -> None:
    source = NoteSource("DocumentReference/n", "1", "Patient/p", encounter)
    assert conditions(annotator, source, text)[name] == (None, verification)
    found = derive(annotator, source, text, "Condition")
    # con-3: a problem-list-item without a clinicalStatus is warned of.
    assert {code(c["category"][0]) for c in found} == {"encounter-diagnosis"}


@pytest.mark.parametrize(
    ("text", "name", "status"),
    [
        ("Possible pneumonia.", "pneumonia", ("active", "provisional")),
        ("Rule out pneumonia. Possible pneumonia.", "pneumonia", ("active", "provisional")),
        ("Cannot rule out pneumonia.", "pneumonia", ("active", "provisional")),
        ("?PE", "pe", ("active", "provisional")),
        ("PE not excluded.", "pe", ("active", "provisional")),
        ("PE not seen.", "pe", (None, "refuted")),
        ("Consider treatment of gout.", "gout", ("active", "confirmed")),
        ("Resolved pneumonia.", "pneumonia", ("resolved", "confirmed")),
        ("Previously had gout. Concern for gout.", "gout", ("inactive", "confirmed")),
        ("No change in his COPD.", "copd", ("active", "confirmed")),
        ("no worsening of heart failure", "heart failure", ("active", "confirmed")),
        ("No worsening COPD.", "copd", ("active", "confirmed")),
        ("Diabetes, no longer on metformin.", "diabetes", ("active", "confirmed")),
        ("No longer on metformin for diabetes.", "diabetes", ("active", "confirmed")),
        ("No interval change or pneumonia.", "pneumonia", (None, "refuted")),
    ],
)
def test_how_sure_and_whether_now(
    annotator: Annotator,
    source: NoteSource,
    text: str,
    name: str,
    status: tuple[str | None, str],
) -> None:
    assert conditions(annotator, source, text)[name] == status


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("No increase in edema", "52101004"),
        # Seizures come singly: that there are no new ones says that there were none.
        ("No new seizures.", "2667000"),
    ],
)
def test_symptom_is_there_or_not(
    annotator: Annotator, source: NoteSource, text: str, value: str
) -> None:
    (found,) = derive(annotator, source, text, "Observation")
    assert code(found["valueCodeableConcept"]) == value


def test_physical_exam_not_done_is_no_embolism(annotator: Annotator, source: NoteSource) -> None:
    assert conditions(annotator, source, "PE not performed.") == {}


@pytest.mark.parametrize(
    ("text", "name", "rxcui"),
    [
        ("Aspirin allergy.", "Aspirin", "1191"),
        ("PMH: aspirin allergy, asthma", "aspirin", "1191"),
        ("penicillin allergy", "penicillin", None),
        ("NSAIDs allergy", "NSAIDs", None),
        ("penicillin hypersensitivity", "penicillin", None),
        ("Peanut allergy. NKDA.", "Peanut allergy", "Z91.010"),
    ],
)
def test_allergy_is_no_condition(
    annotator: Annotator, source: NoteSource, text: str, name: str, rxcui: str | None
) -> None:
    assert set(conditions(annotator, source, text)) <= {"asthma"}
    assert derive(annotator, source, text, "MedicationStatement") == []
    (found,) = derive(annotator, source, text, "AllergyIntolerance")
    assert found["code"]["text"] == name
    assert (code(found["code"]) if "coding" in found["code"] else None) == rxcui


@pytest.mark.parametrize(
    "text", ["No aspirin allergy.", "No peanut allergy.", "Mother has penicillin allergy."]
)
def test_allergy_that_is_not_the_patients(
    annotator: Annotator, source: NoteSource, text: str
) -> None:
    assert derive(annotator, source, text, "AllergyIntolerance") == []
    assert conditions(annotator, source, text) == {}


@pytest.mark.parametrize(
    ("text", "allergens", "taken"),
    [
        ("On metformin, penicillin allergy.", {"penicillin"}, {"metformin"}),
        ("Aspirin 81 mg daily and penicillin allergy.", {"penicillin"}, {"Aspirin"}),
        ("Aspirin and penicillin allergy.", {"Aspirin", "penicillin"}, set()),
        ("Aspirin, penicillin and sulfa allergies.", {"Aspirin", "penicillin", "sulfa"}, set()),
        ("Azithromycin, given penicillin allergy.", {"penicillin"}, {"Azithromycin"}),
        ("Epinephrine given for anaphylaxis.", set(), {"Epinephrine"}),
    ],
)
def test_drug_beside_an_allergen(
    annotator: Annotator, source: NoteSource, text: str, allergens: set[str], taken: set[str]
) -> None:
    found = derive(annotator, source, text, "AllergyIntolerance")
    assert {a["code"]["text"] for a in found} == allergens
    statements = derive(annotator, source, text, "MedicationStatement")
    assert {s["medicationCodeableConcept"]["text"] for s in statements} == taken


def test_seasonal_allergies_are_a_condition(annotator: Annotator, source: NoteSource) -> None:
    assert conditions(annotator, source, "Seasonal allergies.") == {
        "seasonal allergies": ("active", "confirmed")
    }


@pytest.mark.parametrize(
    "text",
    [
        "No driving on narcotics.",
        "No alcohol while on opioids.",
        "Do not drive when taking opioids.",
    ],
)
def test_warning_is_no_medication(annotator: Annotator, source: NoteSource, text: str) -> None:
    assert derive(annotator, source, text, "MedicationStatement") == []


def test_drinking_given_up_on_a_drug(annotator: Annotator, source: NoteSource) -> None:
    text = "He quit drinking on naltrexone."
    (found,) = derive(annotator, source, text, "MedicationStatement")
    assert found["status"] == "active"


@pytest.mark.parametrize(
    ("text", "name", "status"),
    [
        ("Past Medical History: psoriasis, stroke", "psoriasis", ("active", "confirmed")),
        ("Past Medical History: psoriasis, stroke", "stroke", ("inactive", "confirmed")),
        ("PMH: gout. No asthma.", "asthma", (None, "refuted")),
        ("Diagnosed with psoriasis in 2003.", "psoriasis", ("active", "confirmed")),
        ("3 day history of pneumonia.", "pneumonia", ("active", "confirmed")),
        ("The pneumonia has not resolved.", "pneumonia", ("active", "confirmed")),
        ("Father d. MI at 50; patient has gout.", "gout", ("active", "confirmed")),
        ("[-] asthma [+] gout", "asthma", (None, "refuted")),
        ("asthma (-), gout (+)", "gout", ("active", "confirmed")),
        ("Non-contrast CT showed stroke.", "stroke", ("active", "confirmed")),
        ("No effusion, and the patient has pneumonia.", "pneumonia", ("active", "confirmed")),
        ("Meningitis has not been excluded.", "meningitis", ("active", "provisional")),
        ("Kidney donor with gout; the recipient has asthma.", "asthma", ("active", "confirmed")),
    ],
)
def test_what_the_words_around_a_diagnosis_make_of_it(
    annotator: Annotator, source: NoteSource, text: str, name: str, status: tuple[str | None, str]
) -> None:
    found = conditions(annotator, source, text)
    assert found[name] == status
    assert "mi" not in found


@pytest.mark.parametrize(
    "text",
    [
        "Return if pneumonia recurs.",
        "Should gout recur, call the office.",
        "Aspirin to prevent stroke.",
        "Her dog has gout.",
        "Household contacts with influenza.",
        "No one in the family has had gout.",
        "Lost her mother to breast cancer.",
        "High risk of stroke.",
    ],
)
def test_no_condition_at_all(annotator: Annotator, source: NoteSource, text: str) -> None:
    assert conditions(annotator, source, text) == {}


@pytest.mark.parametrize(
    "text",
    [
        "Patient was not prescribed Advil.",
        "Never took warfarin.",
        "Avoid NSAIDs such as ibuprofen.",
        "Allergic to penicillin.",
        "No aspirin.",
        "Stopped metformin.",
        "His wife takes metoprolol.",
        "The donor took warfarin.",
        "If fever recurs, take acetaminophen.",
    ],
)
def test_no_drug_that_the_patient_takes(
    annotator: Annotator, source: NoteSource, text: str
) -> None:
    drugs = derive(annotator, source, text, "MedicationStatement")
    assert "active" not in {drug["status"] for drug in drugs}
