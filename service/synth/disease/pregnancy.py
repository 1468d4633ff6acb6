"""Pregnancy: prenatal visits, delivery at 37 to 41 weeks, the visit after it.

Drugs that may harm the unborn child are stopped at the first prenatal visit.
"""

from __future__ import annotations

from random import Random

from service.synth.chart import Chart
from service.synth.clock import DAYS_PER_YEAR
from service.synth.medications import DRUGS
from service.synth.person import Person
from service.synth.physiology import measure_panels, measure_vitals
from service.synth.visit import Visit

PRENATAL_WEEKS = (9, 14, 20, 25, 29, 33, 36, 38)
POSTPARTUM_DAYS = 42
_YEARLY = ((18, 0.0), (20, 0.03), (25, 0.075), (30, 0.1), (35, 0.095), (40, 0.05), (44, 0.012))


class Pregnancy:
    """One pregnancy: days from the last menstrual period to the visit after delivery."""

    __slots__ = ("delivery_day", "start_day")

    def __init__(self, start_day: int, weeks: float) -> None:
        self.start_day = start_day
        self.delivery_day = start_day + round(weeks * 7)

    def visit_days(self) -> list[int]:
        """The days of the prenatal visits, those after delivery left out."""
        days = (self.start_day + 7 * week for week in PRENATAL_WEEKS)
        return [day for day in days if day < self.delivery_day - 3]


def plan_pregnancies(person: Person, random: Random, first: int, last: int) -> list[Pregnancy]:
    """Pregnancies that begin within the record, at least a year after the one before."""
    planned: list[Pregnancy] = []
    if not person.female:
        return planned
    day = first + 20
    while day < last - 60:
        age = (day - person.birth_day) / DAYS_PER_YEAR
        rate = next((rate for bound, rate in _YEARLY if age < bound), 0.0)
        if random.random() < rate / 2:  # tried twice a year
            made = Pregnancy(day + int(random.random() * 180), min(41.2, random.gauss(39.2, 1.1)))
            planned.append(made)
            day = made.delivery_day + 365
        else:
            day += 183
    return planned


def prenatal_visit(chart: Chart, pregnancy: Pregnancy, day: int) -> Visit:
    """A prenatal visit; the first one diagnoses, orders tests and reviews the drugs."""
    first = not chart.pregnant
    visit = chart.open_visit("prenatal", day, reason="pregnancy")
    chart.pregnant = True
    week = (day - pregnancy.start_day) // 7
    chart.body["gestation"] = week / 40
    if first:
        chart.diagnose(visit, "pregnancy", pregnancy.start_day)
        visit.subjective.append("nausea")
        for key in list(chart.orders):
            if not chart.may_take(DRUGS[key], day):
                chart.stop(visit, key, "pregnancy", "pregnancy")
        if "diabetes" in chart.problems:
            chart.prescribe(visit, "glargine", "diabetes")
        chart.prescribe(visit, "folic_acid", "pregnancy")
        chart.perform(visit, "obstetric_ultrasound", "pregnancy")
        visit.ordered.add("blood_count")
    if week in (25, 36):
        visit.ordered.add("blood_count")
    if week == 29 and "tdap" not in chart.immunized:
        chart.immunize(visit, "tdap")
    visit.chief = f"prenatal visit at {week} weeks"
    visit.reassured += ["vaginal bleeding", "contractions", "headache"]
    measure_vitals(chart, visit)
    measure_panels(chart, visit)
    visit.plan.append("routine prenatal care")
    return visit


def deliver(chart: Chart, pregnancy: Pregnancy) -> None:
    """The delivery: vaginal, or a cesarean section in about three of ten."""
    random = chart.random.random
    day = pregnancy.delivery_day
    if not chart.free_on(day):
        day = chart.visits[-1].end_day + 1
    cesarean = random() < 0.31
    nights = 3 if cesarean else 2
    if not chart.pregnant or day + nights + 1 > chart.last_day:
        return
    visit = chart.open_visit("delivery", day, nights=nights, reason="pregnancy")
    weeks = (day - pregnancy.start_day) // 7
    visit.chief = f"labor at {weeks} weeks"
    visit.subjective.append("regular contractions")
    visit.reassured += ["headache", "visual changes"]
    measure_vitals(chart, visit)
    chart.perform(visit, "cesarean" if cesarean else "vaginal_delivery", "pregnancy")
    visit.ordered.add("blood_count")
    measure_panels(chart, visit)
    chart.resolve("pregnancy", day)
    chart.pregnant = False
    chart.body.pop("gestation", None)
    if cesarean:
        chart.prescribe(visit, "oxycodone", "pregnancy", days=4)
    chart.prescribe(visit, "ibuprofen", "pregnancy", days=7)
    visit.plan.append("breastfeeding support")
