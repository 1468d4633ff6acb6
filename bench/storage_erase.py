"""How long a purge takes, and how long it keeps writers waiting.

    python bench/storage_erase.py [--resources 200000] [--of-patient 10000]

A lake of so many Observations of a patient each 1,000, and of one patient with `--of-patient`, all
but the last thousands flushed. Meanwhile a thread commits one resource after another; the longest
of its commits within each step is what a writer had to wait.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from storage.erase.eraser import Eraser
from storage.erase.remnants import Remnants
from storage.erase.selection import Selector
from storage.lake import Lake, Put

BATCH = 1_000
STEPS = (
    "rewrite_segments",
    "remove_index_rows",
    "remove_patients",
    "renew_database_key",
    "renew_datastore_key",
)


def observation(number: int, patient: str) -> dict[str, Any]:
    day = f"20{number % 25:02}-{number % 12 + 1:02}-{number % 28 + 1:02}T08:15:00Z"
    return {
        "resourceType": "Observation",
        "id": f"o{number}",
        "status": "final",
        "category": [{"coding": [{"system": "http://example.org/category", "code": "lab"}]}],
        "code": {"coding": [{"system": "http://loinc.org", "code": f"{number % 500}-1"}]},
        "subject": {"reference": f"Patient/{patient}"},
        "encounter": {"reference": f"Encounter/e{number // 10}"},
        "effectiveDateTime": day,
        "issued": day,
        "valueQuantity": {
            "value": number % 300,
            "unit": "mg/dL",
            "system": "http://unitsofmeasure.org",
            "code": "mg/dL",
        },
        "note": [{"text": f"Result {number} was reviewed. " * 12}],
    }


def resources(total: int, of_patient: int) -> Iterator[dict[str, Any]]:
    """Spread over the whole time, as a patient's results are."""
    every = total // of_patient
    yield {"resourceType": "Patient", "id": "much"}
    for number in range(total):
        mine = number % every == 0
        yield observation(number, "much" if mine else f"p{number // 1000}")


class Waits:
    """Commits of one resource each, all the time; how long each took."""

    def __init__(self, lake: Lake) -> None:
        self._lake = lake
        self._stop = threading.Event()
        self.commits: list[tuple[float, float]] = []
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Waits:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            began = time.perf_counter()
            self._lake.transact([Put({"resourceType": "Basic", "id": "ticker"})])
            self.commits.append((began, time.perf_counter()))
            time.sleep(0.002)

    def longest_ms(self, began: float, ended: float) -> float:
        within = [b - a for a, b in self.commits if b >= began and a <= ended]
        return 1000 * max(within, default=0.0)


def timed(owner: Any, name: str, times: dict[str, tuple[float, float]]) -> None:
    real = getattr(owner, name)

    def call(*args: Any, **more: Any) -> Any:
        began = time.perf_counter()
        try:
            return real(*args, **more)
        finally:
            times[name] = (began, time.perf_counter())

    setattr(owner, name, call)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--resources", type=int, default=200_000)
    parser.add_argument("--of-patient", type=int, default=10_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "lake"
        with Lake.open(path) as lake:
            batch = []
            for resource in resources(arguments.resources, arguments.of_patient):
                batch.append(Put(resource))
                if len(batch) == BATCH:
                    lake.transact(batch)
                    batch = []
            lake.transact(batch)
            lake.flush()
            database = (path / "hot.db").stat().st_size / 1e6
            print(f"{lake.stats()['versions']:,} versions, hot.db {database:,.0f} MB")
            times: dict[str, tuple[float, float]] = {}
            timed(Selector, "select", times)
            timed(Eraser, "_remove_once", times)
            for name in STEPS:
                timed(Remnants, name, times)
            with Waits(lake) as waits:
                time.sleep(1)
                before = waits.longest_ms(0, time.perf_counter())
                began = time.perf_counter()
                result = lake.purge("much", reason="bench")
                ended = time.perf_counter()
            print(f"purge: {result['versions']:,} versions in {ended - began:.1f} s")
            print(f"{'':24}{'s':>8}{'longest commit, ms':>22}")
            print(f"{'before':24}{'':>8}{before:>22.0f}")
            times["removal"] = (times["select"][1], times.pop("_remove_once")[1])
            for name, (first, last) in sorted(times.items(), key=lambda item: item[1]):
                print(f"{name:24}{last - first:8.2f}{waits.longest_ms(first, last):22.0f}")
            if lake.verify(sample=1000):
                raise SystemExit("verify found something")


if __name__ == "__main__":
    main()
