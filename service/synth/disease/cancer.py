"""Cancers of the breast, colon and prostate: found, operated on, followed."""

from __future__ import annotations

from service.synth.concepts import decimal
from service.synth.disease.chronic import Chronic
from service.synth.visit import Visit

_CURED_DAYS = 6 * 365  # without recurrence; then it is history


class _Cancer(Chronic):
    """A biopsy at diagnosis, an operation weeks later, then check-ups."""

    interval = 120
    biopsy = ""
    operation = ""
    nights = 1

    def begin(self, visit: Visit, new: bool) -> None:
        chart, onset = self.chart, self.chart.onsets[self.key]
        if visit.day - onset > _CURED_DAYS:
            chart.resolve(self.key, onset + _CURED_DAYS)
            self.interval = 365
            return
        if new:
            chart.perform(visit, self.biopsy, self.key)
            wait_days = 18 + int(chart.random.random() * 30)
            chart.days[f"operate/{self.key}"] = visit.day + wait_days
            visit.plan.append("referral to oncology")
        self.treat(visit, new)

    def treat(self, visit: Visit, new: bool) -> None:
        """Drug treatment, where there is one."""

    def follow(self, visit: Visit) -> None:
        if self.key not in self.chart.problems:
            return
        visit.reassured += ["weight loss", "bone pain"]
        if self.due(visit, "blood_count", 170):
            visit.ordered.add("blood_count")


class BreastCancer(_Cancer):
    """Lumpectomy; tamoxifen before and anastrozole after the menopause."""

    key = "breast_cancer"
    biopsy, operation = "breast_biopsy", "lumpectomy"

    def treat(self, visit: Visit, new: bool) -> None:
        years = (visit.day - self.chart.onsets[self.key]) / 365.25
        if years < 5:
            older = self.chart.person.age(visit.day) >= 52
            self.chart.prescribe(
                visit, "anastrozole" if older else "tamoxifen", self.key, quiet=not new
            )

    def follow(self, visit: Visit) -> None:
        super().follow(visit)
        for drug in ("anastrozole", "tamoxifen"):
            order = self.chart.orders.get(drug)
            if order and visit.day - self.chart.onsets[self.key] > 5.2 * 365:
                self.chart.stop(visit, drug, "five years of treatment completed")


class ColonCancer(_Cancer):
    """Colonoscopy, then partial resection."""

    key = "colon_cancer"
    biopsy, operation = "colonoscopy", "colon_resection"
    nights = 5


class ProstateCancer(_Cancer):
    """Biopsy and prostatectomy, or bicalutamide; PSA at each visit."""

    key = "prostate_cancer"
    biopsy, operation = "prostate_biopsy", "prostatectomy"
    nights = 2

    def treat(self, visit: Visit, new: bool) -> None:
        if new and self.chance(0.45):
            self.chart.days.pop("operate/prostate_cancer", None)
            self.chart.prescribe(visit, "bicalutamide", self.key)
        self._antigen(visit, 11.0 if new else 0.6)

    def _antigen(self, visit: Visit, centre: float) -> None:
        value = centre * self.chart.random.lognormvariate(0, 0.4)
        self.chart.observe(visit, "psa", decimal(max(0.1, value), 1))

    def follow(self, visit: Visit) -> None:
        super().follow(visit)
        if self.due(visit, "psa", 110):
            self._antigen(visit, 0.5)


OPERATIONS: dict[str, type[_Cancer]] = {
    module.key: module for module in (BreastCancer, ColonCancer, ProstateCancer)
}
