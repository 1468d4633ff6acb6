"""Observation and DiagnosticReport resources. R4 observation.html, vitalsigns.html."""

from __future__ import annotations

from decimal import Decimal

from service.synth import measurements
from service.synth.concepts import Json, quantity, snomed
from service.synth.measurements import Measurement, Panel
from service.synth.visit import Visit

SMOKING_CODES = {
    "never": snomed("266919005", "Never smoker"),
    "former": snomed("8517006", "Former smoker"),
    "current": snomed("449868002", "Current every day smoker"),
}


def _observation(id: str, category: list[Json], code: Json, subject: Json, visit: Visit) -> Json:
    return {
        "resourceType": "Observation",
        "id": id,
        "status": "final",
        "category": category,
        "code": code,
        "subject": subject,
        "encounter": visit.context,
        "effectiveDateTime": visit.start,
        "issued": visit.end,
    }


def numeric_observation(
    id: str, m: Measurement, value: Decimal, subject: Json, visit: Visit
) -> Json:
    """One measured number, flagged against its reference range."""
    made = _observation(id, m.category, m.code, subject, visit)
    made["valueQuantity"] = quantity(value, m.unit, m.ucum)
    flag = m.interpretation(value)
    if flag is not None:
        made["interpretation"] = flag
        made["referenceRange"] = m.reference_range
    return made


def blood_pressure(
    id: str, systolic: Decimal, diastolic: Decimal, subject: Json, visit: Visit
) -> Json:
    """A blood pressure: one Observation with two components."""
    made = _observation(id, measurements.VITAL_SIGNS, measurements.BLOOD_PRESSURE, subject, visit)
    made["component"] = [
        measurements.blood_pressure_component("systolic", systolic),
        measurements.blood_pressure_component("diastolic", diastolic),
    ]
    return made


def smoking_status(id: str, habit: str, subject: Json, visit: Visit) -> Json:
    """Tobacco smoking status: never, former or current."""
    made = _observation(
        id, measurements.SOCIAL_HISTORY, measurements.SMOKING_STATUS, subject, visit
    )
    made["valueCodeableConcept"] = SMOKING_CODES[habit]
    return made


def laboratory_report(
    id: str, panel: Panel, observation_ids: list[str], subject: Json, visit: Visit
) -> Json:
    """The DiagnosticReport that holds the Observations of a panel."""
    return {
        "resourceType": "DiagnosticReport",
        "id": id,
        "status": "final",
        "category": measurements.REPORT_LABORATORY,
        "code": panel.code,
        "subject": subject,
        "encounter": visit.context,
        "effectiveDateTime": visit.start,
        "issued": visit.end,
        "performer": [visit.encounter["serviceProvider"]],
        "result": [{"reference": f"Observation/{found}"} for found in observation_ids],
    }
