"""Assessment and plan: what each problem is called, what was started, changed, stopped, and what
to come back for."""

from __future__ import annotations

from schemas.codes import RXNORM
from service.synth.chart import Chart
from service.synth.measurements import MEASUREMENTS
from service.synth.medications import DRUGS
from service.synth.notes.draft import HYPOTHETICAL, NEGATED, STOPPED, UNCERTAIN, Draft
from service.synth.visit import VISIT_KINDS, Order, Visit

_WARNINGS: dict[str, tuple[str, ...]] = {
    "uri": ("fever", "shortness of breath"),
    "bronchitis": ("fever", "hemoptysis"),
    "pneumonia": ("worsening dyspnea", "persistent fever"),
    "influenza": ("shortness of breath", "confusion"),
    "covid19": ("shortness of breath", "chest pain"),
    "uti": ("fever", "flank pain"),
    "gastroenteritis": ("bloody stools", "inability to keep fluids down"),
    "appendicitis": ("fever", "wound drainage"),
    "kidney_stone": ("fever", "uncontrolled pain"),
    "mi": ("chest pain", "syncope"),
    "heart_failure": ("weight gain", "worsening shortness of breath"),
    "asthma": ("shortness of breath", "worsening wheezing"),
    "copd": ("fever", "increased sputum"),
    "depression": ("suicidal thoughts",),
    "pregnancy": ("vaginal bleeding", "severe headache"),
    "otitis_media": ("persistent fever", "ear discharge"),
    "strep_throat": ("trouble breathing", "inability to swallow"),
    "ankle_sprain": ("numbness", "increasing swelling"),
    "ankle_fracture": ("numbness", "increasing pain"),
    "forearm_fracture": ("numbness", "increasing pain"),
    "hip_fracture": ("wound drainage", "calf pain"),
    "back_pain": ("leg weakness", "urinary incontinence"),
}
_USUAL_WARNINGS = ("fever", "chest pain")
_CHILD_WARNINGS = ("fever", "poor appetite")
_RETURN = (
    ("Return if", "occurs."),
    ("Call the office if", "develops."),
    ("Return precautions given for", "."),
    ("Seek care for", "."),
    ("Call or go to the emergency department for", "."),
)
_LINKED = {
    "diabetes": "hba1c",
    "hyperlipidemia": "ldl",
    "hypothyroidism": "tsh",
    "atrial_fibrillation": "inr",
    "depression": "phq9",
    "anxiety": "gad7",
    "anemia": "hemoglobin",
    "ckd3": "egfr",
    "ckd4": "egfr",
    "heart_failure": "nt_probnp",
}


def _problems(chart: Chart, visit: Visit) -> list[str]:
    touched = [order.reason for order in visit.started]
    touched += [after.reason for _, after in visit.changed]
    touched += [order.reason for order, _ in visit.stopped]
    listed = ([visit.reason] if visit.reason else []) + visit.diagnosed + touched
    listed += [
        key
        for key, measured in _LINKED.items()
        if key in chart.problems and measured in visit.results
    ]
    listed += list(chart.problems)
    return list(dict.fromkeys(listed))[:6]


def assessment_and_plan(draft: Draft, chart: Chart, visit: Visit) -> None:
    """The numbered problems with their drugs, then follow-up."""
    draft.heading("Assessment and Plan", "A/P", "Assessment/Plan", "Impression and Plan")
    problems = _problems(chart, visit)
    if not problems:
        draft.say("Healthy visit. Age-appropriate counseling given.")
    told: set[int] = set()
    for number, key in enumerate(problems):
        draft.say(f"{'' if number == 0 else chr(10)}{number + 1}. ")
        draft.diagnosis(key, capital=True)
        draft.say(draft.pick((": ", " - ")))
        _status(draft, chart, visit, key)
        _drugs(draft, chart, visit, key, told)
        if key == "diabetes":
            _next_step(draft, chart, visit)
        if number == 0:
            _considered(draft, visit)
    _loose_ends(draft, visit, told)
    if visit.plan:
        draft.say("\nPlan: " + "; ".join(dict.fromkeys(visit.plan)) + ".")
    return_advice(draft, chart, visit)


def _status(draft: Draft, chart: Chart, visit: Visit, key: str) -> None:
    measured = _LINKED.get(key)
    if key == visit.reason and visit.flare:
        draft.say("acute exacerbation. ")
        measured = None
    if key == "hypertension" and "systolic" in visit.results:
        high = visit.results["systolic"] >= 140
        draft.say(
            draft.pick(("above goal today. ", "not at goal. "))
            if high
            else draft.pick(("well controlled. ", "at goal. "))
        )
    elif measured is not None and measured in visit.results:
        m = MEASUREMENTS[measured]
        unit = "%" if m.unit == "%" else "" if measured in ("inr", "phq9", "gad7") else f" {m.unit}"
        draft.test(m.says, f"{visit.results[measured]}{unit}", m.code["coding"][0]["code"])
        if key == "diabetes":
            value = visit.results["hba1c"]
            draft.say(
                ", poorly controlled. "
                if value > 8
                else ", above goal. "
                if value >= 7
                else ", at goal. "
            )
        else:
            draft.say(". ")
    elif key in visit.diagnosed:
        if key in chart.onsets:
            draft.say(draft.pick(("new diagnosis. ", "newly diagnosed. ")))
        elif all(order.reason != key for order in visit.started):
            draft.say(draft.pick(("supportive care. ", "symptomatic treatment. ")))
    elif key == visit.reason and visit.flare:
        return
    elif key == visit.reason and visit.kind.hospital:
        draft.say(draft.pick(("treated as above. ", "see hospital course. ")))
    else:
        draft.say(draft.pick(("stable. ", "unchanged. ", "doing well. ")))


def _drugs(draft: Draft, chart: Chart, visit: Visit, key: str, told: set[int]) -> None:
    for order, words in visit.stopped:
        if order.reason == key:
            stopped(draft, order, words)
            told.add(id(order))
    for before, after in visit.changed:
        if after.reason == key:
            rises = after.dose.amount >= before.dose.amount
            draft.say("Increase " if rises else "Decrease ")
            _to(draft, before, after)
            told.add(id(after))
    for order in visit.started:
        if order.reason == key:
            draft.say(draft.pick(("Start ", "Begin ", "Will start ")))
            draft.drug(order)
            if order.last_day is not None:
                days = order.last_day - order.day
                draft.say(f" for {days} days" if days < 60 else f" for {round(days / 30.4)} months")
            draft.say(". ")
            told.add(id(order))
    for order in chart.orders.values():
        if order.reason == key and id(order) not in told:
            draft.say(draft.pick(("Continue ", "Continue current ", "Remain on ")))
            draft.drug(order)
            draft.say(". ")
            told.add(id(order))


def _next_step(draft: Draft, chart: Chart, visit: Visit) -> None:
    """What might be tried next: nothing that the patient takes."""
    level = visit.results.get("hba1c")
    if level is None or level <= 8 or visit.started or visit.changed:
        return
    for key in ("empagliflozin", "sitagliptin", "glargine"):
        drug = DRUGS[key]
        if key not in chart.orders and chart.may_take(drug, visit.day):
            draft.say(draft.pick(("Will consider adding ", "May add ", "Discussed starting ")))
            draft.fact(drug.name, "MEDICATION", ((RXNORM, drug.ingredient),), (HYPOTHETICAL,))
            draft.say(draft.pick((" if A1c remains above goal. ", " at the next visit. ")))
            return


def _to(draft: Draft, before: Order, after: Order) -> None:
    draft.drug(after, name_only=True)
    frequency = after.dose.timing.short if draft.style == 1 else after.dose.timing.words
    draft.say(f" from {before.dose.strength} to {after.dose.strength} {frequency}. ")


def stopped(draft: Draft, order: Order, words: str) -> None:
    """That a drug was stopped, and why."""
    form = int(draft.random.random() * 3)
    if form == 0:
        draft.drug(order, STOPPED, capital=True, name_only=True)
        draft.say(f" was discontinued because of {words}. ")
    elif form == 1:
        draft.say("Stop ")
        draft.drug(order, STOPPED, name_only=True)
        draft.say(f" due to {words}. ")
    else:
        draft.say("Discontinued ")
        draft.drug(order, STOPPED, name_only=True)
        draft.say(f" ({words}). ")


def _considered(draft: Draft, visit: Visit) -> None:
    for key in visit.considered:
        imaged = "chest_xray" in visit.procedures and key == "pneumonia"
        draft.say(draft.pick(("Possible ", "Concern for possible ")))
        draft.diagnosis(key, UNCERTAIN)
        draft.say(draft.pick((" was considered; ", " on the differential; ")))
        if imaged:
            draft.procedure("chest_xray")
            draft.say(" shows no ")
            draft.symptom("infiltrate", NEGATED)
            draft.say(". ")
        else:
            draft.say("felt to be unlikely. ")


def _loose_ends(draft: Draft, visit: Visit, told: set[int]) -> None:
    rest = [(order, words) for order, words in visit.stopped if id(order) not in told]
    if rest:
        draft.say("\n")
    for order, words in rest:
        stopped(draft, order, words)


def return_advice(draft: Draft, chart: Chart, visit: Visit) -> None:
    """What to come back for, and when anyway."""
    usual = _CHILD_WARNINGS if chart.person.age(visit.day) < 14 else _USUAL_WARNINGS
    warnings = _WARNINGS.get(visit.reason or "", usual)
    opening, ending = _RETURN[int(draft.random.random() * len(_RETURN))]
    draft.say(f"\n{opening} ")
    draft.symptoms(warnings, "or", HYPOTHETICAL)
    draft.say(f"{ending} " if ending == "." else f" {ending} ")
    if visit.kind.hospital:
        later = (
            "Follow up with primary care in 1 to 2 weeks.",
            "Follow up with PCP within one week.",
        )
    elif visit.kind is VISIT_KINDS["prenatal"]:
        later = (
            "Next prenatal visit in 4 weeks.",
            "Return for the next prenatal visit as scheduled.",
        )
    elif visit.kind is VISIT_KINDS["problem"]:
        later = "Follow up as needed.", "Recheck in 1 to 2 weeks if not better."
    else:
        later = "Follow up in 3 months.", "Return to clinic as scheduled."
    draft.say(draft.pick(later))
