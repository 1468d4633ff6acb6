"""DocumentReferences: which visits get a note, its kind and its sections."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass

from schemas.codes import LOINC
from service.synth.chart import Chart
from service.synth.clock import us_date
from service.synth.concepts import Json, coding, concept
from service.synth.notes.assessment import assessment_and_plan
from service.synth.notes.counseling import counseling, development
from service.synth.notes.draft import NEGATED, Draft, NoteFact
from service.synth.notes.examination import (
    looked_for,
    physical_exam,
    result_list,
    vital_signs,
)
from service.synth.notes.history import (
    allergy_list,
    family_history,
    known_problems,
    medication_list,
    problem_list,
    social_history,
)
from service.synth.notes.interval import (
    absent_symptoms,
    at_home,
    present_symptoms,
    review_of_systems,
)
from service.synth.procedures import TESTS
from service.synth.visit import Visit

_TYPES: dict[str, tuple[Json, str]] = {
    "progress": (
        concept("Progress note", coding(LOINC, "11506-3", "Progress note")),
        "Progress Note",
    ),
    "discharge": (
        concept("Discharge summary", coding(LOINC, "18842-5", "Discharge summary")),
        "Discharge Summary",
    ),
    "emergency": (
        concept("Emergency department note", coding(LOINC, "34111-5", "Emergency department Note")),
        "Emergency Department Note",
    ),
}
_CATEGORY = [
    concept(
        "Clinical Note",
        coding(
            "http://hl7.org/fhir/us/core/CodeSystem/us-core-documentreference-category",
            "clinical-note",
            "Clinical Note",
        ),
    )
]


@dataclass(slots=True)
class NoteFacts:
    """What one note states: the ground truth for judging a reader of notes."""

    document_id: str
    kind: str
    facts: list[NoteFact]


class NoteWriter:
    """Writes the notes of one patient as its visits end."""

    def __init__(self) -> None:
        self.facts: list[NoteFacts] = []

    def after_visit(self, chart: Chart, visit: Visit) -> None:
        """Write a note if this visit gets one: always in hospital, else where something happened
        and now and then."""
        kind = visit.kind.note
        if kind == "progress":
            eventful = bool(visit.stopped) or bool(visit.changed) or bool(visit.considered)
            share = 0.9 if visit.stopped else 0.6 if eventful else 0.3
            if not self.facts and visit.diagnosed:
                share = 0.7
            if chart.random.random() >= share:
                return
        self._write(chart, visit, kind)

    def _write(self, chart: Chart, visit: Visit, kind: str) -> None:
        draft = Draft(chart.random)
        _header(draft, chart, visit, _TYPES[kind][1])
        {"progress": _progress, "discharge": _discharge, "emergency": _emergency}[kind](
            draft, chart, visit
        )
        draft.say(f"\n\nSigned: {visit.practitioner['display']}, {us_date(visit.end_day)}\n")
        text = draft.text().encode()
        code, title = _TYPES[kind]
        attachment: Json = {
            "contentType": "text/plain; charset=utf-8",
            "data": b64encode(text).decode(),
            "size": len(text),
            "title": title,
            "creation": visit.end,
        }
        document_id = chart.add(
            "DocumentReference",
            status="current",
            docStatus="final",
            type=code,
            category=_CATEGORY,
            subject=chart.subject,
            date=visit.end,
            author=[visit.practitioner],
            custodian=visit.encounter["serviceProvider"],
            content=[{"attachment": attachment}],
            context={"encounter": [visit.context], "period": visit.encounter["period"]},
        )
        self.facts.append(NoteFacts(document_id, kind, draft.facts))


def _header(draft: Draft, chart: Chart, visit: Visit, title: str) -> None:
    person = chart.person
    name = f"{' '.join(person.given_names)} {person.family_name}"
    draft.say(f"{title.upper() if draft.style != 1 else title}\n")
    draft.say(f"Patient: {name}    DOB: {us_date(person.birth_day)}\n")
    if visit.end_day > visit.day:
        draft.say(f"Admitted: {us_date(visit.day)}    Discharged: {us_date(visit.end_day)}")
    else:
        draft.say(f"Date of service: {us_date(visit.day)}")


def _who(chart: Chart, day: int) -> str:
    age, female = chart.person.age(day), chart.person.female
    if age < 2:
        months = max(1, round((day - chart.person.birth_day) / 30.4))
        article = "an" if months in (8, 11, 18) else "a"
        return f"{article} {months}-month-old {'girl' if female else 'boy'}"
    noun = (
        ("girl" if female else "boy")
        if age < 13
        else ("young woman" if female else "young man")
        if age < 20
        else ("woman" if female else "man")
    )
    article = "an" if age in (8, 11, 18) or 80 <= age < 90 else "a"
    return f"{article} {age}-year-old {noun}"


_TELLS = ("Reports ", "Complains of ", "Has noticed ", "Endorses ")
_DENIES = ("Denies ", "Patient denies ", "No ", "Negative for ")
_CHILD_TELLS = ("Parents report ", "Mother has noticed ", "Parents describe ")
_CHILD_DENIES = ("Parents deny ", "No ", "Mother denies ")


def _present_illness(draft: Draft, chart: Chart, visit: Visit) -> None:
    draft.heading("History of Present Illness", "HPI", "Subjective")
    known = [k for k in known_problems(chart, visit) if k != visit.reason][:4]
    draft.say(f"{chart.person.given_names[0]} is {_who(chart, visit.day)}")
    if known:
        draft.say(draft.pick((" with a history of ", " with ", " with past medical history of ")))
        draft.diagnoses(known)
    if visit.chief:
        draft.say(
            draft.pick((" who presents with ", " presenting for ", " seen for "))
            + visit.chief
            + ". "
        )
    elif visit.reason and visit.reason in chart.problems:
        draft.say(draft.pick((" here for follow-up of ", " seen for follow-up of ")))
        draft.diagnosis(visit.reason)
        draft.say(". ")
    else:
        draft.say(draft.pick((" here for a routine visit. ", " seen for a check-up. ")))
    felt = present_symptoms(visit)
    small = chart.person.age(visit.day) < 6
    if felt:
        draft.say(draft.pick(_CHILD_TELLS if small else _TELLS))
        draft.symptoms(felt, "and")
        draft.say(". ")
    if visit.kind.note == "progress":
        at_home(draft, chart, visit)
    absent = absent_symptoms(visit, ("chest pain", "dyspnea", "fever", "weight loss"), 3)
    draft.say(draft.pick(_CHILD_DENIES if small else _DENIES))
    draft.symptoms(absent[:5], "or", NEGATED)
    draft.say(". ")


def _progress(draft: Draft, chart: Chart, visit: Visit) -> None:
    _present_illness(draft, chart, visit)
    problem_list(draft, chart, visit)
    medication_list(draft, chart, visit, "Medications", "Current Medications", "Medication List")
    allergy_list(draft, chart)
    if chart.person.age(visit.day) >= 14:
        if draft.random.random() < 0.75:
            family_history(draft, chart)
        social_history(draft, chart, visit)
    else:
        development(draft, chart, visit)
    if chart.person.age(visit.day) < 14 or len(chart.problems) < 2 or draft.random.random() < 0.5:
        review_of_systems(draft, chart, visit)
    vital_signs(draft, visit)
    physical_exam(draft, chart, visit)
    looked_for(draft, visit)
    result_list(draft, visit)
    assessment_and_plan(draft, chart, visit)
    counseling(draft, chart, visit)


def _emergency(draft: Draft, chart: Chart, visit: Visit) -> None:
    draft.heading("Chief Complaint", "CC", "Reason for Visit")
    draft.say(visit.chief[0].upper() + visit.chief[1:] + ".")
    _present_illness(draft, chart, visit)
    problem_list(draft, chart, visit)
    medication_list(draft, chart, visit, "Home Medications", "Medications Prior to Arrival")
    allergy_list(draft, chart)
    if chart.person.age(visit.day) >= 14:
        social_history(draft, chart, visit)
    if len(chart.problems) < 2 or draft.random.random() < 0.6:
        review_of_systems(draft, chart, visit)
    vital_signs(draft, visit)
    physical_exam(draft, chart, visit)
    result_list(draft, visit)
    if visit.procedures:
        draft.heading("ED Course", "Emergency Department Course")
        _procedures(draft, visit)
    assessment_and_plan(draft, chart, visit)
    counseling(draft, chart, visit)
    draft.heading("Disposition", "Disposition")
    draft.say(
        draft.pick(
            (
                "Discharged home in stable condition.",
                "Discharged to home.",
                "Home with family, condition improved.",
            )
        )
    )


def _procedures(draft: Draft, visit: Visit) -> None:
    for key in visit.procedures:
        if key in TESTS:
            draft.procedure(key, capital=True)
            draft.say(draft.pick((" was obtained. ", " was done. ", " was performed. ")))
        else:
            draft.say(draft.pick(("Underwent ", "Had ")))
            draft.procedure(key)
            draft.say(draft.pick((" without complication. ", ", well tolerated. ")))


def _discharge(draft: Draft, chart: Chart, visit: Visit) -> None:
    if visit.reason is not None:
        draft.heading("Principal Diagnosis", "Discharge Diagnosis", "Final Diagnosis")
        draft.diagnosis(visit.reason, capital=True, formal=True)
        draft.say(".")
    _present_illness(draft, chart, visit)
    problem_list(draft, chart, visit)
    allergy_list(draft, chart)
    if chart.person.age(visit.day) >= 14:
        family_history(draft, chart)
        social_history(draft, chart, visit)
    draft.heading("Hospital Course", "Brief Hospital Course")
    draft.say(
        draft.pick(
            (
                "The patient was admitted and monitored closely. ",
                "Admitted for further management. ",
                "Admitted to the hospital from the emergency department. ",
            )
            if visit.kind.specialty == "hospital"
            else ("The patient was admitted for treatment. ", "Admitted as planned. ")
            if visit.kind.specialty == "obstetrics"
            else ("The patient was admitted to the surgical service. ", "Admitted under surgery. ")
        )
    )
    _procedures(draft, visit)
    draft.say(
        draft.pick(
            (
                "Clinically improved and tolerated a regular diet. ",
                "Remained hemodynamically stable. ",
                "Recovered uneventfully. ",
            )
        )
    )
    vital_signs(draft, visit)
    physical_exam(draft, chart, visit)
    result_list(draft, visit)
    medication_list(draft, chart, visit, "Discharge Medications", "Medications on Discharge")
    assessment_and_plan(draft, chart, visit)
    counseling(draft, chart, visit)
