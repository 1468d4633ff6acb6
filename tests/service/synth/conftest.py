"""One population for all tests of this folder: 500 patients, made once."""

from __future__ import annotations

import pytest

from service.synth import PatientRecord, generate_population

SEED = 20


@pytest.fixture(scope="session")
def population() -> list[PatientRecord]:
    return list(generate_population(500, SEED))
