"""What every chronic disease does: it is diagnosed at a visit, then followed at routine ones."""

from __future__ import annotations

from decimal import Decimal

from service.synth.chart import Chart
from service.synth.visit import Visit


class Chronic:
    """A disease module of one patient. `interval` is the days until it wants the next visit."""

    key: str = ""
    interval: int = 365

    def __init__(self, chart: Chart) -> None:
        self.chart = chart
        self.begun = False

    def attend(self, visit: Visit) -> None:
        """Take part in a routine visit: begin if the disease has begun, else follow."""
        onset = self.chart.onsets[self.key]
        if onset > visit.day:
            return
        if not self.begun:
            self.begun = True
            new = onset >= self.chart.first_day
            self.chart.diagnose(visit, self.key, onset if not new else max(onset, visit.day - 14))
            if not new:
                visit.diagnosed.remove(self.key)
            self.begin(visit, new)
        else:
            self.follow(visit)

    def begin(self, visit: Visit, new: bool) -> None:
        """First visit with the disease; `new` when it was found now, else it was known before."""

    def follow(self, visit: Visit) -> None:
        """A later visit."""

    def due(self, visit: Visit, what: str, days: int) -> bool:
        """Whether something last done under this name is due again; notes it as done now."""
        done = self.chart.days.get(f"done/{what}")
        if done is not None and visit.day - done < days:
            return False
        self.chart.days[f"done/{what}"] = visit.day
        return True

    def chance(self, probability: float) -> bool:
        """A draw."""
        return self.chart.random.random() < probability

    def latest(self, key: str) -> Decimal | None:
        """The most recent value of a measurement in this record."""
        for visit in reversed(self.chart.visits):
            if key in visit.results:
                return visit.results[key]
        return None
