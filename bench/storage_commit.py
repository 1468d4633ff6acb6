"""Durable commits into a fresh lake: single creates from many threads, whole bundles, a long run.

Run: python bench/storage_commit.py [--resources N] [--threads N] [--rounds N] [--sustained N]
     [--save]

Each is set beside the least that a durable store can do: one encrypted SQLite table (v, body), the
same bytes, the same groups in one fsync; no versions, no conditions, no index.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import gc
import os
import platform
import queue
import resource
import statistics
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import apsw

from schemas.parse import canonical_bytes
from storage.database import Database
from storage.lake import Lake, Put

RESULTS = Path(__file__).parent / "results" / "storage_commit.csv"
BUNDLE = 100

Store = Callable[[list[dict[str, Any]]], Any]


def observation(number: int) -> dict[str, Any]:
    """A laboratory result of about 600 bytes with a new id."""
    patient = f"Patient/bench-{number % 500}"
    return {
        "resourceType": "Observation",
        "id": str(uuid.uuid4()),
        "status": "final",
        "category": [
            {
                "coding": [
                    {
                        "system": "http://terminology.hl7.org/CodeSystem/observation-category",
                        "code": "laboratory",
                        "display": "Laboratory",
                    }
                ]
            }
        ],
        "code": {
            "coding": [
                {"system": "http://loinc.org", "code": f"{4000 + number % 40}-1", "display": "Test"}
            ],
            "text": "Test",
        },
        "subject": {"reference": patient},
        "encounter": {"reference": f"Encounter/bench-{number % 4000}"},
        "effectiveDateTime": f"20{10 + number % 15}-0{1 + number % 9}-1{number % 9}T08:30:00Z",
        "issued": "2024-01-01T08:30:00.000Z",
        "valueQuantity": {
            "value": number % 200,
            "unit": "mg/dL",
            "system": "http://unitsofmeasure.org",
            "code": "mg/dL",
        },
    }


@contextlib.contextmanager
def chartlake(folder: Path) -> Iterator[Store]:
    """`Lake.transact`, flushing in the background as it does."""
    with Lake.open(folder / "lake") as lake:
        lake.transact([Put(observation(0))])
        yield lambda resources: lake.transact([Put(one, method="POST") for one in resources])


@contextlib.contextmanager
def bare_table(folder: Path) -> Iterator[Store]:
    """One encrypted table, with one writer that groups what its callers wait for."""
    database = Database(folder / "bare.db", os.urandom(32))
    database.create("bench")
    connection = database.writer()
    connection.execute("CREATE TABLE bare (v INTEGER PRIMARY KEY, body BLOB NOT NULL)")
    jobs: queue.SimpleQueue[tuple[list[bytes], threading.Lock] | None] = queue.SimpleQueue()

    def run() -> None:
        job = jobs.get()
        while job is not None:
            group = [job]
            with contextlib.suppress(queue.Empty):
                while (job := jobs.get_nowait()) is not None:
                    group.append(job)
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(
                "INSERT INTO bare (body) VALUES (?)", [(b,) for bodies, _ in group for b in bodies]
            )
            connection.execute("COMMIT")
            for _, done in group:
                done.release()
            if job is not None:
                job = jobs.get()

    def store(resources: list[dict[str, Any]]) -> None:
        done = threading.Lock()
        done.acquire()
        jobs.put(([canonical_bytes(one) for one in resources], done))
        done.acquire()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield store
    finally:
        jobs.put(None)
        thread.join()
        connection.close()


def measure(
    system: Any, resources: int, threads: int, bundle: int
) -> tuple[float, float, float, float]:
    """Resources a second, CPU microseconds each, median and 99th percentile of a wait in ms."""
    work = [observation(number) for number in range(resources)]
    calls = [work[start : start + bundle] for start in range(0, resources, bundle)]
    # The input is not the store's: keep Python's garbage collector from going through it.
    gc.collect()
    gc.freeze()
    waits: list[float] = []

    def run(mine: list[list[dict[str, Any]]]) -> None:
        for one in mine:
            began = time.perf_counter()
            store(one)
            waits.append(time.perf_counter() - began)

    with tempfile.TemporaryDirectory() as folder, system(Path(folder)) as store:
        pool = [threading.Thread(target=run, args=(calls[n::threads],)) for n in range(threads)]
        cpu = _cpu_s()
        began = time.perf_counter()
        for thread in pool:
            thread.start()
        for thread in pool:
            thread.join()
        seconds = time.perf_counter() - began
        cpu = _cpu_s() - cpu
    gc.unfreeze()
    waits.sort()
    return (
        resources / seconds,
        cpu / resources * 1e6,
        statistics.median(waits) * 1000,
        waits[len(waits) * 99 // 100] * 1000,
    )


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--resources", type=int, default=6000)
    parser.add_argument("--threads", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sustained", type=int, default=60_000, help="0: leave it out")
    parser.add_argument("--save", action="store_true")
    arguments = parser.parse_args()
    cases = [
        ("one thread", arguments.resources // 3, 1, 1),
        (f"{arguments.threads} threads", arguments.resources, arguments.threads, 1),
        (f"bundles of {BUNDLE}", arguments.resources, 1, BUNDLE),
    ]
    if arguments.sustained:
        cases.append(
            (f"{arguments.threads} threads, sustained", arguments.sustained, arguments.threads, 1)
        )
    print(f"Systems: {os.cpu_count()} cores, {platform.machine()}, {platform.system()}")
    print("Datasets: synthetic laboratory Observations, 600 bytes, 13 index rows each")
    print("Method: fresh encrypted database a round, synchronous=FULL, durable on return; wall")
    print("        clock from the first call to the last return, no HTTP, no validation")
    rows = []
    for round_number in range(1, arguments.rounds + 1):
        for case, resources, threads, bundle in cases:
            bare, bare_cpu, *_ = measure(bare_table, resources, threads, bundle)
            rate, cpu, median_ms, p99_ms = measure(chartlake, resources, threads, bundle)
            rows.append(
                {
                    "round": round_number,
                    "case": case,
                    "resources": resources,
                    "per_s": round(rate),
                    "bare_table_per_s": round(bare),
                    "ratio": round(rate / bare, 2),
                    "cpu_us": round(cpu),
                    "bare_table_cpu_us": round(bare_cpu),
                    "wait_median_ms": round(median_ms, 2),
                    "wait_p99_ms": round(p99_ms, 2),
                    "load": round(os.getloadavg()[0], 1),
                    "cores": os.cpu_count(),
                    "python": platform.python_version(),
                    "sqlite": apsw.sqlite_lib_version(),
                }
            )
            print(rows[-1], flush=True)
    if arguments.save:
        RESULTS.parent.mkdir(exist_ok=True)
        with RESULTS.open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)


if __name__ == "__main__":
    main()
