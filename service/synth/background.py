"""What is asked once: allergies and the illnesses of parents and siblings."""

from __future__ import annotations

from decimal import Decimal

from schemas.codes import RXNORM
from service.synth.chart import Chart
from service.synth.concepts import Json, coding, concept, quantity, snomed
from service.synth.conditions import DIAGNOSES
from service.synth.visit import Visit

_CLINICAL = {
    "coding": [
        coding(
            "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical", "active", "Active"
        )
    ]
}
_VERIFIED = {
    "coding": [
        coding(
            "http://terminology.hl7.org/CodeSystem/allergyintolerance-verification",
            "confirmed",
            "Confirmed",
        )
    ]
}

_REACTIONS = {
    "hives": snomed("247472004", "Hives"),
    "rash": snomed("271807003", "Rash"),
    "anaphylaxis": snomed("39579001", "Anaphylaxis"),
    "nausea": snomed("422587007", "Nausea"),
    "itching": snomed("418290006", "Itching"),
    "swelling": snomed("65124004", "Swelling"),
}

# (share, category, substance, concept, class of drugs to avoid, usual reactions)
_ALLERGENS: tuple[tuple[float, str, str, Json, str, tuple[str, ...]], ...] = (
    (
        0.075,
        "medication",
        "penicillin",
        concept("Penicillin", coding(RXNORM, "7980", "penicillin G")),
        "penicillin",
        ("hives", "rash", "rash", "anaphylaxis"),
    ),
    (
        0.03,
        "medication",
        "sulfa drugs",
        concept("Sulfamethoxazole", coding(RXNORM, "10180", "sulfamethoxazole")),
        "sulfonamide",
        ("rash", "hives"),
    ),
    (
        0.015,
        "medication",
        "codeine",
        concept("Codeine", coding(RXNORM, "2670", "codeine")),
        "opioid",
        ("nausea", "itching"),
    ),
    (
        0.012,
        "medication",
        "ibuprofen",
        concept("Ibuprofen", coding(RXNORM, "5640", "ibuprofen")),
        "nsaid",
        ("hives", "swelling"),
    ),
    (
        0.018,
        "food",
        "peanuts",
        snomed("91935009", "Allergy to peanut"),
        "",
        ("hives", "anaphylaxis"),
    ),
    (
        0.02,
        "food",
        "shellfish",
        snomed("300913006", "Shellfish allergy"),
        "",
        ("swelling", "hives"),
    ),
    (0.012, "environment", "latex", snomed("300916003", "Latex allergy"), "", ("rash", "itching")),
)


def record_allergies(chart: Chart, visit: Visit) -> None:
    """Draw the patient's allergies and record them at the first visit."""
    draw = chart.random.random
    age = chart.person.age(visit.day)
    for share, category, substance, code, drug_class, reactions in _ALLERGENS:
        if draw() >= share or (category == "medication" and age < 3):
            continue
        reaction = reactions[int(draw() * len(reactions))]
        severe = reaction == "anaphylaxis"
        chart.add(
            "AllergyIntolerance",
            clinicalStatus=_CLINICAL,
            verificationStatus=_VERIFIED,
            type="allergy" if reaction != "nausea" else "intolerance",
            category=[category],
            criticality="high" if severe else "low",
            code=code,
            patient=chart.subject,
            encounter=visit.context,
            recordedDate=visit.start,
            recorder=visit.practitioner,
            reaction=[
                {
                    "manifestation": [_REACTIONS[reaction]],
                    "severity": "severe" if severe else "mild",
                }
            ],
        )
        chart.allergies.append((substance, reaction))
        if drug_class:
            chart.allergic_to.add(drug_class)


_ROLE = "http://terminology.hl7.org/CodeSystem/v3-RoleCode"
_RELATIVES = {
    "father": concept("Father", coding(_ROLE, "FTH", "father")),
    "mother": concept("Mother", coding(_ROLE, "MTH", "mother")),
    "brother": concept("Brother", coding(_ROLE, "BRO", "brother")),
    "sister": concept("Sister", coding(_ROLE, "SIS", "sister")),
}
_INHERITED: tuple[tuple[str, float, tuple[str, ...], int], ...] = (
    ("diabetes", 0.3, ("mother", "father", "brother", "sister"), 54),
    ("mi", 0.18, ("father", "father", "brother", "mother"), 60),
    ("hypertension", 0.3, ("mother", "father"), 50),
    ("breast_cancer", 0.07, ("mother", "sister"), 57),
    ("colon_cancer", 0.05, ("father", "mother"), 64),
    ("depression", 0.1, ("mother", "sister", "brother"), 33),
    ("asthma", 0.08, ("brother", "sister", "mother"), 12),
    ("prostate_cancer", 0.04, ("father",), 69),
)


def record_family_history(chart: Chart, visit: Visit) -> None:
    """Draw up to three illnesses of close relatives; likelier what the patient has too."""
    draw, gauss = chart.random.random, chart.random.gauss
    if chart.person.age(visit.day) < 12:
        return
    for key, share, relatives, usual_age in _INHERITED:
        if len(chart.family) == 3:
            break
        if draw() >= share * (1.6 if key in chart.onsets else 1.0):
            continue
        relation = relatives[int(draw() * len(relatives))]
        age = max(6, min(85, round(gauss(usual_age, 6))))
        if relation in ("brother", "sister"):
            own = chart.person.age(visit.day)
            if own < usual_age - 8 and relatives[0] not in ("brother", "sister"):
                relation = relatives[0]  # siblings are too young for it yet
            else:
                age = min(age, max(5, own - 1))
        chart.family.append((relation, key, age))
        chart.add(
            "FamilyMemberHistory",
            status="completed",
            patient=chart.subject,
            date=visit.start,
            relationship=_RELATIVES[relation],
            condition=[{"code": DIAGNOSES[key].concept, "onsetAge": quantity_of_years(age)}],
        )


def quantity_of_years(age: int) -> Json:
    """A FHIR Age in years."""
    return quantity(Decimal(age), "years", "a")
