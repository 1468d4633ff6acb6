"""A deterministic synthetic population as FHIR R4: for demonstrations, tests and benchmarks.

    generate_patient(index, seed)        one patient, alone: the same arguments, the same bytes
    generate_population(count, seed)     an iterator of patients
    shared_resources(seed)               Organizations, Locations, Practitioners they refer to
    write_ndjson(out_dir, patients, seed)  one NDJSON file per type, in bounded memory
    transaction_bundle(record)           a transaction Bundle with `urn:uuid` references

No real person's data went into it: names, addresses and courses of disease are invented, and every
Patient is labelled HTEST. It is plausible to a clinician; it is not an epidemiological model.
Resources share parts with each other: read them, encode them, but do not change them in place.
"""

from __future__ import annotations

from service.synth.bundle import transaction_bundle
from service.synth.facility import shared_resources
from service.synth.ndjson import write_ndjson
from service.synth.notes.document import NoteFacts
from service.synth.notes.draft import NoteFact
from service.synth.population import generate_population, generate_resources
from service.synth.record import DEFAULT_AS_OF, PatientRecord, generate_patient

__all__ = [
    "DEFAULT_AS_OF",
    "NoteFact",
    "NoteFacts",
    "PatientRecord",
    "generate_patient",
    "generate_population",
    "generate_resources",
    "shared_resources",
    "transaction_bundle",
    "write_ndjson",
]
