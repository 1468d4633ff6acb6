"""What the patient tells: how each disease goes at home, and a review of systems."""

from __future__ import annotations

from collections.abc import Callable

from service.synth.chart import Chart
from service.synth.clock import us_date
from service.synth.conditions import DIAGNOSES
from service.synth.notes.draft import HISTORICAL, NEGATED, Draft
from service.synth.visit import Visit

# Words for one complaint: saying that one is absent contradicts that another is present.
_SAME = (
    frozenset({"dyspnea", "shortness of breath", "dyspnea on exertion", "worsening dyspnea"}),
    frozenset({"leg swelling", "ankle swelling", "edema"}),
    frozenset({"cough", "dry cough", "productive cough", "nighttime cough"}),
    frozenset({"headache", "throbbing headache", "severe headache"}),
    frozenset({"abdominal pain", "right lower quadrant abdominal pain", "severe abdominal pain"}),
    frozenset({"diarrhea", "watery diarrhea"}),
    frozenset({"wheezing", "wheezes"}),
)


def compatible(symptom: str, present: set[str]) -> bool:
    """Whether a note may deny this symptom beside those present."""
    if symptom in present:
        return False
    return not any(symptom in group and group & present for group in _SAME)


def present_symptoms(visit: Visit) -> list[str]:
    """Symptoms of the visit; a temperature of 37.8 °C or more is a fever whether told or not."""
    felt = list(dict.fromkeys(visit.subjective))
    temperature = visit.results.get("temperature")
    if temperature is not None and temperature >= 37.8 and "fever" not in felt:
        felt.append("fever")
    return felt


def absent_symptoms(visit: Visit, usual: tuple[str, ...], least: int) -> list[str]:
    """Symptoms to deny: those asked for in this visit, filled up with usual questions."""
    present = set(present_symptoms(visit))
    asked = [s for s in dict.fromkeys(visit.reassured) if compatible(s, present)]
    for symptom in usual:
        if len(asked) >= least:
            break
        if symptom not in asked and compatible(symptom, present):
            asked.append(symptom)
    return asked


def _diabetes(draft: Draft, chart: Chart, visit: Visit) -> None:
    a1c = chart.body["hba1c"]
    low, high = round(70 + 8 * a1c), round(90 + 14 * a1c)
    draft.say(
        draft.pick(
            (
                f"Fasting glucose at home runs between {low} and {high}. ",
                f"Home glucose log shows values of {low} to {high}. ",
                "Checks glucose only occasionally. ",
            )
        )
    )
    draft.say(draft.pick(("Denies ", "No ", "Has not had ")))
    draft.symptoms(("hypoglycemia", "polyuria", "blurred vision"), "or", NEGATED)
    draft.say(". ")


def _hypertension(draft: Draft, chart: Chart, visit: Visit) -> None:
    systolic = int(visit.results["systolic"]) if "systolic" in visit.results else 130
    draft.say(
        draft.pick(
            (
                f"Home blood pressures are around {systolic - 3}/{systolic // 2 + 14}. ",
                "Takes blood pressure medication every morning and tolerates it. ",
                "Does not check blood pressure at home. ",
            )
        )
    )


def _heart_failure(draft: Draft, chart: Chart, visit: Visit) -> None:
    draft.say(
        draft.pick(
            ("Sleeps on two pillows. ", "Weighs daily at home. ", "Can walk two blocks on level. ")
        )
    )


def _lungs(draft: Draft, chart: Chart, visit: Visit) -> None:
    draft.say(
        draft.pick(
            (
                "Uses the rescue inhaler about twice a week. ",
                "Needs the rescue inhaler less than once a month. ",
                "Inhaler technique was reviewed and is good. ",
            )
        )
    )


def _mood(draft: Draft, chart: Chart, visit: Visit) -> None:
    draft.say(
        draft.pick(
            (
                "Mood has been better and sleep is fair. ",
                "Energy varies from day to day; works full time. ",
                "Sees a counselor every other week. ",
            )
        )
    )


def _joints(draft: Draft, chart: Chart, visit: Visit) -> None:
    draft.say(draft.pick(("Pain is worse on stairs. ", "Walks for exercise three times a week. ")))


_AT_HOME: dict[str, Callable[[Draft, Chart, Visit], None]] = {
    "diabetes": _diabetes,
    "hypertension": _hypertension,
    "heart_failure": _heart_failure,
    "asthma": _lungs,
    "copd": _lungs,
    "depression": _mood,
    "osteoarthritis": _joints,
}


def at_home(draft: Draft, chart: Chart, visit: Visit) -> None:
    """How the known diseases go, and what happened since the last visit."""
    told = 0
    for key, tell in _AT_HOME.items():
        if key in chart.problems and key not in visit.diagnosed and told < 3:
            tell(draft, chart, visit)
            told += 1
    before = chart.visits[-2] if len(chart.visits) > 1 else None
    if before is not None and before.kind.hospital and before.reason in DIAGNOSES:
        draft.say(
            "Was hospitalized for "
            if before.end_day > before.day
            else "Was seen in the emergency department for "
        )
        draft.diagnosis(before.reason, HISTORICAL)
        draft.say(f" on {us_date(before.day)}. ")


_SYSTEMS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Constitutional", ("fever", "chills", "night sweats", "weight loss")),
    ("Cardiovascular", ("chest pain", "palpitations", "leg swelling")),
    ("Respiratory", ("cough", "shortness of breath", "wheezing")),
    ("Gastrointestinal", ("nausea", "vomiting", "abdominal pain", "diarrhea", "melena")),
    ("Genitourinary", ("dysuria", "hematuria")),
    ("Neurological", ("headache", "dizziness", "numbness")),
    ("Skin", ("rash", "itching")),
)


_SMALL_CHILD_SYSTEMS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Constitutional", ("fever", "poor appetite", "lethargy")),
    ("Respiratory", ("cough", "wheezing", "noisy breathing")),
    ("Gastrointestinal", ("vomiting", "diarrhea", "constipation")),
    ("Skin", ("rash", "jaundice")),
)


def review_of_systems(draft: Draft, chart: Chart, visit: Visit) -> None:
    """System by system, what is there and what is not."""
    draft.heading("Review of Systems", "ROS")
    present = set(present_symptoms(visit))
    # Small children cannot tell of headache, palpitations or numbness.
    systems = _SYSTEMS if chart.person.age(visit.day) >= 5 else _SMALL_CHILD_SYSTEMS
    for name, symptoms in systems:
        found = [s for s in symptoms if s in present]
        absent = [s for s in symptoms if compatible(s, present)]
        draft.say(f"{name}: ")
        if found:
            draft.say("positive for ")
            draft.symptoms(found, "and")
            draft.say("; " if absent else ".")
        if absent:
            draft.say(draft.pick(("no ", "negative for ", "denies ")))
            draft.symptoms(absent, "or", NEGATED)
            draft.say(".")
        draft.say("\n" if draft.style == 0 and name != systems[-1][0] else " ")
