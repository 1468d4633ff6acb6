"""SQL, cohorts and timelines over a real lake: hot, flushed, and as of the past."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from schemas.outcomes import FhirError
from storage.lake import Delete, Lake, Put

Make = Callable[..., dict[str, Any]]

COUNT = "SELECT patient_id, count(*) AS n FROM observation GROUP BY 1 ORDER BY 1"


def counts(lake: Lake, **options: Any) -> dict[str, int]:
    return {row["patient_id"]: row["n"] for row in lake.sql(COUNT, **options).to_dicts()}


def test_sql_reads_its_writes_and_the_past(lake: Lake, patient: Make, observation: Make) -> None:
    lake.transact([Put(patient("p1")), Put(patient("p2"))])
    lake.transact([Put(observation(f"o{n}", patient=f"p{1 + n % 2}")) for n in range(5)])
    assert counts(lake) == {"p1": 3, "p2": 2}
    lake.flush()
    assert counts(lake) == {"p1": 3, "p2": 2}
    lake.transact([Put(observation("o0", patient="p2")), Delete("Observation", "o2")])
    assert counts(lake) == {"p1": 1, "p2": 3}
    assert counts(lake, at=2) == {"p1": 3, "p2": 2}
    lake.flush()
    assert counts(lake) == {"p1": 1, "p2": 3}
    assert counts(lake, at=2) == {"p1": 3, "p2": 2}
    assert counts(lake, at=1) == {}


def test_a_timeline_follows_the_patient(lake: Lake, patient: Make, observation: Make) -> None:
    lake.transact([Put(patient("p1")), Put(observation("o1")), Put(observation("o2"))])
    lake.flush()
    lake.transact([Delete("Observation", "o2")])
    events = lake.timeline("p1", types=["Observation"])
    assert len(events) == 1
    assert len(lake.timeline("p1", at=1, types=["Observation"])) == 2
    with pytest.raises(FhirError) as failure:
        lake.timeline("other")
    assert failure.value.category == "not-found"


def test_answers_are_the_same_after_reindex_and_reopening(
    lake: Lake, patient: Make, observation: Make
) -> None:
    lake.transact([Put(patient("p1")), Put(observation("o1")), Put(observation("o2"))])
    before = counts(lake)
    lake.reindex()
    assert counts(lake) == before == {"p1": 2}
