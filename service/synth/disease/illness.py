"""Acute illness: what comes, how often, where it is seen and how it is treated.

Each row of `tables/illnesses.tsv` is one illness; one function plays them all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from service.synth.chart import Chart
from service.synth.concepts import decimal
from service.synth.medications import DRUGS
from service.synth.person import Person
from service.synth.physiology import measure_panels, measure_vitals
from service.synth.tables import listed, rows, steps
from service.synth.visit import Visit


class Course(NamedTuple):
    """A drug for some days; the first course of a list that the patient may take is given."""

    drug: str
    days: int


class Illness(NamedTuple):
    """One acute illness. `emergency` and `admitted` are the shares seen there and kept there."""

    key: str
    rate: Callable[[Person, int], float]
    emergency: float
    admitted: float
    symptoms: tuple[str, ...]
    absent: tuple[str, ...]
    fever: float
    courses: tuple[tuple[Course, ...], ...]
    procedures: tuple[str, ...]
    lasts_days: int
    considered: str
    operation: str
    nights: int
    sickness: float
    blood_count: bool


def _rate(women: str, men: str) -> Callable[[Person, int], float]:
    curves = {True: steps(women), False: steps(men)}
    return lambda person, age: next(
        (rate for bound, rate in curves[person.female] if age < bound), 0.0
    )


def _courses(cell: str) -> tuple[tuple[Course, ...], ...]:
    def course(text: str) -> Course:
        drug, days = text.split("/")
        return Course(drug, int(days))

    return tuple(tuple(map(course, listed(choices))) for choices in listed(cell, ";"))


def _read(row: dict[str, str]) -> Illness:
    return Illness(
        key=row["key"],
        rate=_rate(row["rate_women"], row["rate_men"]),
        emergency=float(row["emergency"]),
        admitted=float(row["admitted"]),
        symptoms=listed(row["symptoms"]),
        absent=listed(row["absent"]),
        fever=float(row["fever"]),
        courses=_courses(row["courses"]),
        procedures=listed(row["procedures"]),
        lasts_days=int(row["lasts_days"]),
        considered=row["considered"],
        operation=row["operation"],
        nights=int(row["nights"]),
        sickness=float(row["sickness"]),
        blood_count=bool(row["blood_count"]),
    )


ILLNESSES: tuple[Illness, ...] = tuple(_read(row) for row in rows("illnesses"))


def _liquid_step(chart: Chart, day: int) -> int:
    """Rung of the liquid amoxicillin ladder for a child's weight (about 45 mg/kg/day in two)."""
    height = chart.person.height_cm(day) / 100
    weight = chart.person.bmi(day) * height * height
    return 0 if weight < 13 else 1 if weight < 22 else 2 if weight < 32 else 3


def treat(chart: Chart, visit: Visit, illness: Illness) -> None:
    """Give the first suitable drug of each list; children take liquids or nothing new."""
    age = chart.person.age(visit.day)
    for choices in illness.courses:
        for course in choices:
            liquid = course.drug == "amoxicillin_liquid"
            if liquid != (age < 12) or not chart.may_take(DRUGS[course.drug], visit.day):
                continue
            step = _liquid_step(chart, visit.day) if liquid else 0
            if chart.prescribe(visit, course.drug, illness.key, step=step, days=course.days):
                break


def play(chart: Chart, illness: Illness, day: int) -> None:
    """One episode, from the door of the clinic or emergency room to recovery."""
    random = chart.random.random
    if illness.operation == "appendectomy" and "appendicitis" in chart.conditions:
        return
    emergency = random() < illness.emergency
    admitted = emergency and random() < illness.admitted
    nights = 0
    if admitted:
        nights = max(1, illness.nights + int(random() * 3) - 1)
        kind = "surgery" if illness.operation else "inpatient"
    else:
        kind = "emergency" if emergency else "problem"
    if day + nights + 1 > chart.last_day or not chart.free_on(day):
        return
    visit = chart.open_visit(kind, day, nights=nights, reason=illness.key)
    begun = 1 + int(random() * (5 if not emergency else 2))
    onset = max(chart.person.birth_day, day - begun)
    lasts = int(illness.lasts_days * (0.7 + 0.6 * random()))
    visit.subjective += illness.symptoms
    visit.reassured += illness.absent
    visit.chief = f"{illness.symptoms[0]} for {begun} day{'s' if begun > 1 else ''}"
    if illness.considered and random() < 0.6:
        visit.considered.append(illness.considered)
        visit.excluded.append(illness.considered)
    fever = illness.fever * (0.6 + 0.8 * random()) if illness.fever else 0.0
    measure_vitals(chart, visit, ill=illness.sickness * (0.5 + random()), fever=fever)
    for procedure in illness.procedures:
        if procedure != "chest_xray" or emergency or visit.considered:
            chart.perform(visit, procedure, illness.key)
    if illness.operation:
        chart.perform(visit, illness.operation, illness.key)
    chart.diagnose(
        visit,
        illness.key,
        onset,
        chronic=False,
        resolved_day=max(visit.end_day, onset + lasts),
    )
    if illness.blood_count and emergency:
        chart.body["infection"] = 6.0 if fever else 1.5
        visit.ordered |= {"blood_count", "metabolic"}
    measure_panels(chart, visit)
    chart.body.pop("infection", None)
    treat(chart, visit, illness)
    visit.plan.append("rest and fluids" if illness.fever else "rest")


def exacerbation(chart: Chart, key: str, day: int) -> None:
    """A flare of asthma, COPD or heart failure, seen in the emergency room or admitted for."""
    random = chart.random.random
    admitted = random() < {"asthma": 0.12, "copd": 0.4, "heart_failure": 0.85}[key]
    nights = 2 + int(random() * 4) if admitted else 0
    if key not in chart.problems or day + nights + 1 > chart.last_day or not chart.free_on(day):
        return
    kind = "inpatient" if admitted else "emergency"
    visit = chart.open_visit(kind, day, nights=nights, reason=key)
    visit.flare = True
    if key == "heart_failure":
        visit.subjective += ["shortness of breath", "orthopnea", "leg swelling"]
        visit.reassured += ["chest pain", "fever"]
    else:
        visit.subjective += ["wheezing", "shortness of breath", "cough"]
        visit.reassured += ["chest pain", "hemoptysis"]
        visit.considered.append("pneumonia")
        visit.excluded.append("pneumonia")
        chart.perform(visit, "chest_xray", key)
    visit.chief = f"{visit.subjective[0]} for {1 + int(random() * 4)} days"
    measure_vitals(chart, visit, ill=0.7 + 0.3 * random())
    visit.ordered |= {"metabolic", "blood_count"}
    if key == "heart_failure":
        level = chart.random.lognormvariate(8.1, 0.5)
        chart.observe(visit, "nt_probnp", decimal(min(level, 30000), 0))
        step = chart.step_of("furosemide")
        chart.change_dose(visit, "furosemide", step + 1, "dose increased for volume overload")
        visit.plan.append("daily weights")
    else:
        chart.prescribe(visit, "prednisone", key, days=5)
        if key == "copd":
            chart.prescribe(visit, "azithromycin", key, days=5)
    measure_panels(chart, visit)


def heart_attack(chart: Chart, day: int) -> None:
    """A myocardial infarction: admission, intervention, clopidogrel for a year."""
    nights = 3 + int(chart.random.random() * 3)
    if "cad" not in chart.problems or day + nights + 1 > chart.last_day or not chart.free_on(day):
        return
    visit = chart.open_visit("inpatient", day, nights=nights, reason="mi")
    visit.subjective += ["chest pain", "diaphoresis", "dyspnea"]
    visit.reassured += ["syncope", "fever"]
    visit.chief = "chest pain for 3 hours"
    measure_vitals(chart, visit, ill=0.6)
    chart.diagnose(visit, "mi", day, chronic=False, resolved_day=day + 42)
    chart.perform(visit, "ecg", "mi")
    chart.perform(visit, "pci", "mi")
    chart.observe(visit, "troponin", decimal(0.2 + chart.random.lognormvariate(0.2, 0.8), 2))
    visit.ordered |= {"metabolic", "blood_count", "lipids"}
    measure_panels(chart, visit)
    chart.prescribe(visit, "clopidogrel", "mi", days=365)
    if not {"apixaban", "warfarin"} & chart.orders.keys():
        chart.prescribe(visit, "aspirin", "cad")
    if not {"metoprolol", "carvedilol"} & chart.orders.keys():
        chart.prescribe(visit, "metoprolol", "cad")
    if not {"atorvastatin", "rosuvastatin"} & chart.orders.keys():
        chart.prescribe(visit, "atorvastatin", "cad", step=2)
    else:
        chart.change_dose(visit, "atorvastatin", 2, "dose increased after myocardial infarction")
    visit.plan.append("cardiac rehabilitation")
