"""Durable commits into a fresh lake: single creates from many threads, and whole bundles.

Run: python bench/storage_commit.py [--resources N] [--threads N] [--save]
"""

from __future__ import annotations

import argparse
import csv
import os
import platform
import statistics
import tempfile
import threading
import time
import uuid
from pathlib import Path
from typing import Any

import apsw

from storage.lake import Lake, Put

RESULTS = Path(__file__).parent / "results" / "storage_commit.csv"
BUNDLE = 100
ROUNDS = 3


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


def singles(folder: Path, resources: int, threads: int) -> tuple[float, float]:
    """Creates per second, and the median milliseconds that one caller waited."""
    work = [observation(number) for number in range(resources)]
    waits: list[float] = []

    def create(mine: list[dict[str, Any]]) -> None:
        for resource in mine:
            began = time.perf_counter()
            lake.transact([Put(resource, method="POST")])
            waits.append(time.perf_counter() - began)

    with Lake.open(folder) as lake:
        lake.transact([Put(observation(0))])
        pool = [threading.Thread(target=create, args=(work[n::threads],)) for n in range(threads)]
        began = time.perf_counter()
        for thread in pool:
            thread.start()
        for thread in pool:
            thread.join()
        seconds = time.perf_counter() - began
    return resources / seconds, statistics.median(waits) * 1000


def bundles(folder: Path, resources: int) -> float:
    """Resources per second from one caller, `BUNDLE` of them in a commit."""
    work = [observation(number) for number in range(resources)]
    with Lake.open(folder) as lake:
        lake.transact([Put(observation(0))])
        began = time.perf_counter()
        for start in range(0, resources, BUNDLE):
            lake.transact([Put(resource) for resource in work[start : start + BUNDLE]])
        seconds = time.perf_counter() - began
    return resources / seconds


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--resources", type=int, default=6000)
    parser.add_argument("--threads", type=int, default=16)
    parser.add_argument("--save", action="store_true")
    arguments = parser.parse_args()
    rows = []
    for round_number in range(1, ROUNDS + 1):
        with tempfile.TemporaryDirectory() as folder:
            rate, wait_ms = singles(
                Path(folder) / "singles", arguments.resources, arguments.threads
            )
            bundle_rate = bundles(Path(folder) / "bundles", arguments.resources)
        rows.append(
            {
                "round": round_number,
                "resources": arguments.resources,
                "threads": arguments.threads,
                "single_creates_per_s": round(rate),
                "single_median_wait_ms": round(wait_ms, 2),
                "bundle_resources_per_s": round(bundle_rate),
                "bundle_size": BUNDLE,
                "cores": os.cpu_count(),
                "python": platform.python_version(),
                "sqlite": apsw.sqlite_lib_version(),
            }
        )
    print(f"Systems: {os.cpu_count()} cores, {platform.machine()}, {platform.system()}")
    print("Datasets: synthetic laboratory Observations, 600 bytes, 13 index rows each")
    print("Method: fresh encrypted lake a round, synchronous=FULL, every create durable on return;")
    print("        wall clock from the first call to the last return, no HTTP, no validation")
    for row in rows:
        print(row)
    if arguments.save:
        RESULTS.parent.mkdir(exist_ok=True)
        with RESULTS.open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)


if __name__ == "__main__":
    main()
