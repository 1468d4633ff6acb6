"""Code systems and the releases that the shipped codes were taken from or checked against."""

from schemas.codes import ICD10CM, LOINC, RXNORM, SNOMED, UCUM

__all__ = ["ICD10CM", "LOINC", "RXNORM", "SNOMED", "UCUM"]

# Where no release file was read, the release says so: the codes were written one by one.
SNOMED_CURATED = "chartlake-curated-1"
SNOMED_DOID_MONDO = "SNOMED CT US 2023-03-01 by DOID and MONDO cross-references"
LOINC_CURATED = "chartlake-curated-1"
RXNORM_CHECKED = "RxNorm Current Prescribable Content 2025-10-06"
ICD10CM_RELEASE = "ICD-10-CM 2026-04-01"
