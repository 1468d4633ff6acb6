"""SIGKILL at each step and at random moments: the job gets to the same end."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from storage.jobs import COMPLETED, IRREVOCABLE
from storage.lake import Lake

Fill = Callable[[Lake, list[str]], None]

# Purges a patient; dies by SIGKILL right before or right after what is named.
PURGE = """
import os, signal, sys
from storage import jobs
from storage.erase import remnants
from storage.lake import Lake

path, when, what = sys.argv[1:4]

def deadly(owner, name):
    real = getattr(owner, name)
    def call(*args, **more):
        if when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = real(*args, **more)
        os.kill(os.getpid(), signal.SIGKILL)
    setattr(owner, name, call)

owners = {
    "rewrite_segments": remnants.Remnants,
    "remove_index_rows": remnants.Remnants,
    "remove_patients": remnants.Remnants,
    "renew_database_key": remnants.Remnants,
    "renew_datastore_key": remnants.Remnants,
    "remove": remnants.Retirement,
    "rewrite": remnants.Rewriter,
    "add": jobs.Jobs,
}
lake = Lake.open(path)
if what in owners:
    deadly(owners[what], what)
sys.stdout.write("ready\\n")
sys.stdout.flush()
lake.purge("a", reason="x")
sys.stdout.write("done\\n")
"""

MOMENTS = [
    ("after", "add"),
    ("before", "rewrite_segments"),
    ("before", "rewrite"),
    ("after", "rewrite"),
    ("before", "remove"),
    ("after", "remove"),
    ("after", "rewrite_segments"),
    ("after", "remove_index_rows"),
    ("after", "remove_patients"),
    ("before", "renew_database_key"),
    ("after", "renew_database_key"),
    ("after", "renew_datastore_key"),
]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("original") / "lake"


@pytest.fixture
def lake_path(original: Path, tmp_path: Path, fill: Fill) -> Path:
    if not original.exists():
        with Lake.open(original) as lake:
            fill(lake, ["a", "b"])
    return Path(shutil.copytree(original, tmp_path / "lake"))


def start(path: Path, when: str, what: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", PURGE, str(path), when, what], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def check_the_end(path: Path) -> bool:
    """Finish what was begun; whether something was to be finished. The end is always the same."""
    with Lake.open(path) as lake:
        jobs = lake.eraser.unfinished()
        for job in jobs:
            if job.progress.get(IRREVOCABLE):
                assert lake.changes(0, limit=10_000)
                assert not any(v.id == "a" for v in lake.changes(0, limit=10_000))
            done = lake.eraser.finish(job)
            assert done.state == COMPLETED
            assert done.result is not None
            assert done.result["resources"]["Patient"] == 1
        if not jobs:
            assert lake.erasures_since(0) in (0, 1)
        if lake.erasures_since(0):
            left = {(v.resource_type, v.id) for v in lake.changes(0, limit=10_000)}
            assert not any(id == "a" or id.endswith("-a") for _, id in left)
            assert lake.erasures_since(0) == 1
        assert lake.read("Patient", "b").version_id == 2
        assert lake.eraser.unfinished() == []
        assert lake.verify() == []
        names = lake._keystore.segment_names()
    assert names == {file.stem for file in path.rglob("*.parquet")}
    assert not list(path.glob("hot.db.renew*"))
    return bool(jobs)


@pytest.mark.parametrize(("when", "what"), MOMENTS)
def test_a_kill_at_a_step(lake_path: Path, when: str, what: str) -> None:
    process = start(lake_path, when, what)
    out, _ = process.communicate()
    assert (process.returncode, out) == (-signal.SIGKILL, "")
    assert check_the_end(lake_path)


@pytest.mark.slow
def test_a_kill_at_any_moment(lake_path: Path, tmp_path: Path) -> None:
    chance = random.Random(20261124)
    finished = 0
    for number in range(4):
        path = Path(shutil.copytree(lake_path, tmp_path / f"lake{number}"))
        process = start(path, "never", "nothing")
        time.sleep(chance.uniform(0.0, 0.5))
        process.kill()
        process.communicate()
        finished += check_the_end(path)
    assert finished > 0
