"""Type 2 diabetes: HbA1c over the years, a ladder of drugs, eyes, feet and kidneys.

States are the rungs of the ladder: metformin, more metformin, a second drug, insulin. HbA1c moves
towards a target that drugs lower and time raises; some patients respond poorly and stay high.
"""

from __future__ import annotations

from service.synth.chart import Chart
from service.synth.clock import DAYS_PER_YEAR
from service.synth.concepts import decimal
from service.synth.disease.chronic import Chronic
from service.synth.physiology import filtration_rate
from service.synth.visit import Visit

# Fall in HbA1c (percentage points) by drug and rung.
_EFFECT: dict[str, tuple[float, ...]] = {
    "metformin": (0.9, 1.1, 1.4),
    "metformin_er": (0.8,),
    "sitagliptin": (0.45, 0.65),
    "empagliflozin": (0.6, 0.75),
    "glipizide": (0.7, 1.1),
    "glargine": (0.9, 1.5, 2.1),
}
_SECOND = ("sitagliptin", "empagliflozin", "glipizide")


class Diabetes(Chronic):
    """Type 2 diabetes mellitus of one patient."""

    key = "diabetes"

    def __init__(self, chart: Chart) -> None:
        super().__init__(chart)
        random = chart.random
        self.untreated = min(12.5, max(7.0, random.gauss(8.65, 1.0)))
        self.response = 0.35 if random.random() < 0.26 else min(1.25, random.gauss(1.0, 0.12))
        self.progress = max(0.0, random.gauss(0.07, 0.04))  # percentage points a year
        self.second = _SECOND[int(random.random() * 3)]
        self.intolerant = random.random() < 0.05
        self.inert = random.random() < 0.36  # treatment is seldom stepped up
        self.last_step_day = 0
        onset = chart.onsets["diabetes"]
        years = max(0.0, (chart.person.last_day - onset) / DAYS_PER_YEAR)
        poor = 1.5 if self.response < 0.5 else 1.0
        for key, yearly in (("retinopathy", 0.016), ("neuropathy", 0.02)):
            if random.random() < 1 - (1 - yearly * poor) ** years:
                chart.onsets[key] = onset + int(random.random() * years * DAYS_PER_YEAR)

    def _target(self, day: int) -> float:
        chart = self.chart
        years = (day - chart.onsets["diabetes"]) / DAYS_PER_YEAR
        effect = sum(
            effects[min(chart.step_of(drug), len(effects) - 1)]
            for drug, effects in _EFFECT.items()
            if drug in chart.orders
        )
        level = self.untreated + self.progress * years
        return max(5.8, level - effect * self.response * (0.5 + 0.5 * chart.body["adherence"]))

    def begin(self, visit: Visit, new: bool) -> None:
        chart, day = self.chart, visit.day
        chart.body["hba1c"] = self.untreated
        if not new:
            years = (day - chart.onsets["diabetes"]) / DAYS_PER_YEAR
            self._resume(visit, years)
            chart.body["hba1c"] = self._target(day)
        self._measure(visit)
        if new:
            if not chart.prescribe(visit, "metformin", "diabetes") and not chart.pregnant:
                chart.prescribe(visit, self.second, "diabetes")
            self.last_step_day = day
            visit.plan.append("diet and exercise counseling")
        self.interval = 100
        self._complications(visit)

    def _resume(self, visit: Visit, years: float) -> None:
        """Drugs taken before this record began, in keeping with how long the disease lasted."""
        chart = self.chart
        rung = min(3, int(years / (9.0 if self.inert else 6.0) + chart.random.random()))
        if filtration_rate(chart, visit.day) >= 35 and not self.intolerant:
            chart.prescribe(visit, "metformin", "diabetes", step=min(rung, 1) * 2, quiet=True)
        elif self.intolerant and filtration_rate(chart, visit.day) >= 35 and self.chance(0.5):
            chart.prescribe(visit, "metformin_er", "diabetes", quiet=True)
        if rung >= 2 or not chart.orders.keys() & {"metformin", "metformin_er"}:
            chart.prescribe(visit, self.second, "diabetes", step=rung - 2, quiet=True)
        if rung >= 3:
            step = 0 if years < 16 else 1
            chart.prescribe(visit, "glargine", "diabetes", step=step, quiet=True)

    def _measure(self, visit: Visit) -> float:
        chart, body = self.chart, self.chart.body
        target = self._target(visit.day)
        body["hba1c"] += 0.75 * (target - body["hba1c"]) + chart.random.gauss(0, 0.18)
        body["hba1c"] = min(14.0, max(5.4, body["hba1c"]))
        if self.due(visit, "hba1c", 75):
            chart.observe(visit, "hba1c", decimal(body["hba1c"], 1))
        visit.ordered.add("metabolic")
        if self.due(visit, "uacr", 330):
            kidney = chart.onsets.get("ckd3", visit.day + 1) <= visit.day
            ratio = chart.random.lognormvariate(4.4 if kidney else 2.3, 0.7)
            chart.observe(visit, "uacr", decimal(max(3, min(ratio, 2500)), 0))
        return body["hba1c"]

    def follow(self, visit: Visit) -> None:
        chart = self.chart
        level = self._measure(visit)
        self._complications(visit)
        if chart.pregnant:
            return
        if "metformin" in chart.orders and filtration_rate(chart, visit.day) < 30:
            chart.stop(visit, "metformin", "reduced kidney function")
            chart.prescribe(visit, "sitagliptin", "diabetes")
            self.last_step_day = visit.day
            return
        if "metformin" in chart.orders and self.intolerant:
            self.intolerant = False
            chart.stop(visit, "metformin", "diarrhea", "intolerance")
            if self.chance(0.5):
                chart.prescribe(visit, "metformin_er", "diabetes")
            chart.prescribe(visit, self.second, "diabetes")
            self.last_step_day = visit.day
            return
        waited = visit.day - self.last_step_day
        if level > 7.4 and waited >= 80 and self.chance(0.2 if self.inert else 0.65):
            self._step_up(visit)
        self.interval = 100 if level > 8 else 150 if level > 7 else 185

    def _step_up(self, visit: Visit) -> None:
        chart = self.chart
        self.last_step_day = visit.day
        words = "dose increased for inadequate glycemic control"
        step = chart.step_of("metformin")
        if 0 <= step < 2 and chart.change_dose(visit, "metformin", 2, words):
            return
        untried = step < 0 and "metformin_er" not in chart.orders and not self._given_up_metformin()
        if untried and chart.prescribe(visit, "metformin", "diabetes"):
            return
        if chart.prescribe(visit, self.second, "diabetes"):
            return
        step = chart.step_of(self.second)
        if step == 0 and chart.change_dose(visit, self.second, 1, words):
            return
        if chart.prescribe(visit, "glargine", "diabetes"):
            return
        chart.change_dose(visit, "glargine", chart.step_of("glargine") + 1, words)

    def _given_up_metformin(self) -> bool:
        tried = any(order.dose.drug == "metformin" for order, _ in self.chart.past_orders)
        return tried or self.intolerant or "ckd4" in self.chart.problems

    def _complications(self, visit: Visit) -> None:
        chart = self.chart
        for key, exam in (("retinopathy", "eye_exam"), ("neuropathy", "foot_exam")):
            if not self.due(visit, exam, 350):
                continue
            if self.chance(0.35):
                chart.perform(visit, exam, "diabetes")
                if chart.onsets.get(key, visit.day + 1) > visit.day:
                    visit.excluded.append(key)
            if chart.onsets.get(key, visit.day + 1) <= visit.day and key not in chart.problems:
                onset = chart.onsets[key]
                new = onset >= chart.first_day
                chart.diagnose(visit, key, max(onset, visit.day - 7) if new else onset)
                if not new:
                    visit.diagnosed.remove(key)
                if key == "neuropathy":
                    chart.prescribe(visit, "gabapentin", "neuropathy", quiet=not new)


class Prediabetes(Chronic):
    """HbA1c between 5.7 and 6.4 %, measured yearly."""

    key = "prediabetes"

    def begin(self, visit: Visit, new: bool) -> None:
        self.chart.body["hba1c"] = 5.7 + 0.7 * self.chart.random.random()
        visit.plan.append("weight loss and regular exercise")
        self.follow(visit)

    def follow(self, visit: Visit) -> None:
        if self.due(visit, "hba1c", 300):
            body = self.chart.body
            body["hba1c"] = min(6.4, max(5.7, body["hba1c"] + self.chart.random.gauss(0, 0.08)))
            self.chart.observe(visit, "hba1c", decimal(body["hba1c"], 1))
            visit.excluded.append("diabetes")
