"""The body behind the numbers: what vital signs and laboratory values would be on a day.

`chart.body` holds the slowly changing quantities (untreated blood pressure, LDL, HbA1c, …); the
disease modules move them and the drugs taken pull them back. Related values are kept consistent:
BMI = weight/height², eGFR by CKD-EPI 2021 from the reported creatinine, LDL by Friedewald.
"""

from __future__ import annotations

from decimal import Decimal

from service.synth.chart import Chart
from service.synth.clock import DAYS_PER_YEAR
from service.synth.concepts import decimal
from service.synth.visit import Visit

# Fall in systolic pressure (mmHg) by drug and rung of its dose ladder.
_PRESSURE_EFFECT: dict[str, tuple[float, ...]] = {
    "lisinopril": (9, 13, 16),
    "losartan": (9, 13),
    "amlodipine": (9, 13),
    "hydrochlorothiazide": (6, 9),
    "metoprolol": (3, 5, 7),
    "carvedilol": (4, 6, 8),
    "spironolactone": (4,),
    "empagliflozin": (3, 4),
}
_LDL_FACTOR: dict[str, tuple[float, ...]] = {
    "atorvastatin": (0.60, 0.54, 0.48),
    "rosuvastatin": (0.62, 0.56),
}
_SLOW_HEART = frozenset({"metoprolol", "carvedilol", "propranolol"})


def settle_body(chart: Chart) -> None:
    """Draw the person's own set points, before treatment."""
    person, gauss, known = chart.person, chart.random.gauss, chart.onsets
    body = chart.body
    age = person.age(person.last_day)
    pressure = gauss(113, 7) + 0.22 * max(0, age - 35)
    body["pressure"] = pressure + 24 if "hypertension" in known else min(pressure, 132.0)
    body["ldl"] = max(60.0, gauss(166, 20) if "hyperlipidemia" in known else gauss(104, 20))
    body["hdl"] = min(
        95.0, max(27.0, gauss(56 if person.female else 47, 10) - 0.35 * (person.adult_bmi - 27))
    )
    body["triglycerides"] = max(
        45.0, gauss(112, 32) + 2.2 * (person.adult_bmi - 27) + (40 if "diabetes" in known else 0)
    )
    body["hba1c"] = min(5.6, max(4.6, gauss(5.25, 0.2)))
    body["hemoglobin"] = gauss(13.5 if person.female else 15.0, 0.7)
    body["tsh"] = min(4.2, max(0.6, gauss(2.0, 0.7)))
    body["filtration"] = gauss(0, 8)  # own deviation of GFR from what age would have it
    body["adherence"] = min(1.0, max(0.4, gauss(0.88, 0.15)))


def _effect(chart: Chart, table: dict[str, tuple[float, ...]]) -> list[float]:
    return [
        effects[min(chart.step_of(drug), len(effects) - 1)]
        for drug, effects in table.items()
        if drug in chart.orders
    ]


def systolic_target(chart: Chart, day: int) -> float:
    """Systolic pressure (mmHg) under the present treatment, without the scatter of a reading."""
    person = chart.person
    age = person.age(day)
    if age < 18:
        return 88.0 + 1.5 * age
    pressure = chart.body["pressure"]
    if chart.onsets.get("hypertension", day + 1) > day:
        pressure = min(pressure, 134.0)
    return pressure - chart.body["adherence"] * sum(_effect(chart, _PRESSURE_EFFECT))


def filtration_rate(chart: Chart, day: int) -> float:
    """Glomerular filtration rate, mL/min/1.73 m²; falls with age and in kidney disease."""
    person = chart.person
    age = (day - person.birth_day) / DAYS_PER_YEAR
    healthy = min(125.0, 112.0 - 0.75 * max(0.0, age - 25)) + chart.body["filtration"]
    onset = chart.onsets.get("ckd3", day + 1)
    if onset > day:
        return max(64.0, healthy)
    years = (day - onset) / DAYS_PER_YEAR
    speed = 1.4 if "diabetes" in chart.onsets else 0.8
    return max(18.0, 54.0 + chart.body["filtration"] / 4 - speed * years)


def creatinine_for(filtration: float, age: float, female: bool) -> tuple[Decimal, Decimal]:
    """Serum creatinine (mg/dL) giving this filtration, and the eGFR reported with it.

    CKD-EPI 2021, race-free; the eGFR is computed back from the rounded creatinine.
    """
    kappa, alpha, factor = (0.7, -0.241, 1.012) if female else (0.9, -0.302, 1.0)
    base = 142.0 * 0.9938**age * factor
    ratio = filtration / base
    creatinine = kappa * (ratio ** (1 / alpha) if ratio > 1 else ratio ** (-1 / 1.2))
    value = decimal(max(0.2, min(creatinine, 9.0)), 2)
    share = float(value) / kappa
    egfr = base * (share**alpha if share < 1 else share**-1.2)
    return value, decimal(egfr, 0)


def measure_vitals(chart: Chart, visit: Visit, *, ill: float = 0.0, fever: float = 0.0) -> None:
    """Measure vital signs. `ill` (0–1) raises heart and breathing rate; `fever` is °C above."""
    person, gauss, day = chart.person, chart.random.gauss, visit.day
    age = person.age(day)
    scatter = gauss(0, 5)
    systolic = systolic_target(chart, day) + scatter
    diastolic = 0.42 * systolic + (24 if age >= 18 else 20) + gauss(0, 4)
    if age >= 65:
        diastolic -= 4
    if age >= 3:
        chart.observe_blood_pressure(
            visit, decimal(max(78, systolic), 0), decimal(max(44, diastolic), 0)
        )
    rate = 72.0 if age >= 15 else 132.0 - 4.4 * age if age >= 2 else 140.0 - 8 * age
    if _SLOW_HEART.intersection(chart.orders):
        rate -= 8
    if "atrial_fibrillation" in chart.problems:
        rate += 6
    rate += 26 * ill + 9 * fever + gauss(0, 6)
    chart.observe(visit, "heart_rate", decimal(max(46, rate), 0))
    if ill or fever or visit.kind.hospital:
        breathing = (15.0 if age >= 12 else 30.0 - 1.2 * age) + 7 * ill + gauss(0, 1.2)
        chart.observe(visit, "respiratory_rate", decimal(max(10, breathing), 0))
        chart.observe(visit, "temperature", decimal(36.7 + fever + gauss(0, 0.2), 1))
        saturation = 98.0 - 5.5 * ill - (2.5 if "copd" in chart.problems else 0) + gauss(0, 0.7)
        chart.observe(visit, "oxygen_saturation", decimal(min(100, max(82, saturation)), 0))
    if visit.kind.hospital and ill:
        return
    height = decimal(person.height_cm(day) * (1 if age < 60 else 0.995), 1)
    bmi = person.bmi(day) + gauss(0, 0.25)
    if chart.pregnant:
        bmi *= 1 + 0.12 * min(1.0, chart.body.get("gestation", 0.0))
    metres = float(height) / 100
    weight = decimal(bmi * metres * metres, 1)
    if age < 20 or "height" not in chart.days or day - chart.days["height"] > 330:
        chart.observe(visit, "height", height)
        chart.days["height"] = day
    chart.observe(visit, "weight", weight)
    if age >= 2:
        chart.observe(visit, "bmi", decimal(float(weight) / (metres * metres), 1))


def measure_panels(chart: Chart, visit: Visit) -> None:
    """Run the laboratory panels ordered during the visit."""
    for panel in ("metabolic", "lipids", "blood_count"):
        if panel in visit.ordered:
            _PANELS[panel](chart, visit)


def _metabolic(chart: Chart, visit: Visit) -> None:
    person, gauss, day = chart.person, chart.random.gauss, visit.day
    filtration = filtration_rate(chart, day)
    filtration += gauss(0, 2.2 if filtration > 60 else 1.1)
    if chart.pregnant:
        filtration *= 1.25
    age = (day - person.birth_day) / DAYS_PER_YEAR
    creatinine, egfr = creatinine_for(max(12.0, filtration), age, person.female)
    a1c = chart.body["hba1c"]
    glucose = (28.7 * a1c - 46.7) * (0.88 if a1c > 6.4 else 0.86) + gauss(0, 5 + 3 * (a1c > 7))
    potassium = 4.2 + gauss(0, 0.25)
    if float(egfr) < 45:
        potassium += 0.4
    if "hydrochlorothiazide" in chart.orders or "furosemide" in chart.orders:
        potassium -= 0.25
    sodium = 139.5 + gauss(0, 1.6)
    bicarbonate = 25.5 + gauss(0, 1.3) - (2.5 if float(egfr) < 40 else 0)
    chart.report(
        visit,
        "metabolic",
        (
            decimal(max(62, glucose), 0),
            decimal(max(6, 9 + 440 / max(20.0, float(egfr)) + gauss(0, 2)), 0),
            creatinine,
            decimal(sodium, 0),
            decimal(min(5.6, max(3.3, potassium)), 1),
            decimal(sodium - bicarbonate - 11, 0),
            decimal(bicarbonate, 0),
            decimal(9.4 + gauss(0, 0.25), 1),
        ),
    )
    if age >= 18:
        chart.observe(visit, "egfr", egfr)


def _lipids(chart: Chart, visit: Visit) -> None:
    gauss, body = chart.random.gauss, chart.body
    factor = min(_effect(chart, _LDL_FACTOR), default=1.0)
    factor = 1 - (1 - factor) * body["adherence"]
    ldl = decimal(max(35, body["ldl"] * factor + gauss(0, 6)), 0)
    hdl = decimal(max(24, body["hdl"] + gauss(0, 3)), 0)
    triglycerides = decimal(min(380, max(40, body["triglycerides"] + gauss(0, 14))), 0)
    cholesterol = decimal(float(ldl) + float(hdl) + float(triglycerides) / 5, 0)
    chart.report(visit, "lipids", (cholesterol, triglycerides, hdl, ldl))


def _blood_count(chart: Chart, visit: Visit) -> None:
    gauss, body = chart.random.gauss, chart.body
    hemoglobin = body["hemoglobin"] + gauss(0, 0.2)
    if chart.person.age(visit.day) < 12:
        hemoglobin = 12.3 + gauss(0, 0.4)
    if "ckd4" in chart.problems:
        hemoglobin -= 1.4
    if chart.pregnant:
        hemoglobin -= 1.2
    low = "anemia" in chart.problems and hemoglobin < 11.5
    white = 6.9 + gauss(0, 1.2) + body.get("infection", 0.0)
    chart.report(
        visit,
        "blood_count",
        (
            decimal(max(3.2, white), 1),
            decimal(hemoglobin, 1),
            decimal(float(decimal(hemoglobin, 1)) * 2.98 + gauss(0, 0.5), 1),
            decimal((74 if low else 90) + gauss(0, 2.2), 0),
            decimal(max(120, 252 + gauss(0, 42) + (60 if low else 0)), 0),
        ),
    )


_PANELS = {"metabolic": _metabolic, "lipids": _lipids, "blood_count": _blood_count}
