"""What is measured: LOINC codes, UCUM units, digits and reference ranges, alone and in panels."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from schemas.codes import LOINC
from service.synth.concepts import Json, coding, concept, quantity
from service.synth.tables import rows

_CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
_INTERPRETATION = "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation"


def category(code: str, display: str) -> list[Json]:
    """`Observation.category` with one code of the HL7 list."""
    return [concept(display, coding(_CATEGORY, code, display))]


VITAL_SIGNS = category("vital-signs", "Vital Signs")
LABORATORY = category("laboratory", "Laboratory")
SURVEY = category("survey", "Survey")
SOCIAL_HISTORY = category("social-history", "Social History")
EXAM = category("exam", "Exam")

_FLAGS = {
    code: [concept(display, coding(_INTERPRETATION, code, display))]
    for code, display in (("N", "Normal"), ("H", "High"), ("L", "Low"))
}


class Measurement(NamedTuple):
    """One kind of numeric observation. `low` and `high` bound the reference range, inclusive."""

    key: str
    code: Json
    category: list[Json]
    unit: str
    ucum: str
    digits: int
    low: Decimal | None
    high: Decimal | None
    reference_range: list[Json] | None
    says: str
    loinc: str

    def interpretation(self, value: Decimal) -> list[Json] | None:
        """The HL7 flag of a value: N, H, L, or none where there is no reference range."""
        if self.low is not None and value < self.low:
            return _FLAGS["L"]
        if self.high is not None and value > self.high:
            return _FLAGS["H"]
        return _FLAGS["N"] if self.reference_range else None


_KINDS = {
    "vital-signs": VITAL_SIGNS,
    "laboratory": LABORATORY,
    "survey": SURVEY,
    "exam": EXAM,
}


def _read(row: dict[str, str]) -> Measurement:
    unit, ucum = row["unit"], row["ucum"]
    bounds = {side: Decimal(row[side]) for side in ("low", "high") if row[side]}
    reference = {side: quantity(value, unit, ucum) for side, value in bounds.items()}
    return Measurement(
        key=row["key"],
        code=concept(row["label"], coding(LOINC, row["loinc"], row["label"])),
        category=_KINDS[row["kind"]],
        unit=unit,
        ucum=ucum,
        digits=int(row["digits"]),
        low=bounds.get("low"),
        high=bounds.get("high"),
        reference_range=[reference] if reference else None,
        says=row["says"],
        loinc=row["loinc"],
    )


MEASUREMENTS: dict[str, Measurement] = {row["key"]: _read(row) for row in rows("measurements")}

BLOOD_PRESSURE = concept(
    "Blood pressure", coding(LOINC, "85354-9", "Blood pressure panel with all children optional")
)
SMOKING_STATUS = concept(
    "Tobacco smoking status", coding(LOINC, "72166-2", "Tobacco smoking status")
)


class Panel(NamedTuple):
    """Measurements reported together in one DiagnosticReport."""

    key: str
    code: Json
    members: tuple[str, ...]


def _panel(key: str, loinc: str, name: str, *members: str) -> tuple[str, Panel]:
    return key, Panel(key, concept(name, coding(LOINC, loinc, name)), members)


PANELS = dict(
    (
        _panel(
            "metabolic",
            "24321-2",
            "Basic metabolic 2000 panel - Serum or Plasma",
            "glucose",
            "urea",
            "creatinine",
            "sodium",
            "potassium",
            "chloride",
            "bicarbonate",
            "calcium",
        ),
        _panel(
            "lipids",
            "24331-1",
            "Lipid 1996 panel - Serum or Plasma",
            "cholesterol",
            "triglycerides",
            "hdl",
            "ldl",
        ),
        _panel(
            "blood_count",
            "58410-2",
            "CBC panel - Blood by Automated count",
            "leukocytes",
            "hemoglobin",
            "hematocrit",
            "mcv",
            "platelets",
        ),
    )
)

REPORT_LABORATORY = [
    concept(
        "Laboratory", coding("http://terminology.hl7.org/CodeSystem/v2-0074", "LAB", "Laboratory")
    )
]


def blood_pressure_component(key: str, value: Decimal) -> Json:
    """A component of the blood pressure panel."""
    m = MEASUREMENTS[key]
    return {"code": m.code, "valueQuantity": quantity(value, m.unit, m.ucum)}
