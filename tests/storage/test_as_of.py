"""Time travel: the same answer for ever; moments, and those that are refused."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.outcomes import FhirError
from storage.lake import Delete, Lake, LakeAt, Put

Make = Callable[..., dict[str, Any]]

COHORT = {"name": "diabetes", "include": [{"condition": {"codes": ["snomed|44054006"]}}]}
COUNTS = "SELECT gender, count(*) FROM patient GROUP BY ALL ORDER BY ALL"


def patient(id: str, gender: str) -> dict[str, Any]:
    return {"resourceType": "Patient", "id": id, "gender": gender, "birthDate": "1960-01-01"}


def condition(id: str, of: str) -> dict[str, Any]:
    return {
        "resourceType": "Condition",
        "id": id,
        "subject": {"reference": f"Patient/{of}"},
        "code": {"coding": [{"system": "http://snomed.info/sct", "code": "44054006"}]},
        "onsetDateTime": "2020-05-01",
    }


def told(view: LakeAt) -> dict[str, Any]:
    """Every kind of answer of one state."""
    said: dict[str, Any] = {}
    for id in "abc":
        for name, ask in (
            ("read", lambda id=id: view.read("Patient", id).body),
            ("vread", lambda id=id: view.vread("Patient", id, 2).body),
            ("history", lambda id=id: view.history("Patient", id).versions),
            ("timeline", lambda id=id: [e.to_dict() for e in view.timeline(id)]),
        ):
            try:
                said[name + id] = ask()
            except FhirError as failure:
                said[name + id] = failure.category
    said["search"] = view.search("Patient", [("gender", "female"), ("_sort", "-_id")]).versions
    said["all"] = view.history().versions
    said["changes"] = view.changes(0)
    said["sql"] = view.sql(COUNTS).rows()
    cohort = view.cohort(COHORT)
    said["cohort"] = (cohort.count, sorted(m["patient_id"] for m in cohort.members))
    said["instant"] = view.instant
    return said


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["female", "male", "delete", "condition", "flush", "reopen"]),
        st.sampled_from("abc"),
    ),
    min_size=4,
    max_size=10,
)


@settings(max_examples=5)
@given(STEPS)
def test_an_answer_as_of_a_commit_never_changes(steps: list[tuple[str, str]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        lake = Lake.open(Path(folder) / "lake")
        remembered = {0: told(lake.at(0))}
        try:
            for what, id in steps:
                if what == "flush":
                    lake.flush()
                elif what == "reopen":
                    lake.close()
                    lake = Lake.open(Path(folder) / "lake")
                elif what == "condition":
                    lake.transact([Put(condition(f"c{id}", id))])
                elif what != "delete":
                    lake.transact([Put(patient(id, what))])
                elif lake.search("Patient", [("_id", id)]).total:
                    lake.transact([Delete("Patient", id)])
                if lake.t not in remembered:
                    remembered[lake.t] = told(lake.at(lake.t))
            with Lake.open(Path(folder) / "lake", read_only=True) as reader:
                for t, before in remembered.items():
                    assert told(lake.at(t)) == before, t
                    assert told(reader.at(t)) == before, t
        finally:
            lake.close()


def test_a_moment_is_the_last_commit_at_or_before_it(
    lake: Lake, patient: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_us = 1_700_000_000_000_000
    monkeypatch.setattr(time, "time_ns", lambda: now_us * 1000)
    for pause in (0, 2_000, 0, 5_000_000):
        now_us += pause
        lake.transact([Put(patient())])
    begin = datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)

    def t(ms: float) -> int:
        return lake.at(begin + timedelta(milliseconds=ms)).t

    assert [t(-0.001), t(0), t(1.999), t(2), t(4_000), t(5_001.999)] == [0, 1, 1, 3, 3, 3]
    assert lake.at(begin - timedelta(days=9)).history().total == 0
    elsewhere = (begin + timedelta(milliseconds=2)).astimezone(None)
    assert lake.read("Patient", "p1", at=elsewhere).version_id == 3
    # The last commit's own millisecond: whatever comes now comes after it.
    assert t(5_002) == 4
    lake.transact([Put(patient())])
    assert t(5_002) == 4
    assert lake.at().t == 5


@pytest.mark.parametrize(
    "at",
    [
        7,
        -1,
        True,
        "3",
        datetime(2020, 1, 1),
        datetime(2999, 1, 1, tzinfo=UTC),
    ],
    ids=str,
)
def test_states_that_are_none_are_refused(lake: Lake, patient: Make, at: Any) -> None:
    lake.transact([Put(patient())])
    with pytest.raises(FhirError) as refused:
        lake.at(at)
    assert refused.value.category == "value"
    assert refused.value.issues[0].expression == ("at",)


def test_a_clock_set_back_does_not_change_what_was_told(
    lake: Lake, patient: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake.transact([Put(patient())])
    time.sleep(0.005)
    moment = datetime.now(UTC)
    assert lake.at(moment).t == 1
    monkeypatch.setattr(time, "time_ns", lambda: 1_000_000_000)
    lake.transact([Put(patient())])
    monkeypatch.undo()
    time.sleep(0.005)
    assert lake.at(moment).t == 1
