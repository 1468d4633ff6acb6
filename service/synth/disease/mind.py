"""Depression, anxiety and migraine."""

from __future__ import annotations

from service.synth.chart import Chart
from service.synth.concepts import decimal
from service.synth.disease.chronic import Chronic
from service.synth.visit import Visit


class Depression(Chronic):
    """Sertraline, more of it, escitalopram instead; the PHQ-9 follows, some never improve."""

    key = "depression"

    def __init__(self, chart: Chart) -> None:
        super().__init__(chart)
        random = chart.random
        self.score = min(24.0, max(9.0, random.gauss(14.5, 3.5)))
        self.improves = random.random() < 0.68
        self.nauseated = random.random() < 0.09
        self.treated = random.random() < 0.8

    def begin(self, visit: Visit, new: bool) -> None:
        chart = self.chart
        if new:
            chart.perform(visit, "depression_screen", "depression")
            visit.subjective += ["low mood", "poor sleep"]
            self.interval = 60
        elif self.improves:
            self.score = max(2.0, self.score * 0.45)
        old_enough = chart.person.age(visit.day) >= 15
        if self.treated and old_enough and "escitalopram" not in chart.orders:
            chart.prescribe(visit, "sertraline", "depression", quiet=not new)
        self._score(visit)
        visit.reassured.append("suicidal ideation")

    def _score(self, visit: Visit) -> None:
        value = min(27, max(0, self.score + self.chart.random.gauss(0, 1.2)))
        self.chart.observe(visit, "phq9", decimal(value, 0))

    def follow(self, visit: Visit) -> None:
        chart = self.chart
        if self.improves:
            self.score += 0.55 * (4.0 - self.score)
        if self.due(visit, "phq9", 55):
            self._score(visit)
        visit.reassured.append("suicidal ideation")
        self.interval = 185
        if "sertraline" not in chart.orders:
            return
        if self.nauseated:
            self.nauseated = False
            visit.subjective.append("nausea")
            chart.stop(visit, "sertraline", "nausea", "intolerance")
            chart.prescribe(visit, "escitalopram", "depression")
        elif self.score >= 10 and self.chance(0.6):
            self.interval = 70
            chart.change_dose(
                visit, "sertraline", 1, "dose increased for persistent depressive symptoms"
            )


class Anxiety(Chronic):
    """Escitalopram unless an SSRI is taken already; the GAD-7."""

    key = "anxiety"

    def __init__(self, chart: Chart) -> None:
        super().__init__(chart)
        self.score = min(20.0, max(6.0, chart.random.gauss(11.5, 3)))

    def begin(self, visit: Visit, new: bool) -> None:
        chart = self.chart
        adult = chart.person.age(visit.day) >= 15
        if adult and "sertraline" not in chart.orders and self.chance(0.6):
            chart.prescribe(visit, "escitalopram", "anxiety", quiet=not new)
        if new:
            visit.subjective.append("excessive worry")
        else:
            self.score *= 0.6
        self._score(visit)

    def _score(self, visit: Visit) -> None:
        value = min(21, max(0, self.score + self.chart.random.gauss(0, 1)))
        self.chart.observe(visit, "gad7", decimal(value, 0))

    def follow(self, visit: Visit) -> None:
        self.score += 0.4 * (5.0 - self.score)
        if self.due(visit, "gad7", 120):
            self._score(visit)
        visit.reassured.append("panic attacks")


class Migraine(Chronic):
    """Sumatriptan as needed; a preventive where attacks are frequent."""

    key = "migraine"

    def __init__(self, chart: Chart) -> None:
        super().__init__(chart)
        self.frequent = chart.random.random() < 0.3

    def begin(self, visit: Visit, new: bool) -> None:
        chart = self.chart
        if chart.person.age(visit.day) < 16:
            return
        if not chart.prescribe(visit, "sumatriptan", "migraine", quiet=not new):
            chart.prescribe(visit, "acetaminophen", "migraine", quiet=not new)
        if self.frequent:
            drug = "propranolol" if self.chance(0.5) else "topiramate"
            chart.prescribe(visit, drug, "migraine", quiet=not new)
        if new:
            visit.subjective += ["throbbing headache", "photophobia"]

    def follow(self, visit: Visit) -> None:
        chart = self.chart
        if "topiramate" in chart.orders and self.chance(0.12):
            visit.subjective.append("tingling in the hands")
            chart.stop(visit, "topiramate", "paresthesias", "intolerance")
            chart.prescribe(visit, "propranolol", "migraine")
        visit.reassured += ["visual changes", "focal weakness"]
