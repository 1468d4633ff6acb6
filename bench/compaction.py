"""What compaction does for reading by patient, what it costs, and how long writers wait for it.

python bench/compaction.py [VERSIONS]     # prints a table; about a minute for 300,000
"""

from __future__ import annotations

import random
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from storage import compaction
from storage.analytics.column_cache import CACHE
from storage.analytics.patient_versions import patient_resources
from storage.lake import Lake, Put

PATIENTS = 2_000
CODES = [f"{number}-{number % 9}" for number in range(400)]


def observation(number: int, chance: random.Random) -> dict[str, Any]:
    """A laboratory value of about 500 bytes."""
    return {
        "resourceType": "Observation",
        "id": f"o{number}",
        "status": "final",
        "category": [{"coding": [{"system": "http://example.org/category", "code": "laboratory"}]}],
        "code": {"coding": [{"system": "http://loinc.org", "code": chance.choice(CODES)}]},
        "subject": {"reference": f"Patient/p{chance.randrange(PATIENTS)}"},
        "encounter": {"reference": f"Encounter/e{chance.randrange(PATIENTS * 20)}"},
        "effectiveDateTime": f"20{chance.randrange(10, 25)}-0{chance.randrange(1, 10)}-15",
        "valueQuantity": {"value": chance.randrange(1000), "unit": "mg/dL", "code": "mg/dL"},
    }


def median_ms(work: Callable[[], object], times: int = 15) -> float:
    """Median wall time."""
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        taken.append((time.perf_counter() - began) * 1000)
    return statistics.median(taken)


def measure(lake: Lake, what: str, chance: random.Random) -> None:
    """Print one row: reading a patient's resources, and a count over a column, both cold."""

    def patient() -> None:
        list(patient_resources(lake.snapshot(), "Observation", f"p{chance.randrange(PATIENTS)}"))

    def count() -> None:
        CACHE.forget("")
        lake.sql("SELECT code, count(*) FROM observation GROUP BY code")

    patient()
    size = sum(path.stat().st_size for path in (lake.folder.path / "lake").rglob("*.parquet"))
    segments = len(lake.snapshot().segments("Observation"))
    print(
        f"| {what} | {segments} | {size / 2**20:.0f} MiB | {median_ms(patient):.1f} ms "
        f"| {median_ms(count, 5):.0f} ms |",
        flush=True,
    )


def waits(lake: Lake, work: Callable[[], object]) -> tuple[float, list[float]]:
    """Seconds that `work` takes, and the milliseconds of each commit made meanwhile."""
    done = threading.Event()
    taken: list[float] = []

    def write() -> None:
        number = 0
        while not done.is_set():
            began = time.perf_counter()
            lake.transact(
                [Put({"resourceType": "Basic", "id": "b", "code": {"text": str(number)}})]
            )
            taken.append((time.perf_counter() - began) * 1000)
            number += 1
            time.sleep(0.002)

    thread = threading.Thread(target=write)
    thread.start()
    began = time.perf_counter()
    work()
    seconds = time.perf_counter() - began
    done.set()
    thread.join()
    return seconds, sorted(taken)


def main() -> None:
    """Fill a lake, measure, compact, measure."""
    compaction.DELAY_S = 1e9
    versions = int(sys.argv[1]) if len(sys.argv) > 1 else 300_000
    chance = random.Random(7)
    with tempfile.TemporaryDirectory() as folder, Lake.open(Path(folder) / "lake") as lake:
        for start in range(0, versions, 5_000):
            lake.transact([Put(observation(n, chance)) for n in range(start, start + 5_000)])
            if start % 25_000 == 20_000:
                lake.flush()
        lake.flush()
        print("| state | segments | files | a patient | group by, cold |\n|---|---|---|---|---|")
        measure(lake, "flushed", chance)
        seconds, taken = waits(lake, lambda: time.sleep(3))
        print(f"commits alone: p50 {taken[len(taken) // 2]:.1f} ms, max {taken[-1]:.1f} ms")
        seconds, taken = waits(lake, lake.compact)
        rank = [taken[len(taken) * percent // 100] for percent in (50, 99)]
        print(f"compaction: {seconds:.1f} s, {versions / seconds:,.0f} versions/s")
        print(
            f"commits meanwhile: p50 {rank[0]:.1f} ms, p99 {rank[1]:.1f} ms, max {taken[-1]:.1f} ms"
        )
        lake._retirement.remove(grace_s=0)
        measure(lake, "compacted", chance)


if __name__ == "__main__":
    main()
