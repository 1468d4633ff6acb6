"""CodeableConcepts and quantities as constants that many resources share.

Building a concept once and pointing to it from a million resources is what makes generation fast;
it is why the resources of a `PatientRecord` are to be read, not changed in place.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from schemas.codes import ICD10CM, SNOMED, UCUM

Json = dict[str, Any]


def coding(system: str, code: str, display: str | None = None) -> Json:
    """A FHIR Coding."""
    made = {"system": system, "code": code}
    if display:
        made["display"] = display
    return made


def concept(text: str | None, *codings: Json) -> Json:
    """A FHIR CodeableConcept."""
    made: Json = {"coding": list(codings)}
    if text:
        made["text"] = text
    return made


def snomed(code: str, display: str) -> Json:
    """A concept with one SNOMED CT coding."""
    return concept(display, coding(SNOMED, code, display))


def diagnosis(code: str, display: str, icd10: str, icd10_display: str) -> Json:
    """A concept coded in SNOMED CT and ICD-10-CM."""
    return concept(display, coding(SNOMED, code, display), coding(ICD10CM, icd10, icd10_display))


class _Tenths(dict[int, Decimal]):
    def __missing__(self, units: int) -> Decimal:
        value = self[units] = Decimal(units).scaleb(-1)
        return value


class _Hundredths(dict[int, Decimal]):
    def __missing__(self, units: int) -> Decimal:
        value = self[units] = Decimal(units).scaleb(-2)
        return value


class _Whole(dict[int, Decimal]):
    def __missing__(self, units: int) -> Decimal:
        value = self[units] = Decimal(units)
        return value


_DIGITS = {0: (1, _Whole()), 1: (10, _Tenths()), 2: (100, _Hundredths())}


def decimal(value: float, digits: int) -> Decimal:
    """`value` rounded to 0, 1 or 2 decimal digits, trailing zeros kept."""
    scale, table = _DIGITS[digits]
    return table[round(value * scale)]


def quantity(value: Decimal, unit: str, ucum: str) -> Json:
    """A FHIR Quantity in UCUM."""
    return {"value": value, "unit": unit, "system": UCUM, "code": ucum}
