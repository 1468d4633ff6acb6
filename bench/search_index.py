"""The search index in both tiers: bytes by table, rate of building blocks, latency of searches.

Run: python bench/search_index.py [--source FOLDER] [--limit N] [--save]
`FOLDER` has Synthea's NDJSON, one `.ndjson.zst` a type (default: that of `CHARTLAKE_DATA`).
"""

from __future__ import annotations

import argparse
import csv
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from schemas.parse import parse_resource
from storage import flush, index
from storage.compressed_files import open_compressed
from storage.lake import Lake, Put

RESULTS = Path(__file__).parent / "results" / "search_index.csv"
BUNDLE = 500
REPEATS = 200


def resources(source: Path, limit: int) -> Iterator[bytes]:
    """Lines of every file, at most `limit` of each."""
    for path in sorted(source.glob("*.ndjson.zst")):
        with open_compressed(path) as file:
            for number, line in enumerate(file):
                if number >= limit:
                    break
                if line.strip():
                    yield line


def load(lake: Lake, source: Path, limit: int) -> tuple[int, int]:
    """Resources and bytes stored."""
    batch: list[Put] = []
    count = size = 0
    for line in resources(source, limit):
        batch.append(Put(parse_resource(line)))
        count, size = count + 1, size + len(line)
        if len(batch) == BUNDLE:
            lake.transact(batch)
            batch = []
    if batch:
        lake.transact(batch)
    return count, size


def bytes_by_table(lake: Lake) -> dict[str, int]:
    """Pages of each table and index, in bytes."""
    with lake._database.reading() as connection:
        rows = connection.execute("SELECT name, sum(pgsize) FROM dbstat GROUP BY 1").fetchall()
        free = connection.execute("PRAGMA freelist_count").get * 4096
    return dict(rows) | {"free pages": free}


def searches(lake: Lake) -> dict[str, Callable[[int], Any]]:
    """What is asked, by name; the number makes each call another one."""
    patients = [v.id for v in lake.search("Patient", [("_count", "500")]).versions]

    def ask(resource_type: str, *params: tuple[str, str]) -> Callable[[int], Any]:
        return lambda n: lake.search(
            resource_type,
            [(k, value.format(p=patients[n * 7 % len(patients)])) for k, value in params],
        )

    return {
        "patient": ask("Observation", ("patient", "{p}")),
        "patient, code": ask("Observation", ("patient", "{p}"), ("code", "8302-2")),
        "patient, date": ask("Observation", ("patient", "{p}"), ("date", "ge2015")),
        "patient, newest first": ask("Observation", ("patient", "{p}"), ("_sort", "-date")),
        "conditions of a patient": ask("Condition", ("patient", "{p}")),
        "code, 10 a page": ask("Observation", ("code", "8302-2"), ("_count", "10")),
        "code, no total": ask(
            "Observation", ("code", "8302-2"), ("_count", "10"), ("_total", "none")
        ),
        "status (all match)": ask("Observation", ("status", "final"), ("_count", "10")),
        "name": ask("Patient", ("name", "an"), ("_count", "10")),
        "value > 100": ask("Observation", ("value-quantity", "gt100"), ("_count", "10")),
    }


def latency_ms(lake: Lake) -> dict[str, float]:
    """The median of each search, everything in memory that is kept there."""
    found = {}
    for name, call in searches(lake).items():
        waits = []
        for number in range(REPEATS):
            began = time.perf_counter()
            call(number)
            waits.append(time.perf_counter() - began)
            if sum(waits) > 5:
                break
        found[name] = round(statistics.median(waits) * 1000, 3)
    return found


def build_rate(lake: Lake) -> tuple[int, float]:
    """Entries a second into blocks: sorted, encoded and compressed, from rows in memory."""
    versions = lake.search("Observation", [("_count", "1000")]).versions
    given = [index.rows(v.resource(), lake._terms.id) for v in versions]
    rows = given * 25
    entries = sum(len(values) for one in rows for values in one.values())
    numbers = np.arange(1, len(rows) + 1)
    began = time.perf_counter()
    index.blocks_of_rows(numbers, np.zeros(len(rows), bool), rows)
    return entries, entries / (time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser()
    data = os.environ.get("CHARTLAKE_DATA", "")
    parser.add_argument("--source", type=Path, default=Path(data) / "fhir/synthea_615_ndjson")
    parser.add_argument("--limit", type=int, default=10**9, help="resources of a type")
    parser.add_argument("--save", action="store_true")
    arguments = parser.parse_args()
    flush.HOT_ROWS, flush.HOT_BYTES = 10**9, 10**12  # by hand below
    with tempfile.TemporaryDirectory() as folder, Lake.open(Path(folder) / "lake") as lake:
        count, size = load(lake, arguments.source, arguments.limit)
        hot = latency_ms(lake)
        began = time.perf_counter()
        lake.flush()
        flush_s = time.perf_counter() - began
        flushed = latency_ms(lake)
        tables = bytes_by_table(lake)
        entries, rate = build_rate(lake)
    print(
        f"Systems: {os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    )
    print(f"Datasets: {count:,} Synthea resources, {size:,} bytes of NDJSON")
    print(f"Method: bundles of {BUNDLE}; median of up to {REPEATS} searches, one caller, no HTTP")
    print(f"flush: {flush_s:.1f} s; blocks: {rate:,.0f} entries/s ({entries:,} entries)")
    rows: list[dict[str, Any]] = [
        {"what": f"p50 ms: {name}", "hot": hot[name], "flushed": flushed[name]} for name in hot
    ]
    rows += [
        {"what": f"bytes/resource: {name}", "hot": "", "flushed": round(pages / count, 2)}
        for name, pages in sorted(tables.items(), key=lambda item: -item[1])
        if pages / count >= 0.2
    ]
    rows.append({"what": "block entries built per s", "hot": "", "flushed": round(rate)})
    for row in rows:
        print(f"{row['what']:45} {row['hot']!s:>10} {row['flushed']!s:>10}")
    if arguments.save:
        with RESULTS.open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)


if __name__ == "__main__":
    main()
