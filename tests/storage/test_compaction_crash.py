"""SIGKILL while a lake is written, flushed and compacted: nothing is lost, nothing is left over."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from storage import former_segments
from storage.lake import Lake

KILLS = 6
SIZE = 3  # resources in each commit

# Writes commits of SIZE resources, flushing, compacting and removing old files all the while; says
# `n` on stdout when the commit `n` was acknowledged, `merging` before each compaction. A resource
# is written again and again, so that its versions lie in many segments.
WRITER = """
import sys, threading
from storage import rewrite, segments, settling
from storage.lake import Lake, Put

settling.SETTLE_ROWS = 7
segments._MIN_GROUP_ROWS = segments._MAX_GROUP_ROWS = 8
rewrite.TARGET_ROWS = 64
path, start, size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
lake = Lake.open(path)
out = threading.Lock()

def say(line):
    with out:
        sys.stdout.write(f"{line}\\n")
        sys.stdout.flush()

def write():
    number = start
    while True:
        lake.transact(
            [Put({"resourceType": "Patient", "id": f"c{number % 50}-{n}",
                  "multipleBirthInteger": number})
             for n in range(size)],
            cursor=("writer", number),
        )
        say(number)
        number += 1

threading.Thread(target=write, daemon=True).start()
while True:
    lake.flush()
    if lake.stats()["segments"] < 3:
        continue
    say("merging")
    lake.compact()
    lake._retirement.remove(grace_s=0)
"""


def killed_run(path: Path, start: int, cycles: int, seconds: float) -> int:
    """The last commit acknowledged by a writer that was killed; -1 for none.

    It is killed some time after the beginning of its compaction number `cycles`.
    """
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), str(start), str(SIZE)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    lines = []
    while lines.count("merging") < cycles:
        lines.append(process.stdout.readline().strip())
        assert lines[-1], process.communicate()[1]
    time.sleep(seconds)
    os.kill(process.pid, signal.SIGKILL)
    rest, errors = process.communicate()
    assert errors == "", errors
    lines += rest.split("\n")[:-1]
    return max((int(line) for line in lines if line != "merging"), default=-1)


@pytest.mark.slow
def test_nothing_is_lost_and_nothing_is_left_over(tmp_path: Path) -> None:
    chance = random.Random(20241124)
    path = tmp_path / "lake"
    with Lake.open(path):
        pass
    acknowledged, start, merged = -1, 0, 0
    for _ in range(KILLS):
        acknowledged = max(
            acknowledged,
            killed_run(path, start, chance.choice([0, 1, 1, 2]), chance.uniform(0.0, 0.25)),
        )
        with Lake.open(path) as lake:
            assert lake.verify() == []
            versions = lake.changes(0, limit=1_000_000)
            numbers = [version.resource()["multipleBirthInteger"] for version in versions]
            last = max(numbers, default=-1)
            assert last >= acknowledged
            # Each commit is there once and whole, in order, with its cursor.
            assert numbers == [number for number in range(last + 1) for _ in range(SIZE)]
            assert lake.cursor("writer") == max(last, 0)
            counted = lake.sql("SELECT count(*), count(DISTINCT id) FROM patient").rows()
            assert counted == [(min(last + 1, 50) * SIZE,) * 2]
            lake._retirement.remove(grace_s=0)
            with lake._database.reading() as connection:
                known = {name for (name,) in connection.execute("SELECT file FROM segment")}
                former = former_segments.kept(connection) | former_segments.doomed(connection)
                begun = connection.execute("SELECT count(*) FROM segment_begun").get
                merged += len(former)
            files = {
                file.split("/")[1].removesuffix(".parquet") for file in lake._segments.files.list()
            }
            assert (files, begun) == (known, 0)
            # The keys of segments that others came in the place of stay, for backups.
            assert lake._keystore.segment_names() == known | former
            start = last + 1
    assert acknowledged > KILLS
    assert merged > 0
