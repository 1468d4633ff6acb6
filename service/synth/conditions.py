"""The diagnoses a synthetic patient can have: SNOMED CT and ICD-10-CM codes, and their wordings."""

from __future__ import annotations

from typing import NamedTuple

from service.synth.concepts import Json, diagnosis
from service.synth.tables import listed, rows


class Diagnosis(NamedTuple):
    """One diagnosis: `concept` for resources, `says` for notes (the first is the formal name)."""

    key: str
    snomed: str
    icd10: str
    concept: Json
    says: tuple[str, ...]


def _read(row: dict[str, str]) -> Diagnosis:
    label = row["label"]
    says = listed(row["says"]) or (label[0].lower() + label[1:],)
    concept = diagnosis(row["snomed"], label, row["icd10cm"], row["icd10cm_label"])
    return Diagnosis(row["key"], row["snomed"], row["icd10cm"], concept, says)


DIAGNOSES: dict[str, Diagnosis] = {row["key"]: _read(row) for row in rows("diagnoses")}
