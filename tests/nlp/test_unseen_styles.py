"""Notes in styles that the rules were not written on: what must never become active."""

from typing import Any

import pytest

from nlp import Annotator, NoteSource, to_resources


def derive(annotator: Annotator, source: NoteSource, text: str, kind: str) -> list[dict[str, Any]]:
    resources = to_resources(annotator.annotate(text), source)
    return [r for r in resources if r["resourceType"] == kind]


def code(concept: dict[str, Any]) -> str:
    found: str = concept["coding"][0]["code"]
    return found


def clinical(annotator: Annotator, source: NoteSource, text: str) -> dict[str, str | None]:
    return {
        c["code"]["text"].lower(): code(c["clinicalStatus"]) if "clinicalStatus" in c else None
        for c in derive(annotator, source, text, "Condition")
    }


@pytest.mark.parametrize(
    "text",
    [
        "Seen at the cancer center.",
        "Stroke risk is high.",
        "Interested in the pneumonia vaccine.",
        "Hepatitis C antibody non-reactive.",
        "Rubella immune.",
        "Given a vaccine against influenza.",
        "Seen by Dr. Graves.",
        "Referred to the Stroke Association.",
        "MGM with DM.",
        "Fam hx neg for sickle cell disease.",
        "No family history of colon cancer.",
        "Wife tested positive for COVID.",
        "Partner HIV positive.",
        "Exposed to influenza at work.",
        "Immunizations: influenza 10/2023, tetanus 2019",
        "Tetanus UTD.",
        "Sepsis alert called, code stroke, pneumonia severity index 90.",
        "Essential problem (HCC).",
        "His brother does have diabetes and hypertension.",
        "CVA tenderness on the right.",
        "I met with her parents.",
        "[ ] Diabetes\n[ ] Asthma",
        "Call your doctor for:\n- pneumonia\n- stroke",
    ],
)
def test_no_condition_of_the_patient(annotator: Annotator, source: NoteSource, text: str) -> None:
    assert clinical(annotator, source, text) == {}


@pytest.mark.parametrize(
    ("text", "name", "status"),
    [
        ("GERD, resolved.", "gerd", "resolved"),
        ("She no longer has migraines.", "migraines", "resolved"),
        ("Depression in remission.", "depression", "remission"),
        ("Alcohol use disorder in sustained remission.", "alcohol use disorder", "remission"),
        ("Asthma as a child.", "asthma", "inactive"),
        ("Resolved Problems:\n - UTI", "uti", "resolved"),
        ("Inactive Problems:\n - Gout", "gout", "inactive"),
        ("Apixaban deferred given GI bleed.", "gi bleed", "active"),
        ("COVID test which was positive.", "covid", "active"),
        ("NYHA class II heart failure.", "heart failure", "active"),
        ("No PTX, RLL infiltrate c/w pneumonia.", "pneumonia", "active"),
        ("Denies:\n- asthma\n- gout\n", "asthma", None),
        ("HIV NR.", "hiv", None),
        ("Suspected stroke which was later ruled out.", "stroke", None),
    ],
)
def test_clinical_status(
    annotator: Annotator, source: NoteSource, text: str, name: str, status: str | None
) -> None:
    assert clinical(annotator, source, text)[name] == status


@pytest.mark.parametrize(
    ("text", "verification", "status"),
    [
        ("Likely viral illness, less likely pneumonia.", "provisional", "active"),
        ("Doubt pneumonia.", "refuted", None),
        ("Worried about pneumonia.", "unconfirmed", None),
        ("Recently treated for pneumonia.", "confirmed", "inactive"),
    ],
)
def test_doubt_and_past(
    annotator: Annotator, source: NoteSource, text: str, verification: str, status: str | None
) -> None:
    found = [
        c for c in derive(annotator, source, text, "Condition") if c["code"]["text"] == "pneumonia"
    ]
    assert [code(c["verificationStatus"]) for c in found] == [verification]
    assert clinical(annotator, source, text)["pneumonia"] == status


def test_sentences_without_capitals_end_at_their_stops(
    annotator: Annotator, source: NoteSource
) -> None:
    text = "never had surgery. had covid in 2021. mom had breast cancer. he is allergic to eggs."
    assert clinical(annotator, source, text) == {"covid": "inactive"}


def test_question_mark_behind_a_list_number_is_doubt(
    annotator: Annotator, source: NoteSource
) -> None:
    (found,) = derive(annotator, source, "Assessment:\n5. ?Dementia", "Condition")
    assert code(found["verificationStatus"]) == "provisional"


@pytest.mark.parametrize(
    ("text", "name", "status"),
    [
        ("Switch from glipizide to empagliflozin.", "glipizide", "stopped"),
        ("Simvastatin 40 mg qhs - changed to atorvastatin 40 mg qhs.", "Simvastatin", "stopped"),
        ("Past trials: escitalopram, bupropion.", "bupropion", "stopped"),
        ("Change HCTZ 25 mg to chlorthalidone 12.5 mg daily.", "HCTZ", "stopped"),
        ("Home amlodipine was not continued.", "amlodipine", "stopped"),
        ("Never on insulin.", "insulin", "not-taken"),
        ("Switch lisinopril to losartan.", "lisinopril", "stopped"),
        ("She is unable to tolerate statins.", "statins", "not-taken"),
        ("Atenolol 50 mg daily - STOP", "Atenolol", "stopped"),
        ("Gabapentin 300 mg TID - HOLD", "Gabapentin", "on-hold"),
        ("Metformin hold day of surgery.", "Metformin", "on-hold"),
        ("Lisinopril held for AKI, restarted at 5 mg.", "Lisinopril", "active"),
        ("Lisinopril held for AKI, will be restarted later.", "Lisinopril", "on-hold"),
        ("Ceftriaxone 1 g IV q24h and azithromycin, both discontinued.", "Ceftriaxone", "stopped"),
        ("Apixaban deferred.", "Apixaban", "not-taken"),
        ("Paxlovid was discussed, but patient declined.", "Paxlovid", "not-taken"),
        ("Do not take ibuprofen.", "ibuprofen", "not-taken"),
        ("No BM x2 days, Colace given.", "Colace", "unknown"),
        ("Metoprolol was changed to 50 mg BID.", "Metoprolol", "active"),
    ],
)
def test_drug_status(
    annotator: Annotator, source: NoteSource, text: str, name: str, status: str
) -> None:
    found = {
        m["medicationCodeableConcept"]["text"]: m["status"]
        for m in derive(annotator, source, text, "MedicationStatement")
    }
    assert found[name] == status


def test_drug_of_a_husband_is_not_the_patients(annotator: Annotator, source: NoteSource) -> None:
    text = "Her husband takes warfarin."
    assert derive(annotator, source, text, "MedicationStatement") == []


def test_route_is_no_drug(annotator: Annotator, source: NoteSource) -> None:
    text = "Medications:\n| Albuterol | 2 puffs | INH | q4h PRN |"
    (found,) = derive(annotator, source, text, "MedicationStatement")
    (dosage,) = found["dosage"]
    assert code(dosage["route"]) == "447694001"
    assert dosage["timing"]["repeat"]["period"] == 4


def doses(annotator: Annotator, source: NoteSource, text: str) -> list[tuple[Any, Any]]:
    (found,) = derive(annotator, source, text, "MedicationStatement")
    return [
        (
            d["doseAndRate"][0]["doseQuantity"]["value"] if "doseAndRate" in d else None,
            d.get("timing", {}).get("repeat", {}).get("dayOfWeek"),
        )
        for d in found.get("dosage", [])
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "Meds: warfarin 5 mg MWF and 2.5 mg TTSS",
            [(5, ["mon", "wed", "fri"]), (2.5, ["tue", "thu", "sat", "sun"])],
        ),
        ("Meds: warfarin 5 mg Mon/Wed/Fri", [(5, ["mon", "wed", "fri"])]),
        ("Sertraline was increased to 150 mg daily from 100 mg daily.", [(150, None)]),
        ("Furosemide - take 40 mg twice a day instead of 20 mg once a day", [(40, None)]),
        ("Warfarin 5mg held 3/1, restarted 3/4 at 2.5 mg daily.", [(2.5, None)]),
        ("Tylenol 650 mg PO q6h PRN (max 3 g/day)", [(650, None)]),
        ("Prednisone 40 mg x 5 days, then 20 mg x 5 days", [(40, None), (20, None)]),
    ],
)
def test_dose_that_holds(
    annotator: Annotator, source: NoteSource, text: str, expected: list[tuple[Any, Any]]
) -> None:
    assert doses(annotator, source, text) == expected


def test_next_line_of_a_drug_list_is_another_drug(annotator: Annotator, source: NoteSource) -> None:
    text = (
        "warfarin 5 mg on Monday and Friday with the evening meal for clots\n"
        "prednisone 40 mg x 5 days, then 20 mg x 5 days, then stop\n"
        "levothyroxine 112 mcg qd\n"
    )
    found = {
        m["medicationCodeableConcept"]["text"]: m["status"]
        for m in derive(annotator, source, text, "MedicationStatement")
    }
    assert found["levothyroxine"] == "active"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Allergies: NKDA", "409137002"),
        ("No known drug allergies.", "409137002"),
        ("ALLERGIES: No known allergies.", "716186003"),
        ("Allergies: none", "716186003"),
        ("NKDA. Allergic to penicillin.", None),
        ("Allergies: penicillin\nMedications: none", None),
        ("Mother has no known allergies.", None),
    ],
)
def test_no_known_allergy(
    annotator: Annotator, source: NoteSource, text: str, expected: str | None
) -> None:
    found = derive(annotator, source, text, "AllergyIntolerance")
    codes = {c["code"] for a in found for c in a["code"].get("coding", [])}
    assert codes & {"409137002", "716186003"} == ({expected} if expected else set())


def test_shouted_all_is_allergies(annotator: Annotator, source: NoteSource) -> None:
    text = "MEDS: FLUOXETINE 20 MG DAILY. ALL: CODEINE. EXAM: NORMAL."
    (found,) = derive(annotator, source, text, "AllergyIntolerance")
    assert found["code"]["text"] == "CODEINE"


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("Colonoscopy not done.", "not-done"),
        ("A colonoscopy was considered but not performed.", "not-done"),
        ("Carotid endarterectomy was offered and he declined.", "not-done"),
        ("Lumbar puncture deferred.", "not-done"),
        ("Thoracentesis planned but cancelled.", "not-done"),
        ("She would like to hold off on cardioversion.", "not-done"),
        ("Screening colonoscopy due.", "preparation"),
        ("MRI brain ordered to look at it.", "preparation"),
        ("Biopsy planned. s/p thoracentesis.", "completed"),
    ],
)
def test_procedure_status(annotator: Annotator, source: NoteSource, text: str, status: str) -> None:
    assert status in [p["status"] for p in derive(annotator, source, text, "Procedure")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Fever: Y  Chills: N  Cough: Y", {"Fever": "52101004", "Chills": "2667000"}),
        ("Chest pain | No", {"Chest pain": "2667000"}),
        ("+ cough, - chills, -SOB", {"cough": "52101004", "chills": "2667000", "SOB": "2667000"}),
    ],
)
def test_symptoms_of_a_form(
    annotator: Annotator, source: NoteSource, text: str, expected: dict[str, str]
) -> None:
    found = {
        o["code"]["text"]: code(o["valueCodeableConcept"])
        for o in derive(annotator, source, text, "Observation")
    }
    assert {name: found[name] for name in expected} == expected


def quantities(annotator: Annotator, source: NoteSource, text: str) -> dict[str, Any]:
    return {
        o["code"]["text"]: (
            (o["valueRange"]["low"]["value"], o["valueRange"]["high"]["value"])
            if "valueRange" in o
            else o["valueQuantity"]["value"]
        )
        for o in derive(annotator, source, text, "Observation")
        if "valueRange" in o or "valueQuantity" in o
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("EF 35-40%", {"EF": (35, 40)}),
        ("LVEF 55-60 %.", {"LVEF": (55, 60)}),
        ("SpO2 94-96% on 2L", {"SpO2": (94, 96)}),
        ("Na 135-145", {}),
        ("Ht 5 ft 4 in", {"Ht": 64}),
        ("Ht 5'11\"", {"Ht": 71}),
        ("Hgb/Hct 10.2/31", {"Hgb": 10.2, "Hct": 31}),
        ("BUN/Cr 45/2.3", {"BUN": 45, "Cr": 2.3}),
        ("pain 3/10.", {"pain": 3}),
        ("GCS 15/15", {"GCS": 15}),
        ("Goal LDL <70.", {}),
        ("PRE-OP H&P: 70M for knee pain.", {}),
    ],
)
def test_values(
    annotator: Annotator, source: NoteSource, text: str, expected: dict[str, Any]
) -> None:
    found = quantities(annotator, source, text)
    assert {n: pytest.approx(v) if isinstance(v, float) else v for n, v in expected.items()} == {
        n: float(v) if isinstance(expected.get(n), float) else v for n, v in found.items()
    }
