"""One annotator for the whole folder: it takes seconds to build."""

import os
from pathlib import Path

import pytest

from nlp import Annotator, NoteSource


@pytest.fixture(scope="session")
def annotator() -> Annotator:
    loaded = Annotator.load()
    # What is made when first asked for is no part of what tests measure.
    loaded.annotate("Aspirin 81 mg daily for glorpitis and chest pain. No known drug allergies.")
    return loaded


@pytest.fixture
def source() -> NoteSource:
    return NoteSource(
        reference="DocumentReference/note-1",
        version_id="3",
        patient="Patient/p1",
        encounter="Encounter/e1",
        date="2024-03-05T10:00:00Z",
        author="Practitioner/d1",
    )


@pytest.fixture(scope="session")
def shared_data() -> Path:
    value = os.environ.get("CHARTLAKE_DATA")
    if not value or not Path(value).is_dir():
        pytest.skip("needs the corpora: set CHARTLAKE_DATA")
    return Path(value)
