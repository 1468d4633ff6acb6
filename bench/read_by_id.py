"""`Lake.read` of flushed resources by id: cold, warm, from eight threads, in lakes of two sizes.

Systems   `cold`: no page of bodies is kept between reads (files stay open). `first`: every file is
          opened too. `hot`: 200 resources again and again. `8 threads`: the same from eight.
          `row group`: what pyarrow needs for one body, decoding the row group that it is in.
Dataset   `chartlake synth`, `--patients` of them, then ten times as many; all flushed.
Method    microseconds a read: median and 99th percentile of wall time, and CPU time of the thread
          (other work on the machine counts less). Run: python bench/read_by_id.py [--save]
"""

from __future__ import annotations

import argparse
import csv
import os
import platform
import random
import statistics
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from service.synth import generate_population
from storage import segment_store
from storage.lake import Lake, Put

RESULTS = Path(__file__).parent / "results" / "read_by_id.csv"


def filled(path: Path, patients: int) -> tuple[Lake, list[tuple[str, str]]]:
    """A lake of so many patients, everything in segments."""
    lake = Lake.open(path)
    ids: list[tuple[str, str]] = []
    waiting: list[Put] = []
    for record in generate_population(patients, 11):
        ids += [(resource["resourceType"], resource["id"]) for resource in record.resources]
        waiting += [Put(resource) for resource in record.resources]
        if len(waiting) > 2000:
            lake.transact(waiting)
            waiting = []
    if waiting:
        lake.transact(waiting)
    lake.flush()
    return lake, ids


def measured(lake: Lake, picked: list[tuple[str, str]]) -> dict[str, Any]:
    taken = []
    begun, cpu = time.perf_counter(), time.thread_time()
    for resource_type, id in picked:
        before = time.perf_counter()
        lake.read(resource_type, id)
        taken.append((time.perf_counter() - before) * 1e6)
    wall, cpu = time.perf_counter() - begun, time.thread_time() - cpu
    taken.sort()
    return {
        "per_s": round(len(picked) / wall),
        "per_cpu_s": round(len(picked) / cpu),
        "p50_us": round(statistics.median(taken)),
        "p99_us": round(taken[len(taken) * 99 // 100]),
    }


def row_groups(lake: Lake, reads: int) -> dict[str, Any]:
    """One body each by decoding a row group, with the files kept open."""
    with lake._database.reading() as connection:
        files = [segment.file for segment in lake._segments.all(connection)]
    choose = random.Random(3)
    opened = [file.open(pre_buffer=False) for file in files]
    taken, cpu = [], time.thread_time()
    for _ in range(reads):
        file = choose.choice(opened)
        group = choose.randrange(file.num_row_groups)
        before = time.perf_counter()
        file.read_row_group(group, columns=["body"], use_threads=False).column(0)[0].as_py()
        taken.append((time.perf_counter() - before) * 1e6)
    cpu = time.thread_time() - cpu
    for file in opened:
        file.close(force=True)
    taken.sort()
    return {
        "per_s": round(reads / sum(taken) * 1e6), "per_cpu_s": round(reads / cpu),
        "p50_us": round(statistics.median(taken)), "p99_us": round(taken[reads * 99 // 100]),
    }  # fmt: skip


def eight_threads(lake: Lake, picked: list[tuple[str, str]]) -> dict[str, Any]:
    def work() -> None:
        for resource_type, id in picked:
            lake.read(resource_type, id)

    threads = [threading.Thread(target=work) for _ in range(8)]
    begun, cpu = time.perf_counter(), time.process_time()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    reads = 8 * len(picked)
    return {
        "per_s": round(reads / (time.perf_counter() - begun)),
        "per_cpu_s": round(reads / (time.process_time() - cpu)),
        "p50_us": "", "p99_us": "",
    }  # fmt: skip


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--patients", type=int, default=1000)
    arguments.add_argument("--reads", type=int, default=4000)
    arguments.add_argument("--times", type=int, default=10, help="how much larger the second is")
    arguments.add_argument("--save", action="store_true")
    asked = arguments.parse_args()
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    results: list[dict[str, Any]] = []
    print(f"{machine}\n{'patients':>9} {'':10} {'/s':>8} {'/CPU s':>8} {'p50 us':>8} {'p99 us':>8}")
    for patients in (asked.patients, asked.patients * asked.times):
        with tempfile.TemporaryDirectory() as folder:
            lake, ids = filled(Path(folder) / "lake", patients)
            with lake:
                choose = random.Random(1)
                cold = [choose.choice(ids) for _ in range(asked.reads)]
                hot = choose.sample(ids, 200) * (asked.reads // 200)
                kept, segment_store.CACHE_BYTES = segment_store.CACHE_BYTES, 0
                measures = {"first": measured(lake, cold), "cold": measured(lake, cold)}
                segment_store.CACHE_BYTES = kept
                measured(lake, hot[:200])
                measures |= {
                    "hot": measured(lake, hot),
                    "8 threads": eight_threads(lake, hot),
                    "row group": row_groups(lake, min(500, asked.reads)),
                }
            for system, found in measures.items():
                row = {"patients": patients, "resources": len(ids), "system": system, **found}
                results.append({**row, "machine": machine})
                print(
                    f"{patients:9} {system:10} {found['per_s']:8} {found['per_cpu_s']:8} "
                    f"{found['p50_us']:>8} {found['p99_us']:>8}"
                )
    if asked.save:
        with RESULTS.open("w", newline="") as out:
            writer = csv.DictWriter(out, list(results[0]))
            writer.writeheader()
            writer.writerows(results)


if __name__ == "__main__":
    main()
