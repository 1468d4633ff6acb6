"""A patient follows from (index, seed) alone, and always to the same bytes."""

from __future__ import annotations

import subprocess
import sys
from datetime import date

import pytest

from schemas.ids import is_id
from schemas.parse import canonical_bytes
from service.synth import generate_patient, generate_population, shared_resources

_DIGEST = """
import hashlib
from schemas.parse import canonical_bytes
from service.synth import generate_resources
digest = hashlib.sha256()
for resource in generate_resources(12, 5):
    digest.update(canonical_bytes(resource))
print(digest.hexdigest())
"""


def _bytes(index: int, seed: int) -> bytes:
    return b"".join(canonical_bytes(r) for r in generate_patient(index, seed).resources)


def test_same_arguments_give_the_same_bytes_in_another_process_too() -> None:
    digests = {
        subprocess.run(
            [sys.executable, "-c", _DIGEST],
            env={"PYTHONHASHSEED": hash_seed, "PATH": ""},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("1", "2")
    }
    assert len(digests) == 1


def test_a_patient_does_not_depend_on_the_others() -> None:
    together = [r.resources for r in generate_population(4, 9, start=3)]
    assert [generate_patient(index, 9).resources for index in range(3, 7)] == together


def test_another_seed_or_index_gives_another_patient() -> None:
    assert len({_bytes(0, 1), _bytes(1, 1), _bytes(0, 2), _bytes(1, 2)}) == 4


def test_ids_are_unique_within_and_between_populations(population: list) -> None:
    ids = [resource["id"] for record in population for resource in record.resources]
    ids += [resource["id"] for seed in (20, 21) for resource in shared_resources(seed)]
    ids += [r["id"] for record in generate_population(20, 21) for r in record.resources]
    assert len(ids) == len(set(ids))
    assert all(is_id(id) for id in ids)


def test_medical_record_numbers_are_unique(population: list) -> None:
    numbers = {record.patient["identifier"][0]["value"] for record in population}
    assert len(numbers) == len(population)


def test_patient_comes_first_and_is_marked_as_test_data(population: list) -> None:
    for record in population:
        assert record.patient["resourceType"] == "Patient"
        assert record.patient["id"] == record.id
        assert record.patient["meta"]["security"][0]["code"] == "HTEST"


def test_as_of_bounds_every_birth() -> None:
    for record in generate_population(30, 2, as_of=date(2010, 1, 1)):
        assert record.patient["birthDate"] < "2010-01-01"


def test_a_negative_index_is_refused() -> None:
    with pytest.raises(ValueError, match="counts from 0"):
        generate_patient(-1, 1)


def test_size_of_a_record_and_of_its_notes(population: list) -> None:
    resources = sum(len(record.resources) for record in population) / len(population)
    notes = sum(len(record.note_facts) for record in population) / len(population)
    assert 40 <= resources <= 120
    assert 2 <= notes <= 4
