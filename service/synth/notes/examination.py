"""Sections about the present: vital signs, physical examination, results."""

from __future__ import annotations

from service.synth.chart import Chart
from service.synth.conditions import DIAGNOSES
from service.synth.measurements import MEASUREMENTS
from service.synth.notes.draft import NEGATED, Draft
from service.synth.visit import Visit

_VITALS = (
    ("heart_rate", "HR", ""),
    ("respiratory_rate", "RR", ""),
    ("temperature", "Temp", " °C"),
    ("oxygen_saturation", "SpO2", "%"),
    ("weight", "Wt", " kg"),
    ("height", "Ht", " cm"),
    ("bmi", "BMI", " kg/m2"),
)
_RESULTS = (
    "hba1c",
    "glucose",
    "creatinine",
    "egfr",
    "potassium",
    "sodium",
    "uacr",
    "ldl",
    "hdl",
    "triglycerides",
    "cholesterol",
    "hemoglobin",
    "ferritin",
    "leukocytes",
    "platelets",
    "tsh",
    "inr",
    "nt_probnp",
    "troponin",
    "psa",
    "ejection_fraction",
    "fev1_fvc",
    "phq9",
    "gad7",
)


def _loinc(key: str) -> str:
    return str(MEASUREMENTS[key].code["coding"][0]["code"])


def vital_signs(draft: Draft, visit: Visit) -> None:
    """The vital signs measured."""
    draft.heading("Vitals", "Vital Signs", "Objective")
    results, first = visit.results, True
    if "systolic" in results:
        pressure = f"{results['systolic']}/{results['diastolic']}"
        draft.test("BP", pressure, "85354-9")
        first = False
    for key, name, unit in _VITALS:
        if key in results:
            draft.say("" if first else ", ")
            value = f"{results[key]}{unit}"
            draft.test(name, value, _loinc(key))
            first = False
    draft.say(".")


def result_list(draft: Draft, visit: Visit) -> None:
    """Laboratory values and scores, if there are any."""
    found = [key for key in _RESULTS if key in visit.results]
    if not found:
        return
    draft.heading("Labs", "Results", "Laboratory Data", "Data")
    for number, key in enumerate(found):
        m = MEASUREMENTS[key]
        unit = "%" if m.unit == "%" else "" if key in ("inr", "phq9", "gad7") else f" {m.unit}"
        draft.say("" if number == 0 else ", " if draft.style else "\n")
        capital = (number == 0 or not draft.style) and key != "egfr"
        name = m.says[0].upper() + m.says[1:] if capital else m.says
        draft.test(name, f"{visit.results[key]}{unit}", _loinc(key))
    draft.say(".")


def physical_exam(draft: Draft, chart: Chart, visit: Visit) -> None:
    """An examination that fits what the patient has."""
    draft.heading("Physical Exam", "Exam", "Physical Examination", "PE")
    reason = visit.reason or ""
    felt = set(visit.subjective)
    ill = visit.kind.hospital
    draft.say(
        draft.pick(
            ("General: alert, in mild distress. ", "Gen: appears uncomfortable. ")
            if ill
            else ("General: well appearing, no acute distress. ", "Gen: alert and oriented, NAD. ")
        )
    )
    if reason == "otitis_media":
        draft.say("Ears: tympanic membrane bulging and erythematous. ")
    elif reason in ("strep_throat", "uri", "influenza", "covid19"):
        draft.say("Throat: pharyngeal erythema without exudate. ")
    _lungs(draft, reason, felt)
    if "atrial_fibrillation" in chart.problems:
        draft.say("Heart: irregularly irregular rhythm. ")
    else:
        draft.say(draft.pick(("Heart: regular rate and rhythm, no ", "CV: RRR, no ")))
        draft.symptom("murmurs", NEGATED)
        draft.say(". ")
    if reason == "appendicitis":
        draft.say("Abdomen: tender in the right lower quadrant with guarding. ")
    elif reason == "kidney_stone":
        draft.say("Abdomen: soft, costovertebral angle tenderness on one side. ")
    else:
        draft.say("Abdomen: soft and nontender. ")
    if reason in ("ankle_sprain", "ankle_fracture", "forearm_fracture", "hip_fracture"):
        draft.say("Extremities: tenderness and swelling at the injured site, pulses intact.")
    elif "leg swelling" in felt or "ankle swelling" in felt:
        draft.say("Extremities: 2+ pitting edema of both legs.")
    else:
        draft.say("Extremities: no ")
        draft.symptom("edema", NEGATED)
        draft.say(draft.pick((" or cyanosis.", ", warm and well perfused.", ".")))


def _lungs(draft: Draft, reason: str, felt: set[str]) -> None:
    if reason == "pneumonia":
        draft.say("Lungs: crackles at the right base. ")
    elif reason == "heart_failure" and "orthopnea" in felt:
        draft.say("Lungs: bibasilar crackles. ")
    elif "wheezing" in felt:
        draft.say("Lungs: diffuse expiratory wheezes. ")
    else:
        draft.say("Lungs: clear to auscultation bilaterally, no ")
        draft.symptoms(("wheezes", "crackles"), "or", NEGATED)
        draft.say(". ")


def looked_for(draft: Draft, visit: Visit) -> None:
    """Diagnoses that were looked for and not found."""
    for key in visit.excluded:
        if key in visit.considered or key not in DIAGNOSES:
            continue
        draft.say(draft.pick((" No evidence of ", " No signs of ", " There is no ")))
        draft.diagnosis(key, NEGATED)
        draft.say(draft.pick((" today.", " at this time.", ".")))
