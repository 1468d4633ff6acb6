"""Iterators over a population."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from service.synth.concepts import Json
from service.synth.facility import shared_resources
from service.synth.record import DEFAULT_AS_OF, PatientRecord, generate_patient


def generate_population(
    count: int, seed: int, *, start: int = 0, as_of: date = DEFAULT_AS_OF
) -> Iterator[PatientRecord]:
    """Patients `start`, `start + 1`, … of the population; disjoint ranges can be made apart."""
    for index in range(start, start + count):
        yield generate_patient(index, seed, as_of=as_of)


def generate_resources(
    count: int, seed: int, *, start: int = 0, as_of: date = DEFAULT_AS_OF
) -> Iterator[Json]:
    """Every resource of the population, shared ones first, so that references point backwards."""
    yield from shared_resources(seed)
    for record in generate_population(count, seed, start=start, as_of=as_of):
        yield from record.resources
