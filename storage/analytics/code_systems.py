"""The code systems a cohort definition may name: by alias or by URL, with their other spellings."""

from __future__ import annotations

import difflib

from schemas.codes import CVX, ICD10CM, LOINC, RXNORM, SNOMED
from storage.analytics.definition_fields import problem

ALIASES = {
    "snomed": SNOMED,
    "loinc": LOINC,
    "rxnorm": RXNORM,
    "icd10cm": ICD10CM,
    "cvx": CVX,
    "icd9cm": "http://hl7.org/fhir/sid/icd-9-cm",
    "ndc": "http://hl7.org/fhir/sid/ndc",
    "cpt": "http://www.ama-assn.org/go/cpt",
    "atc": "http://www.whocc.no/atc",
}

# Records use the OID as often as the URL: https://terminology.hl7.org/external_code_systems.html
_OIDS = {
    SNOMED: "urn:oid:2.16.840.1.113883.6.96",
    LOINC: "urn:oid:2.16.840.1.113883.6.1",
    RXNORM: "urn:oid:2.16.840.1.113883.6.88",
    ICD10CM: "urn:oid:2.16.840.1.113883.6.90",
    CVX: "urn:oid:2.16.840.1.113883.12.292",
}


def system_url(text: str, path: str) -> str:
    """The URL of a system given by alias, URL or OID.

    Raises FhirError `invalid` for a word that is neither, with the nearest alias.
    """
    alias = text.lower().replace("-", "").replace("_", "")
    if alias in ALIASES:
        return ALIASES[alias]
    for url, oid in _OIDS.items():
        if text == oid:
            return url
    if "://" in text or text.startswith("urn:"):
        return text
    near = difflib.get_close_matches(alias, ALIASES, n=1)
    hint = f" (did you mean {near[0]}?)" if near else ""
    raise problem(path, f"must be a URL or one of {', '.join(ALIASES)}{hint}")


def spellings(system: str) -> tuple[str, ...]:
    """Every URL under which records name this system."""
    return (system, _OIDS[system]) if system in _OIDS else (system,)


def code_spellings(system: str, code: str) -> tuple[str, ...]:
    """Every way records write this code: ICD-10-CM codes also without their dot (`E1165`)."""
    if system == ICD10CM and "." in code:
        return (code, code.replace(".", ""))
    return (code,)


def has_prefix_hierarchy(system: str) -> bool:
    """Whether a code's descendants are exactly the codes that begin with it."""
    return bool(system == ICD10CM)
