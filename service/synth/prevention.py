"""Vaccination and screening at routine visits."""

from __future__ import annotations

from service.synth.chart import Chart
from service.synth.clock import iso_date
from service.synth.procedures import CHILDHOOD_SCHEDULE
from service.synth.visit import Visit


def vaccinate(chart: Chart, visit: Visit) -> None:
    """Give what is due by age and season. Some people decline everything but the childhood series.

    Doses due before this record began are taken as given elsewhere.
    """
    person, given, day = chart.person, chart.immunized, visit.day
    months = (day - person.birth_day) / 30.4375
    if months < 216:
        for due, vaccines in CHILDHOOD_SCHEDULE:
            due_day = person.birth_day + round(due * 30.4375)
            if due_day > day + 7 or due_day < chart.first_day - 30:
                continue
            for vaccine in vaccines:
                if given.get(f"{vaccine}@{due}") is None:
                    chart.immunize(visit, vaccine)
                    given[f"{vaccine}@{due}"] = day
    if chart.body.setdefault("accepts", chart.random.random()) < 0.4:
        return
    month = int(iso_date(day)[5:7])
    if months >= 6 and (month >= 9 or month <= 2) and day - given.get("influenza", 0) > 240:
        chart.immunize(visit, "influenza")
    if months >= 12 * 50 and "zoster" not in given:
        chart.immunize(visit, "zoster")
    elif months >= 12 * 65 and "ppsv23" not in given:
        chart.immunize(visit, "ppsv23")
    elif (
        months >= 12 * 19
        and day - given.get("tdap", given.get("td", 0)) > 3650
        and chart.random.random() < 0.25
    ):
        chart.immunize(visit, "td" if "tdap" in given else "tdap")


def screen(chart: Chart, visit: Visit) -> None:
    """Order or do the screening tests due at a check-up, by age and sex."""
    person, random = chart.person, chart.random.random
    age = person.age(visit.day)
    if age >= 18 and "smoking" not in chart.days:
        chart.observe_smoking(visit)
        chart.days["smoking"] = visit.day
    if age >= 35 and visit.day - chart.days.get("screened/blood", 0) > 3 * 365:
        chart.days["screened/blood"] = visit.day
        visit.ordered.add("lipids")
        visit.ordered.add("metabolic")
    breast = person.female and 45 <= age <= 74 and "breast_cancer" not in chart.onsets
    if breast and visit.day - chart.days.get("screened/breast", 0) > 700 and random() < 0.6:
        chart.days["screened/breast"] = visit.day
        chart.perform(visit, "mammography")
    colon = 45 <= age <= 75 and "colon_cancer" not in chart.onsets
    if colon and "screened/colon" not in chart.days and random() < 0.12:
        chart.days["screened/colon"] = visit.day
        chart.perform(visit, "colonoscopy")
