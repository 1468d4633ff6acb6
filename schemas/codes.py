"""Code-system addresses, Chartlake's own extensions and tags, and reading CodeableConcepts."""

from __future__ import annotations

from typing import Any

# https://hl7.org/fhir/R4/terminologies-systems.html
SNOMED = "http://snomed.info/sct"
LOINC = "http://loinc.org"
RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
ICD10CM = "http://hl7.org/fhir/sid/icd-10-cm"
ICD9CM = "http://hl7.org/fhir/sid/icd-9-cm"
UCUM = "http://unitsofmeasure.org"
CVX = "http://hl7.org/fhir/sid/cvx"
NDC = "http://hl7.org/fhir/sid/ndc"
CPT = "http://www.ama-assn.org/go/cpt"

CONDITION_CLINICAL = "http://terminology.hl7.org/CodeSystem/condition-clinical"
CONDITION_VERIFICATION = "http://terminology.hl7.org/CodeSystem/condition-ver-status"
CONDITION_CATEGORY = "http://terminology.hl7.org/CodeSystem/condition-category"
OBSERVATION_CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
ALLERGY_CLINICAL = "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical"
ALLERGY_VERIFICATION = "http://terminology.hl7.org/CodeSystem/allergyintolerance-verification"
PROVENANCE_PARTICIPANT = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"
OBSERVATION_INTERPRETATION = "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation"
DATA_ABSENT_REASON = "http://terminology.hl7.org/CodeSystem/data-absent-reason"

US_CORE_RACE = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-race"
US_CORE_ETHNICITY = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-ethnicity"

EXTENSION_BASE = "https://chartlake.org/fhir/StructureDefinition/"
ORIGIN_SYSTEM = "https://chartlake.org/fhir/CodeSystem/origin"
VALIDATION_SYSTEM = "https://chartlake.org/fhir/CodeSystem/validation"

# Where in which note a derived resource was read. Sub-extensions: begin, end (valueInteger, code
# points), text (valueString, the quoted words), score, conceptScore (valueDecimal, 0 to 1),
# category (valueCode), trait (valueCode, repeats), section (valueString), source (valueReference
# to DocumentReference/id/_history/version).
NLP_MENTION = EXTENSION_BASE + "nlp-mention"

NLP_DERIVED_TAG: dict[str, str] = {
    "system": ORIGIN_SYSTEM,
    "code": "nlp-derived",
    "display": "Read in a clinical note by natural language processing",
}


def codings(concept: object) -> list[dict[str, Any]]:
    """The codings of a CodeableConcept (or a Coding itself), in order; none for anything else."""
    if not isinstance(concept, dict):
        return []
    found = concept.get("coding")
    if isinstance(found, list):
        return [coding for coding in found if isinstance(coding, dict)]
    return [concept] if isinstance(concept.get("code"), str) else []


def concept_text(concept: object) -> str | None:
    """The words of a CodeableConcept: its text, else its first display, else None."""
    if not isinstance(concept, dict):
        return None
    text = concept.get("text")
    if isinstance(text, str) and text:
        return text
    for coding in codings(concept):
        display = coding.get("display")
        if isinstance(display, str) and display:
            return display
    return None


def is_nlp_derived(resource: dict[str, Any]) -> bool:
    """Whether the resource carries the tag of what the NLP found."""
    meta = resource.get("meta")
    tags = meta.get("tag") if isinstance(meta, dict) else None
    return isinstance(tags, list) and any(
        isinstance(tag, dict)
        and tag.get("system") == ORIGIN_SYSTEM
        and tag.get("code") == NLP_DERIVED_TAG["code"]
        for tag in tags
    )
