"""Common chronic problems with a simple course: thyroid, stomach, joints, bones, prostate, nose."""

from __future__ import annotations

from service.synth.chart import Chart
from service.synth.concepts import decimal
from service.synth.disease.chronic import Chronic
from service.synth.visit import Visit


class Hypothyroidism(Chronic):
    """Levothyroxine, adjusted by TSH until it is in range."""

    key = "hypothyroidism"

    def __init__(self, chart: Chart) -> None:
        super().__init__(chart)
        self.needed = int(chart.random.random() * 4) + 1  # the rung that suits this patient

    def begin(self, visit: Visit, new: bool) -> None:
        chart = self.chart
        step = 0 if new else self.needed if self.chance(0.8) else max(0, self.needed - 1)
        if new:
            visit.subjective += ["fatigue", "cold intolerance"]
            chart.observe(visit, "tsh", decimal(min(60, chart.random.lognormvariate(2.6, 0.5)), 2))
            self.interval = 60
        chart.prescribe(visit, "levothyroxine", "hypothyroidism", step=step, quiet=not new)
        if not new:
            self._thyrotropin(visit)

    def _thyrotropin(self, visit: Visit) -> float:
        short = self.needed - self.chart.step_of("levothyroxine")
        centre = 2.1 * 2.0**short if short >= 0 else 0.7
        value = max(0.1, min(60.0, centre * self.chart.random.lognormvariate(0, 0.25)))
        self.chart.observe(visit, "tsh", decimal(value, 2))
        return value

    def follow(self, visit: Visit) -> None:
        chart = self.chart
        if not self.due(visit, "tsh", 50 if self.interval < 100 else 300):
            return
        level = self._thyrotropin(visit)
        step = chart.step_of("levothyroxine")
        self.interval = 365
        if level > 4.5:
            words = "dose increased for elevated TSH"
            if chart.change_dose(visit, "levothyroxine", step + 1, words):
                self.interval = 60


class Reflux(Chronic):
    """Omeprazole, more where it is not enough."""

    key = "gerd"

    def begin(self, visit: Visit, new: bool) -> None:
        self.chart.prescribe(visit, "omeprazole", "gerd", quiet=not new)
        if new:
            visit.subjective += ["heartburn", "regurgitation"]
        visit.reassured.append("dysphagia")

    def follow(self, visit: Visit) -> None:
        if self.chance(0.08):
            visit.subjective.append("heartburn")
            self.chart.change_dose(
                visit, "omeprazole", 1, "dose increased for persistent heartburn"
            )
        visit.reassured += ["dysphagia", "melena"]


class Osteoarthritis(Chronic):
    """Acetaminophen or an NSAID, where kidneys and other drugs allow."""

    key = "osteoarthritis"

    def begin(self, visit: Visit, new: bool) -> None:
        chart = self.chart
        drug = "meloxicam" if self.chance(0.4) else "acetaminophen"
        if not chart.prescribe(visit, drug, "osteoarthritis", quiet=not new):
            chart.prescribe(visit, "acetaminophen", "osteoarthritis", quiet=not new)
        if new:
            visit.subjective.append("knee pain")
        visit.reassured.append("joint swelling")

    def follow(self, visit: Visit) -> None:
        chart = self.chart
        if "meloxicam" in chart.orders and self.chance(0.07):
            visit.subjective.append("dyspepsia")
            chart.stop(visit, "meloxicam", "dyspepsia", "intolerance")
            chart.prescribe(visit, "acetaminophen", "osteoarthritis")
        elif self.chance(0.35):
            visit.subjective.append("knee pain")


class Osteoporosis(Chronic):
    """Alendronate once weekly, after a bone density scan."""

    key = "osteoporosis"

    def begin(self, visit: Visit, new: bool) -> None:
        if new:
            self.chart.perform(visit, "bone_density", "osteoporosis")
        if self.chart.random.random() < 0.75 and "ckd4" not in self.chart.problems:
            self.chart.prescribe(visit, "alendronate", "osteoporosis", quiet=not new)
        visit.plan.append("calcium and vitamin D intake")


class ProstaticHyperplasia(Chronic):
    """Tamsulosin and a yearly PSA."""

    key = "bph"

    def begin(self, visit: Visit, new: bool) -> None:
        self.chart.prescribe(visit, "tamsulosin", "bph", quiet=not new)
        if new:
            visit.subjective += ["nocturia", "weak urinary stream"]
        self.follow(visit)

    def follow(self, visit: Visit) -> None:
        if "prostate_cancer" not in self.chart.onsets and self.due(visit, "psa", 350):
            value = min(6.5, self.chart.random.lognormvariate(0.7, 0.5))
            self.chart.observe(visit, "psa", decimal(value, 1))
        visit.reassured += ["hematuria", "dysuria"]


class Rhinitis(Chronic):
    """Loratadine in those old enough."""

    key = "rhinitis"

    def begin(self, visit: Visit, new: bool) -> None:
        if self.chart.person.age(visit.day) >= 6 and self.chance(0.7):
            self.chart.prescribe(visit, "loratadine", "rhinitis", quiet=not new)
        if new:
            visit.subjective += ["sneezing", "nasal congestion"]


class SleepApnea(Chronic):
    """Treated with positive airway pressure, so only talked about."""

    key = "sleep_apnea"

    def begin(self, visit: Visit, new: bool) -> None:
        if new:
            visit.subjective += ["loud snoring", "daytime sleepiness"]
        visit.plan.append("continue CPAP nightly" if not new else "start CPAP")


class Obesity(Chronic):
    """On the problem list, with advice."""

    key = "obesity"

    def begin(self, visit: Visit, new: bool) -> None:
        visit.plan.append("weight loss counseling")


class IronDeficiency(Chronic):
    """Ferrous sulfate until hemoglobin has recovered; then the problem is resolved."""

    key = "anemia"
    interval = 80

    def begin(self, visit: Visit, new: bool) -> None:
        chart, body = self.chart, self.chart.body
        if not new:
            # An old episode: long since treated.
            chart.resolve("anemia", min(visit.day, chart.onsets["anemia"] + 240))
            return
        body["hemoglobin"] -= 3.4 + chart.random.random() * 1.4
        visit.ordered.add("blood_count")
        visit.subjective.append("fatigue")
        visit.reassured += ["melena", "hematochezia"]
        chart.observe(visit, "ferritin", decimal(4 + chart.random.random() * 9, 0))
        chart.prescribe(visit, "ferrous_sulfate", "anemia")

    def follow(self, visit: Visit) -> None:
        chart, body = self.chart, self.chart.body
        if "anemia" not in chart.problems:
            self.interval = 365
            return
        healthy = 13.5 if chart.person.female else 15.0
        weeks = (visit.day - chart.onsets["anemia"]) / 7
        body["hemoglobin"] = min(healthy, body["hemoglobin"] + 0.22 * min(weeks, 14))
        visit.ordered.add("blood_count")
        if body["hemoglobin"] > healthy - 1.1:
            if "ferrous_sulfate" in chart.orders:
                chart.stop(visit, "ferrous_sulfate", "iron stores replete")
            chart.observe(visit, "ferritin", decimal(45 + chart.random.random() * 60, 0))
            chart.resolve("anemia", visit.day)
