"""Hypertension, hyperlipidemia, coronary disease, heart failure, atrial fibrillation, kidney."""

from __future__ import annotations

from service.synth.chart import Chart
from service.synth.concepts import decimal
from service.synth.disease.chronic import Chronic
from service.synth.physiology import filtration_rate, systolic_target
from service.synth.visit import Visit


class Hypertension(Chronic):
    """Steps up lisinopril (losartan after cough), amlodipine and hydrochlorothiazide."""

    key = "hypertension"

    def __init__(self, chart: Chart) -> None:
        super().__init__(chart)
        self.coughs = chart.random.random() < 0.12
        self.swells = chart.random.random() < 0.06
        self.first = "lisinopril" if chart.random.random() < 0.72 else "amlodipine"

    def begin(self, visit: Visit, new: bool) -> None:
        chart = self.chart
        if new:
            chart.prescribe(visit, self.first, "hypertension")
            visit.plan.append("low-sodium diet")
        else:
            chart.prescribe(visit, self.first, "hypertension", quiet=True)
            for _ in range(3):
                if systolic_target(chart, visit.day) > 140 and self.chance(0.7):
                    self._step_up(visit, quiet=True)
        visit.ordered.add("metabolic")
        self.interval = 60 if new else 180

    def follow(self, visit: Visit) -> None:
        chart = self.chart
        if "lisinopril" in chart.orders and self.coughs and not chart.pregnant:
            self.coughs = False
            visit.subjective.append("dry cough")
            chart.stop(visit, "lisinopril", "cough", "intolerance")
            chart.prescribe(visit, "losartan", "hypertension")
        elif "amlodipine" in chart.orders and self.swells:
            self.swells = False
            visit.subjective.append("ankle swelling")
            chart.stop(visit, "amlodipine", "ankle swelling", "intolerance")
            chart.prescribe(visit, "hydrochlorothiazide", "hypertension")
        elif systolic_target(chart, visit.day) > 139 and self.chance(0.55):
            self._step_up(visit)
            self.interval = 75
        else:
            self.interval = 185
        if self.due(visit, "metabolic", 330):
            visit.ordered.add("metabolic")

    def _step_up(self, visit: Visit, *, quiet: bool = False) -> None:
        chart, words = self.chart, "dose increased for uncontrolled blood pressure"
        for drug, top in (("lisinopril", 2), ("losartan", 1), ("amlodipine", 1)):
            step = chart.step_of(drug)
            if 0 <= step < top and not quiet and chart.change_dose(visit, drug, step + 1, words):
                return
        tried = {order.dose.drug for order, _ in chart.past_orders}
        for drug in ("lisinopril", "amlodipine", "hydrochlorothiazide"):
            if drug == "lisinopril" and "losartan" in chart.orders:
                continue
            if drug not in tried and chart.prescribe(visit, drug, "hypertension", quiet=quiet):
                return


class Hyperlipidemia(Chronic):
    """A statin, more of it, another one when the muscles hurt."""

    key = "hyperlipidemia"

    def __init__(self, chart: Chart) -> None:
        super().__init__(chart)
        self.aches = chart.random.random() < 0.06
        self.treated = chart.random.random() < (0.93 if "diabetes" in chart.onsets else 0.82)

    def begin(self, visit: Visit, new: bool) -> None:
        chart = self.chart
        if self.treated:
            step = 2 if "cad" in chart.problems else int(chart.random.random() * 2)
            chart.prescribe(visit, "atorvastatin", "hyperlipidemia", step=step, quiet=not new)
        else:
            visit.plan.append("dietary changes to lower cholesterol")
        visit.ordered.add("lipids")

    def follow(self, visit: Visit) -> None:
        chart = self.chart
        if "atorvastatin" in chart.orders and self.aches:
            self.aches = False
            visit.subjective.append("muscle aches")
            chart.stop(visit, "atorvastatin", "muscle aches", "intolerance")
            chart.prescribe(visit, "rosuvastatin", "hyperlipidemia")
        if self.due(visit, "lipids", 300):
            visit.ordered.add("lipids")
            ldl = self.latest("ldl")
            if ldl is not None and ldl > 110 and self.chance(0.5):
                step = chart.step_of("atorvastatin")
                if 0 <= step < 2:
                    chart.change_dose(
                        visit, "atorvastatin", step + 1, "dose increased to reach the LDL goal"
                    )


class CoronaryDisease(Chronic):
    """Aspirin, a beta blocker, nitroglycerin at hand, a high-intensity statin."""

    key = "cad"
    interval = 185

    def begin(self, visit: Visit, new: bool) -> None:
        chart = self.chart
        for nsaid in ("ibuprofen", "meloxicam"):
            if nsaid in chart.orders:
                chart.stop(visit, nsaid, "coronary artery disease", quiet=not new)
        if chart.onsets.get("atrial_fibrillation", visit.day + 1) > visit.day:
            chart.prescribe(visit, "aspirin", "cad", quiet=not new)
        if "carvedilol" not in chart.orders and self.chance(0.7):
            chart.prescribe(
                visit, "metoprolol", "cad", step=int(chart.random.random() * 2), quiet=not new
            )
        if self.chance(0.5):
            chart.prescribe(visit, "nitroglycerin", "cad", quiet=not new)
        if "rosuvastatin" not in chart.orders:
            chart.prescribe(visit, "atorvastatin", "cad", step=2, quiet=not new)
        if new:
            chart.perform(visit, "ecg", "cad")
        visit.reassured += ["chest pain", "dyspnea on exertion"]
        visit.ordered.add("lipids")

    def follow(self, visit: Visit) -> None:
        visit.reassured += ["chest pain", "dyspnea on exertion"]
        if self.due(visit, "lipids", 330):
            visit.ordered.add("lipids")


class HeartFailure(Chronic):
    """Furosemide, a beta blocker, an ACE inhibitor, spironolactone; echo and NT-proBNP."""

    key = "heart_failure"
    interval = 120

    def begin(self, visit: Visit, new: bool) -> None:
        chart, body = self.chart, self.chart.body
        body["ejection"] = min(62.0, max(18.0, chart.random.gauss(38, 9)))
        chart.prescribe(
            visit, "furosemide", "heart_failure", step=int(self.chance(0.5)), quiet=not new
        )
        if "metoprolol" not in chart.orders:
            chart.prescribe(visit, "carvedilol", "heart_failure", quiet=not new)
        if "losartan" not in chart.orders:
            chart.prescribe(visit, "lisinopril", "heart_failure", quiet=not new)
        if self.chance(0.35) and filtration_rate(chart, visit.day) > 35:
            chart.prescribe(visit, "spironolactone", "heart_failure", quiet=not new)
        self._echo(visit)
        self._peptide(visit)

    def _echo(self, visit: Visit) -> None:
        chart = self.chart
        chart.perform(visit, "echocardiogram", "heart_failure")
        value = chart.body["ejection"] + chart.random.gauss(0, 2)
        chart.observe(visit, "ejection_fraction", decimal(min(65, max(15, value)), 0))

    def _peptide(self, visit: Visit) -> None:
        level = self.chart.random.lognormvariate(6.9, 0.5) * (45 / self.chart.body["ejection"])
        self.chart.observe(visit, "nt_probnp", decimal(max(180, min(level, 20000)), 0))

    def follow(self, visit: Visit) -> None:
        if self.due(visit, "echocardiogram", 540) and self.chance(0.6):
            self._echo(visit)
        if self.due(visit, "nt_probnp", 170):
            self._peptide(visit)
        visit.reassured += ["orthopnea", "paroxysmal nocturnal dyspnea"]
        if self.due(visit, "metabolic", 170):
            visit.ordered.add("metabolic")


class AtrialFibrillation(Chronic):
    """Apixaban, or warfarin with its INR."""

    key = "atrial_fibrillation"
    interval = 150

    def begin(self, visit: Visit, new: bool) -> None:
        chart = self.chart
        drug = "apixaban" if self.chance(0.68) else "warfarin"
        if "aspirin" in chart.orders:
            chart.stop(
                visit, "aspirin", "bleeding risk with anticoagulation", "interaction", quiet=not new
            )
        for nsaid in ("ibuprofen", "meloxicam"):
            if nsaid in chart.orders:
                chart.stop(
                    visit, nsaid, "bleeding risk with anticoagulation", "interaction", quiet=not new
                )
        step = 1 + int(chart.random.random() * 3) if drug == "warfarin" else 0
        chart.prescribe(visit, drug, "atrial_fibrillation", step=step, quiet=not new)
        if not {"metoprolol", "carvedilol"} & chart.orders.keys():
            chart.prescribe(visit, "metoprolol", "atrial_fibrillation", quiet=not new)
        chart.perform(visit, "ecg", "atrial_fibrillation")
        if drug == "warfarin" and not new:
            self._inr(visit)

    def _inr(self, visit: Visit) -> None:
        value = min(4.8, max(1.3, self.chart.random.gauss(2.45, 0.45)))
        self.chart.observe(visit, "inr", decimal(value, 1))

    def follow(self, visit: Visit) -> None:
        if "warfarin" in self.chart.orders:
            self._inr(visit)
            self.interval = 75
        visit.reassured.append("palpitations")


class KidneyDisease(Chronic):
    """Stage 3, and stage 4 once filtration falls below 30."""

    key = "ckd3"
    interval = 170

    def begin(self, visit: Visit, new: bool) -> None:
        visit.ordered |= {"metabolic", "blood_count"}
        for nsaid in ("ibuprofen", "meloxicam"):
            if nsaid in self.chart.orders:
                self.chart.stop(visit, nsaid, "reduced kidney function", quiet=not new)
        visit.plan.append("avoid NSAIDs")
        self._stage(visit)

    def _stage(self, visit: Visit) -> None:
        chart = self.chart
        if "ckd4" not in chart.problems and filtration_rate(chart, visit.day) < 29:
            chart.resolve("ckd3", visit.day)
            chart.diagnose(visit, "ckd4")

    def follow(self, visit: Visit) -> None:
        visit.ordered.add("metabolic")
        if self.due(visit, "blood_count", 330):
            visit.ordered.add("blood_count")
        self._stage(visit)
