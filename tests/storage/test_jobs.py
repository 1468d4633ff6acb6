"""Jobs are durable, and end once."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from schemas.outcomes import FhirError
from storage.jobs import (
    ACCEPTED,
    CANCELLED,
    COMPLETED,
    IRREVOCABLE,
    RUNNING,
    JobCancelled,
    Jobs,
)
from storage.lake import Lake


@pytest.fixture
def jobs(lake: Lake) -> Jobs:
    return lake.jobs


def test_a_job_is_there_after_a_restart(tmp_path: Path) -> None:
    with Lake.open(tmp_path / "lake") as lake:
        job = lake.jobs.add("export", {"types": ["Patient"]})
        lake.jobs.update(job.id, state=RUNNING, progress={"done": 3})
    with Lake.open(tmp_path / "lake") as lake:
        again = lake.jobs.get(job.id)
        assert (again.state, again.request, again.progress) == (
            RUNNING,
            {"types": ["Patient"]},
            {"done": 3},
        )
        assert uuid.UUID(again.id)
        assert again.created == job.created
        assert again.updated >= again.created


def test_the_oldest_unfinished_come_first_and_only_of_the_kinds_asked_for(jobs: Jobs) -> None:
    first, other, second = jobs.add("a", {}), jobs.add("b", {}), jobs.add("a", {})
    done = jobs.add("a", {})
    jobs.update(done.id, state=COMPLETED, result={"n": 1})
    jobs.update(second.id, state=RUNNING)
    assert [job.id for job in jobs.unfinished(["a"])] == [first.id, second.id]
    assert [job.id for job in jobs.unfinished({"b": 1})] == [other.id]
    assert jobs.unfinished([]) == []


def test_an_unknown_job_is_not_found(jobs: Jobs) -> None:
    for act in (jobs.get, jobs.cancel):
        with pytest.raises(FhirError) as failure:
            act("no-such-job")
        assert failure.value.category == "not-found"


def test_a_cancelled_job_stops_who_works_on_it(jobs: Jobs) -> None:
    job = jobs.add("a", {})
    assert jobs.cancel(job.id).state == CANCELLED
    assert jobs.cancel(job.id).state == CANCELLED
    with pytest.raises(JobCancelled):
        jobs.update(job.id, progress={"done": 1})
    assert jobs.get(job.id).progress == {}


def test_what_is_done_or_cannot_be_undone_is_not_cancelled(jobs: Jobs) -> None:
    done, past = jobs.add("a", {}), jobs.add("a", {})
    jobs.update(done.id, state=COMPLETED, result={})
    jobs.update(past.id, state=RUNNING, progress={IRREVOCABLE: True})
    for job, words in ((done, "nothing is left to cancel"), (past, "past the point")):
        with pytest.raises(FhirError, match=words) as failure:
            jobs.cancel(job.id)
        assert failure.value.category == "conflict"
    assert jobs.get(past.id).state == RUNNING


def test_a_finished_job_does_not_change(jobs: Jobs) -> None:
    job = jobs.add("a", {})
    assert (job.state, job.is_finished) == (ACCEPTED, False)
    jobs.update(job.id, state=COMPLETED, result={"n": 1})
    with pytest.raises(ValueError, match="completed"):
        jobs.update(job.id, progress={})
    assert jobs.get(job.id).result == {"n": 1}
