"""SIGKILL at random moments: every acknowledged commit is there, and none by half."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from schemas.outcomes import FhirError
from storage.lake import Lake

KILLS = 12
SIZE = 3  # resources in each commit

# Writes commits of SIZE resources from two threads, flushing all the while; says `n` on stdout when
# the commit `n` was acknowledged.
WRITER = """
import sys, threading
from storage import settling
from storage.lake import Lake, Put

settling.SETTLE_ROWS = 7
path, start, size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
lake = Lake.open(path)
out = threading.Lock()

def write(first):
    number = first
    while True:
        lake.transact(
            [Put({"resourceType": "Patient", "id": f"c{number}-{n}", "active": True})
             for n in range(size)],
            cursor=(f"writer-{first % 2}", number),
        )
        with out:
            sys.stdout.write(f"{number}\\n")
            sys.stdout.flush()
        number += 2

for offset in (0, 1):
    threading.Thread(target=write, args=(start + offset,), daemon=True).start()
with out:
    sys.stdout.write("ready\\n")
    sys.stdout.flush()
while True:
    lake.flush()
"""


def killed_run(path: Path, start: int, seconds: float) -> list[int]:
    """Acknowledged commits of a writer that was killed after some time."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), str(start), str(SIZE)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    lines = []
    first = process.stdout.readline()
    time.sleep(seconds)
    os.kill(process.pid, signal.SIGKILL)
    rest, errors = process.communicate()
    assert errors == ""
    for line in [first, *rest.split("\n")[:-1]]:
        text = line.strip()
        if text and text != "ready":
            lines.append(int(text))
    return lines


@pytest.mark.slow
def test_no_acknowledged_commit_is_lost_and_none_is_there_by_half(tmp_path: Path) -> None:
    chance = random.Random(20240305)
    path = tmp_path / "lake"
    with Lake.open(path):
        pass
    acknowledged: set[int] = set()
    start = 0
    segments = 0
    for _ in range(KILLS):
        done = killed_run(path, start, chance.uniform(0.0, 0.25))
        acknowledged.update(done)
        with Lake.open(path) as lake:
            assert lake.verify() == []
            stats = lake.stats()
            segments = max(segments, stats["segments"])
            there: dict[int, set[int]] = {}
            commits: dict[int, set[int]] = {}
            for version in lake.changes(0, limit=1_000_000):
                number, part = version.id[1:].split("-")
                there.setdefault(int(number), set()).add(int(part))
                commits.setdefault(int(number), set()).add(version.t)
                assert version.resource()["id"] == version.id
            assert acknowledged <= set(there)
            assert all(parts == set(range(SIZE)) for parts in there.values())
            assert all(len(ts) == 1 for ts in commits.values())
            for writer in (0, 1):
                mine = [number for number in there if number % 2 == writer]
                assert lake.cursor(f"writer-{writer}") == max(mine, default=0)
            start = max(there, default=-2) + 2
            start -= start % 2
    assert len(acknowledged) > KILLS
    assert segments > 0


def test_a_kill_while_the_lake_is_made_leaves_a_folder_that_opens(tmp_path: Path) -> None:
    code = "import sys\nfrom storage.lake import Lake\nprint(flush=True)\nLake.open(sys.argv[1])"
    for number, delay in enumerate((0.0, 0.002, 0.004, 0.008)):
        path = tmp_path / f"lake{number}"
        process = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(delay)
        process.kill()
        process.communicate()
        try:
            with Lake.open(path) as lake:
                assert lake.verify() == []
        except FhirError as failure:
            pytest.fail(f"after a kill at {delay} s: {failure}")
