"""Peak memory of a lake that is filled, searched, counted and queried.

Systems   one process: `Lake.transact` in bundles of 2,000, flushed as it goes; then, after
          opening it anew in a process of its own, searches, reads, timelines, SQL and cohorts.
Dataset   `chartlake synth`, as many patients as make `--resources`.
Method    peak resident memory of each phase's process (`ru_maxrss`), and what the caches hold at
          the end. The lake stays in `--folder` when that is given, and is queried again from it.
          Run: python bench/memory_bound.py --resources 500000 [--folder DIR] [--save]
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from service.synth import generate_population
from storage.lake import Lake, Put

RESULTS = Path(__file__).parent / "results" / "memory_bound.csv"
BUNDLE = 2_000

SQL = [
    "SELECT code, count(*) n, avg(value_number) FROM observation GROUP BY code ORDER BY n DESC",
    "SELECT value_unit, count(*) FROM observation WHERE effective >= '2015-01-01' GROUP BY ALL",
    "SELECT patient_id, count(*) n FROM encounter GROUP BY patient_id ORDER BY n DESC LIMIT 100",
    "SELECT id, body FROM observation ORDER BY effective DESC NULLS LAST, id LIMIT 50",
    "SELECT resource_type, count(*) FROM resource GROUP BY 1",
    "SELECT count(*) FROM observation WHERE body LIKE '%final%'",
    "SELECT c.code, count(DISTINCT o.patient_id) FROM condition c JOIN observation o "
    "ON o.patient_id = c.patient_id GROUP BY 1 ORDER BY 2 DESC LIMIT 20",
    "SELECT * FROM condition ORDER BY onset DESC NULLS LAST, id LIMIT 100",
]  # fmt: skip
COHORT = {"name": "bench", "include": [{"age": {"min": 30, "max": 75}}, {"gender": "female"}]}


def fill(path: Path, resources: int) -> None:
    """Phase one."""
    made, patients = 0, 256
    with Lake.open(path) as lake:
        waiting: list[Put] = []
        while made < resources:
            # Another seed gives other people; what they are called does not matter here.
            for record in generate_population(patients, made + 11):
                waiting += [Put(item) for item in record.resources]
                made += len(record.resources)
                if len(waiting) >= BUNDLE:
                    lake.transact(waiting)
                    waiting = []
                if made >= resources:
                    break
        if waiting:
            lake.transact(waiting)
        lake.flush()


def ask(path: Path) -> dict[str, Any]:
    """Phase two."""
    from storage.analytics.column_cache import CACHE

    with Lake.open(path) as lake:
        stats = lake.stats()
        people = [version.id for version in lake.search("Patient", [("_count", "100")]).versions]
        for query in SQL:
            lake.sql(query)
        lake.cohort(COHORT)
        for person in people:
            lake.read("Patient", person)
            lake.timeline(person)
            lake.search("Observation", [("patient", person), ("_sort", "-date"), ("_count", "50")])
            lake.search("Condition", [("patient", person)])
        lake.search("Observation", [("status", "final"), ("_count", "200"), ("_total", "accurate")])
        return {"stats": stats, "column_cache_mb": round(CACHE.bytes / 2**20)}


def in_a_process(phase: str, path: Path, resources: int) -> dict[str, Any]:
    """Run a phase; its answer, its peak and how long it took."""
    begun = time.perf_counter()
    command = [sys.executable, __file__, "--phase", phase, "--folder", str(path)]
    done = subprocess.run(
        [*command, "--resources", str(resources)], stdout=subprocess.PIPE, check=True
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found | {"s": round(time.perf_counter() - begun)}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--resources", type=int, default=500_000)
    arguments.add_argument("--folder", type=Path)
    arguments.add_argument("--phase", choices=["fill", "ask"], help=argparse.SUPPRESS)
    arguments.add_argument("--save", action="store_true")
    asked = arguments.parse_args()
    if asked.phase:
        answer = fill(asked.folder, asked.resources) if asked.phase == "fill" else ask(asked.folder)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        json.dump({"peak_mb": peak, "answer": answer}, sys.stdout)
        return
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    print(machine)
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        path = asked.folder or Path(temporary) / "lake"
        phases = ["ask"] if path.exists() else ["fill", "ask"]
        for phase in phases:
            found = in_a_process(phase, path, asked.resources)
            rows.append(
                {"phase": phase, "resources": asked.resources, "peak_mb": found["peak_mb"],
                 "column_cache_mb": (found["answer"] or {}).get("column_cache_mb", ""),
                 "s": found["s"], "machine": machine}
            )  # fmt: skip
            print(f"{phase:5} peak {found['peak_mb']} MB, {found['s']} s, {found['answer']}")
    if asked.save:
        with RESULTS.open("w", newline="") as out:
            writer = csv.DictWriter(out, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)


if __name__ == "__main__":
    main()
