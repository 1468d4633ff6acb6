"""Sections about the past: problem list, drugs, allergies, family, habits."""

from __future__ import annotations

from schemas.codes import RXNORM
from service.synth.chart import Chart
from service.synth.medications import DRUGS
from service.synth.notes.draft import ALLERGY, FAMILY, HISTORICAL, NEGATED, STOPPED, Draft
from service.synth.visit import Visit

_ALLERGEN_CODES = {
    "penicillin": "7980",
    "sulfa drugs": "10180",
    "codeine": "2670",
    "ibuprofen": "5640",
}
_FAMILY_ABSENT = ("colon_cancer", "breast_cancer", "mi", "diabetes")
_PAST_ILLNESSES = (
    "appendicitis",
    "mi",
    "breast_cancer",
    "colon_cancer",
    "prostate_cancer",
    "pneumonia",
    "hip_fracture",
    "kidney_stone",
    "forearm_fracture",
    "ankle_fracture",
    "anemia",
)


def known_problems(chart: Chart, visit: Visit) -> list[str]:
    """Active diagnoses that were known before this visit, the oldest first."""
    return [key for key in chart.problems if key not in visit.diagnosed and key != "pregnancy"]


def problem_list(draft: Draft, chart: Chart, visit: Visit) -> None:
    """Past medical history."""
    draft.heading("Past Medical History", "PMH", "Problem List")
    known = known_problems(chart, visit)
    if not known:
        draft.say(
            draft.pick(("No chronic medical problems.", "Noncontributory.", "None significant."))
        )
    for number, key in enumerate(known):
        draft.say("" if number == 0 else "\n")
        if draft.style != 2:
            draft.say("- ")
        draft.diagnosis(key, capital=True)
    gone = [
        k
        for k in _PAST_ILLNESSES
        if k in chart.conditions and k not in chart.problems and k not in visit.diagnosed
    ]
    if gone:
        draft.say("\nHistory of ")
        draft.diagnoses(gone[:2], "and", HISTORICAL)
        draft.say(".")


def medication_list(draft: Draft, chart: Chart, visit: Visit, *headings: str) -> None:
    """The active drugs after this visit, with the courses begun in it; for an emergency note,
    those taken on arrival."""
    draft.heading(*headings)
    orders = list(chart.orders.values())
    if visit.kind.note == "emergency":
        before = {id(after): order for order, after in visit.changed}
        new = {id(order) for order in visit.started}
        orders = [before.get(id(order), order) for order in orders if id(order) not in new]
        orders += [order for order, _ in visit.stopped]
    else:
        orders += [order for order in visit.started if order.dose.drug not in chart.orders]
    if not orders:
        draft.say(draft.pick(("None.", "No regular medications.", "Takes no medications.")))
    for number, order in enumerate(orders):
        draft.say(
            f"\n{number + 1}. "
            if draft.style == 2 and number
            else "\n- "
            if number
            else "1. "
            if draft.style == 2
            else "- "
        )
        draft.drug(order, capital=draft.style != 1)
    earlier = [past for past in chart.past_orders if past not in visit.stopped]
    still = {DRUGS[order.dose.drug].name for order in orders}
    for order, words in earlier[-2:]:
        if DRUGS[order.dose.drug].name in still:
            continue
        draft.say("\nPreviously took ")
        draft.drug(order, STOPPED, HISTORICAL, name_only=True)
        draft.say(f", stopped for {words}.")


def allergy_list(draft: Draft, chart: Chart) -> None:
    """Allergies, or that there are none."""
    draft.heading("Allergies", "Allergies", "Drug Allergies")
    if not chart.allergies:
        draft.say(draft.pick(("NKDA.", "No known drug allergies.", "No known allergies.")))
        return
    for number, (substance, reaction) in enumerate(chart.allergies):
        draft.say("; " if number else "")
        code = _ALLERGEN_CODES.get(substance)
        name = substance if number else substance[0].upper() + substance[1:]
        draft.fact(
            name,
            "MEDICATION" if code else "ALLERGEN",
            ((RXNORM, code),) if code else (),
            (ALLERGY,),
            (("reaction", reaction),),
        )
        draft.say(f" ({reaction})" if draft.style else f" causes {reaction}")
    draft.say(".")


def family_history(draft: Draft, chart: Chart) -> None:
    """Illnesses of close relatives, and one that they did not have."""
    draft.heading("Family History", "FH", "Family Hx")
    for relation, key, age in chart.family:
        who = relation.capitalize()
        if draft.random.random() < 0.5:
            draft.say(f"{who} had ")
            draft.diagnosis(key, FAMILY)
            draft.say(f" at {age}. ")
        else:
            draft.say(f"{who} with ")
            draft.diagnosis(key, FAMILY)
            draft.say(f" diagnosed at age {age}. ")
    told = {key for _, key, _ in chart.family}
    absent = [key for key in _FAMILY_ABSENT if key not in told]
    draft.say("No family history of ")
    draft.diagnosis(absent[int(draft.random.random() * len(absent))], FAMILY, NEGATED)
    draft.say(".")


_NO_ALCOHOL = ("Denies alcohol use.", "No alcohol or illicit drug use.")
_ALCOHOL = (*_NO_ALCOHOL, "Drinks alcohol socially.", "Occasional glass of wine.")


def social_history(draft: Draft, chart: Chart, visit: Visit) -> None:
    """Smoking, alcohol, home."""
    draft.heading("Social History", "SH", "Social Hx")
    smoking = chart.person.smoking
    if smoking == "never":
        draft.say(draft.pick(("Never smoker. ", "Has never smoked. ", "Lifelong nonsmoker. ")))
    elif smoking == "former":
        draft.say(draft.pick(("Former smoker. ", "Quit smoking years ago. ", "Ex-smoker. ")))
    else:
        draft.say(
            draft.pick(
                ("Smokes daily. ", "Current every day smoker. ", "Continues to smoke cigarettes. ")
            )
        )
    drinks = chart.person.age(visit.day) >= 21
    draft.say(draft.pick(_ALCOHOL if drinks else _NO_ALCOHOL))
    if chart.person.married:
        draft.say(draft.pick((" Lives with spouse.", " Married.", " Lives at home with family.")))
