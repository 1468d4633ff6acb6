"""The job runner: jobs end, are put off, fail in their own words, and go on after a restart."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from schemas.outcomes import error
from service.jobs import Handler, Interrupted, JobRunner, Postponed, Stopping
from storage.jobs import CANCELLED, COMPLETED, FAILED, RUNNING, Job, JobCancelled
from storage.lake import Lake

Run = Callable[[Job, Stopping], dict[str, Any]]


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[Lake]:
    with Lake.open(tmp_path / "lake") as opened:
        yield opened


def runner_of(lake: Lake, run: Run, ended: list[Job] | None = None) -> JobRunner:
    finished = (lambda _job: None) if ended is None else ended.append
    runner = JobRunner(lake.jobs, {"x": Handler(run, lambda job: {"result": job.result}, finished)})
    runner.start()
    return runner


def until(lake: Lake, id: str, state: str) -> Job:
    deadline = time.monotonic() + 20
    while (job := lake.jobs.get(id)).state != state:
        assert time.monotonic() < deadline, job
        time.sleep(0.01)
    return job


def submit(lake: Lake, runner: JobRunner) -> Job:
    job = lake.jobs.add("x", {})
    runner.queue(job)
    return job


def test_a_job_is_completed_with_its_result(lake: Lake) -> None:
    ended: list[Job] = []
    runner = runner_of(lake, lambda job, _stopping: {"id": job.id}, ended)
    jobs = [submit(lake, runner) for _ in range(3)]
    for job in jobs:
        done = until(lake, job.id, COMPLETED)
        assert done.result == {"id": job.id}
        assert runner.body(done) == {"result": {"id": job.id}}
    runner.stop()
    assert [job.id for job in ended] == [job.id for job in jobs]


def test_a_postponed_job_is_tried_again_and_holds_up_no_other(lake: Lake) -> None:
    tries: list[str] = []

    def run(job: Job, _stopping: Stopping) -> dict[str, Any]:
        tries.append(job.id)
        if len(tries) == 1:
            raise Postponed(0.2)
        return {}

    runner = runner_of(lake, run)
    first, second = submit(lake, runner), submit(lake, runner)
    until(lake, first.id, COMPLETED)
    runner.stop()
    assert tries == [first.id, second.id, first.id]


def test_a_failure_is_told_in_its_own_words_or_in_none(lake: Lake) -> None:
    failures = [error("conflict", "It is in use."), RuntimeError("the name of a patient")]

    def run(_job: Job, _stopping: Stopping) -> dict[str, Any]:
        raise failures.pop(0)

    runner = runner_of(lake, run)
    known = until(lake, submit(lake, runner).id, FAILED)
    unknown = until(lake, submit(lake, runner).id, FAILED)
    runner.stop()
    assert runner.body(known)["issue"][0]["diagnostics"] == "It is in use."
    assert known.result is not None and known.result["category"] == "conflict"
    assert "incident" in runner.body(unknown)["issue"][0]["diagnostics"]
    assert "patient" not in str(unknown.result)


def test_a_cancelled_job_ends_and_a_waiting_one_is_not_begun(lake: Lake) -> None:
    begun, go_on = threading.Event(), threading.Event()
    ran: list[str] = []

    def run(job: Job, _stopping: Stopping) -> dict[str, Any]:
        ran.append(job.id)
        begun.set()
        go_on.wait(20)
        lake.jobs.update(job.id, progress={"n": 1})
        return {}

    runner = runner_of(lake, run)
    first, second, third = (submit(lake, runner) for _ in range(3))
    assert begun.wait(20)
    lake.jobs.cancel(first.id)
    lake.jobs.cancel(second.id)
    go_on.set()
    until(lake, third.id, COMPLETED)
    runner.stop()
    assert ran == [first.id, third.id]
    assert lake.jobs.get(first.id).state == CANCELLED
    with pytest.raises(JobCancelled):
        lake.jobs.update(first.id, progress={})


def test_an_interrupted_job_goes_on_with_the_next_runner(lake: Lake) -> None:
    begun = threading.Event()

    def until_stopped(_job: Job, stopping: Stopping) -> dict[str, Any]:
        begun.set()
        while not stopping():
            time.sleep(0.01)
        raise Interrupted

    first = runner_of(lake, until_stopped)
    job = submit(lake, first)
    assert begun.wait(20)
    first.stop()
    assert lake.jobs.get(job.id).state == RUNNING
    second = runner_of(lake, lambda _job, _stopping: {"again": True})
    assert until(lake, job.id, COMPLETED).result == {"again": True}
    second.stop()
