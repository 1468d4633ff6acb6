"""Asthma and COPD."""

from __future__ import annotations

from service.synth.chart import Chart
from service.synth.concepts import decimal
from service.synth.disease.chronic import Chronic
from service.synth.visit import Visit


class Asthma(Chronic):
    """Albuterol as needed; an inhaled steroid, and montelukast, where it persists."""

    key = "asthma"

    def __init__(self, chart: Chart) -> None:
        super().__init__(chart)
        self.persistent = chart.random.random() < 0.45

    def begin(self, visit: Visit, new: bool) -> None:
        chart = self.chart
        chart.prescribe(visit, "albuterol", "asthma", quiet=not new)
        if self.persistent:
            chart.prescribe(visit, "fluticasone", "asthma", quiet=not new)
            self.interval = 185
        if new and chart.person.age(visit.day) >= 6:
            chart.perform(visit, "spirometry", "asthma")
            chart.observe(visit, "fev1_fvc", decimal(chart.random.gauss(72, 4), 0))
        visit.reassured += ["wheezing", "nighttime cough"]

    def follow(self, visit: Visit) -> None:
        chart = self.chart
        if self.persistent and self.chance(0.12):
            raised = chart.change_dose(
                visit, "fluticasone", 1, "dose increased for poorly controlled symptoms"
            )
            if not raised and chart.person.age(visit.day) >= 15:
                chart.prescribe(visit, "montelukast", "asthma")
            visit.subjective.append("wheezing")
        else:
            visit.reassured += ["wheezing", "nighttime cough"]


class Copd(Chronic):
    """Tiotropium and albuterol; spirometry every other year."""

    key = "copd"
    interval = 170

    def begin(self, visit: Visit, new: bool) -> None:
        chart = self.chart
        chart.body["airflow"] = min(68.0, max(38.0, chart.random.gauss(57, 7)))
        chart.prescribe(visit, "tiotropium", "copd", quiet=not new)
        chart.prescribe(visit, "albuterol", "copd", quiet=not new)
        if new:
            self._spirometry(visit)
        if chart.person.smoking == "current":
            visit.plan.append("smoking cessation counseling")

    def _spirometry(self, visit: Visit) -> None:
        chart = self.chart
        chart.perform(visit, "spirometry", "copd")
        value = min(69.0, chart.body["airflow"] + chart.random.gauss(0, 2))
        chart.observe(visit, "fev1_fvc", decimal(value, 0))

    def follow(self, visit: Visit) -> None:
        if self.due(visit, "spirometry", 700) and self.chance(0.5):
            self._spirometry(visit)
        visit.reassured += ["hemoptysis", "fever"]
