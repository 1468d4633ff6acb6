"""Kills a writing lake again and again: what was acknowledged is there, nothing by half.

Run: nice python bench/crash_soak.py [--kills N] [--seed N] [--folder DIR]
     nice python bench/crash_soak.py --sweep [--step N] [--only NAME[;NAME...]] [--save]

`--sweep` is the systematic half (`bench/crash`): each operation on a small lake is killed at its
first place where something becomes durable or visible, then at its second, until it completes;
the lake is opened, compared with what was acknowledged, verified, and searched for leftovers.
The rest of this page is the random half.

A child process creates, updates and deletes from several threads (with and without conditions),
searches, flushes, compacts and now and then gives the database a new key; it is killed with SIGKILL
after a random time, sometimes while it opens the lake. Each time the lake is opened again (timed),
and every few kills verified whole. An acknowledged commit must be there with all of its
resources, at the `t` that was told; a commit that was never acknowledged must be there whole or not
at all; numbers are dense; each writer's cursor is where its last commit put it.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from storage.lake import Lake

SIZE = 3  # resources in each commit
THREADS = 4

# Says `ready`, and `number t` when commit `number` was acknowledged. `number % THREADS` is the
# thread; resource `part` of commit `number` has the id c{number}-{part}.
WRITER = """
import random, sys, threading
from storage import index_queue, settling, writer
from storage.lake import Delete, Lake, Put

path, first, size, threads, seed = sys.argv[1], *map(int, sys.argv[2:])
# Small steps: more places to be killed at.
settling.SETTLE_ROWS, index_queue._ROWS, writer.QUEUED_VERSIONS = 7, 20, 40
sys.stdout.write("begin\\\\n")
sys.stdout.flush()
lake = Lake.open(path)
out = threading.Lock()
chance = random.Random(seed)

def say(text):
    with out:
        sys.stdout.write(text + "\\\\n")
        sys.stdout.flush()

def write(number):
    mine = random.Random(seed + number)
    while True:
        operations = [
            Put({"resourceType": "Observation", "id": f"c{number}-{part}", "status": "final",
                 "code": {"coding": [{"system": f"urn:soak:{number % 50}", "code": str(number)}]},
                 "subject": {"reference": f"Patient/p{number % 20}"}},
                must_not_exist=True)
            for part in range(size)
        ]
        operations.append(Put({"resourceType": "Patient", "id": f"w{number % threads}",
                               "identifier": [{"value": str(number)}]}))
        if mine.random() < 0.2 and number >= first + threads:
            operations.append(Delete("Observation", f"c{number - threads}-0"))
        commit = lake.transact(operations, cursor=(f"writer-{number % threads}", number))
        say(f"{number} {commit.t}")
        if mine.random() < 0.1:
            page = lake.search("Observation", [("code", str(number))])
            if page.total != size:
                say(f"LOST {number} of a search")
        number += threads

for offset in range(threads):
    threading.Thread(target=write, args=(first + offset,), daemon=True).start()
say("ready")
while True:
    task = chance.random()
    if task < 0.7:
        lake.flush()
    elif task < 0.9 and hasattr(lake, "compact"):
        lake.compact()
    elif task > 0.97 and hasattr(lake, "renew_keys"):
        lake.renew_keys()
""".replace("\\\\n", "\\n")


@dataclass
class Soak:
    """What has been acknowledged, and what was measured."""

    path: Path
    chance: random.Random
    acknowledged: dict[int, int] = field(default_factory=dict)
    open_ms: list[float] = field(default_factory=list)
    next_number: int = 0

    def kill_once(self, seconds: float) -> None:
        """Run a writer, kill it, and note what it had acknowledged by then."""
        process = subprocess.Popen(
            [
                sys.executable,
                "-c",
                WRITER,
                str(self.path),
                *map(str, (self.next_number, SIZE, THREADS, self.chance.randrange(2**30))),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        first = process.stdout.readline()
        time.sleep(seconds)
        os.kill(process.pid, signal.SIGKILL)
        rest, errors = process.communicate()
        if errors:
            raise AssertionError(f"the writer failed before it was killed:\n{errors}")
        for line in (first + rest).split("\n")[:-1]:
            if line in ("begin", "ready"):
                continue
            if line.startswith("LOST"):
                raise AssertionError(line)
            number, t = line.split()
            self.acknowledged[int(number)] = int(t)

    def check(self, *, verify: bool) -> None:
        """Raises AssertionError for anything lost, doubled or by half."""
        began = time.perf_counter()
        lake = Lake.open(self.path)
        self.open_ms.append((time.perf_counter() - began) * 1000)
        with lake:
            commits = dict(self._commits(lake))
            lost = {n: t for n, t in self.acknowledged.items() if commits.get(n) != t}
            assert not lost, f"acknowledged, and not there: {lost}"
            assert sorted(commits.values()) == list(range(1, lake.t + 1)), "numbers are not dense"
            for thread in range(THREADS):
                mine = [number for number in commits if number % THREADS == thread]
                assert lake.cursor(f"writer-{thread}") == max(mine, default=0), "a cursor is off"
            if mine := max(self.acknowledged, default=0):
                found = lake.search("Observation", [("code", str(mine))], at=commits[mine])
                assert found.total == SIZE, "the index lacks what was acknowledged"
            if verify:
                problems = lake.verify()
                assert problems == [], problems
            self.next_number = max(commits, default=-1) + 1
            self.next_number += -self.next_number % THREADS

    def _commits(self, lake: Lake) -> Iterator[tuple[int, int]]:
        """Number and `t` of every commit there is; refuses those that are there by half."""
        parts: dict[int, set[int]] = {}
        at: dict[int, set[int]] = {}
        numbers: dict[int, int] = {}
        for version in lake.changes(0, limit=10_000_000):
            if version.resource_type == "Patient":
                numbers[version.t] = int(version.resource()["identifier"][0]["value"])
            elif not version.deleted:
                number, part = map(int, version.id[1:].split("-"))
                assert version.resource()["id"] == version.id
                parts.setdefault(number, set()).add(part)
                at.setdefault(number, set()).add(version.t)
        for number, there in parts.items():
            assert there == set(range(SIZE)), f"commit {number} is there by half"
            assert len(at[number]) == 1, f"commit {number} is in several commits"
            (t,) = at[number]
            assert numbers[t] == number, f"commit {number} lacks its patient"
            yield number, t


def soak(folder: Path, kills: int, seed: int, *, verify_every: int = 10, fresh: int = 100) -> str:
    """Kill `kills` times; a report. A new lake every `fresh` kills keeps the checks quick."""
    chance = random.Random(seed)
    commits, open_ms = 0, []
    run = Soak(folder / "lake-0", chance)
    began = time.monotonic()
    for kill in range(kills):
        if kill % fresh == 0:
            run = Soak(folder / f"lake-{kill // fresh}", chance)
        # A tenth while the lake is being made or opened, the others while it is at work.
        run.kill_once(_moment(chance))
        run.check(verify=kill % verify_every == 0 or kill % fresh == fresh - 1)
        if kill % fresh == fresh - 1 or kill == kills - 1:
            commits += len(run.acknowledged)
            open_ms += run.open_ms
            print(f"{kill + 1} kills, {commits} acknowledged commits", flush=True)
    return (
        f"{kills} kills, {commits} acknowledged commits of {SIZE + 1} to {SIZE + 2} versions, "
        f"none lost, none by half; reopened in {statistics.median(open_ms):.0f} ms (median), "
        f"{max(open_ms):.0f} ms (most); {time.monotonic() - began:.0f} s; seed {seed}"
    )


def _moment(chance: random.Random) -> float:
    """Seconds until the kill."""
    return chance.uniform(0, 0.05) if chance.random() < 0.1 else chance.uniform(0.05, 0.6)


def _sweep(step: int, only: str, *, save: bool) -> int:
    """Sweep the operations, a line for each; 1 when anything was lost, halved or left over."""
    from crash.operations import OPERATIONS
    from crash.sweep import Swept, sweep

    lines = ["operation,kills,failures,open_p50_ms,open_max_ms"]
    swept: list[Swept] = []
    for operation in OPERATIONS:
        if only and operation.name not in only.split(";"):
            continue
        with tempfile.TemporaryDirectory() as folder:
            swept.append(sweep(operation, Path(folder) / "sweep", step=step))
        last = swept[-1]
        opened = last.open_ms or [0.0]
        name = last.name.replace(", ", " ")
        lines.append(
            f"{name},{last.kills},{len(last.failures)},"
            f"{statistics.median(opened):.0f},{max(opened):.0f}"
        )
        print(lines[-1], flush=True)
        for failure in last.failures:
            print(failure, flush=True)
        if save:
            results = Path(__file__).parent / "results" / "crash_soak.csv"
            results.write_text("\n".join(lines) + "\n")
    return int(any(one.failures for one in swept))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=20240305)
    parser.add_argument("--folder", type=Path, help="where the lakes are made, and left")
    parser.add_argument("--sweep", action="store_true", help="kill at every place, in order")
    parser.add_argument("--step", type=int, default=1, help="of a sweep: every so many places")
    parser.add_argument("--only", default="", help="of a sweep: names of operations, with ;")
    parser.add_argument("--save", action="store_true", help="write results/crash_soak.csv")
    arguments = parser.parse_args()
    if arguments.sweep:
        sys.exit(_sweep(arguments.step, arguments.only, save=arguments.save))
    if arguments.folder is not None:
        arguments.folder.mkdir(parents=True, exist_ok=True)
        print(soak(arguments.folder, arguments.kills, arguments.seed))
        return
    with tempfile.TemporaryDirectory() as folder:
        print(soak(Path(folder), arguments.kills, arguments.seed))


if __name__ == "__main__":
    main()
