"""A lake of one's own, and small resources to put in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from storage.lake import Lake

LOINC = "http://loinc.org"


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[Lake]:
    """A new, empty lake."""
    with Lake.open(tmp_path / "lake") as opened:
        yield opened


@pytest.fixture
def patient() -> Callable[..., dict[str, Any]]:
    """Makes Patients."""

    def make(id: str = "p1", **more: Any) -> dict[str, Any]:
        return {"resourceType": "Patient", "id": id, "gender": "female", **more}

    return make


@pytest.fixture
def observation() -> Callable[..., dict[str, Any]]:
    """Makes Observations of a patient with one LOINC code."""

    def make(
        id: str = "o1", code: str = "4548-4", patient: str = "p1", **more: Any
    ) -> dict[str, Any]:
        return {
            "resourceType": "Observation",
            "id": id,
            "status": "final",
            "code": {"coding": [{"system": LOINC, "code": code, "display": "Hemoglobin A1c"}]},
            "subject": {"reference": f"Patient/{patient}"},
            "effectiveDateTime": "2024-03-05",
            **more,
        }

    return make


@pytest.fixture
def found() -> Callable[..., list[str]]:
    """The ids that a search finds, in its order."""

    def ids(lake: Lake, resource_type: str, *params: tuple[str, str], **more: Any) -> list[str]:
        page = lake.search(resource_type, params, **more)
        assert page.total in (None, len(page.versions)) or page.next
        return [version.id for version in page.versions]

    return ids
