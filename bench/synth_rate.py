"""Synthetic resources per second on one core: generated, and generated and encoded as JSON.

Run: python bench/synth_rate.py [--patients N] [--repeat R] [--seed S] [--save]
"""

from __future__ import annotations

import argparse
import csv
import os
import platform
import statistics
import time
from pathlib import Path

from schemas.parse import canonical_bytes
from service.synth import generate_population

RESULTS = Path(__file__).parent / "results" / "synth_rate.csv"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--patients", type=int, default=500)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--save", action="store_true")
    arguments = parser.parse_args()
    runs = [rates(arguments.patients, arguments.seed) for _ in range(arguments.repeat)]
    resources, size = runs[0][2:]
    generated, encoded = ([run[which] for run in runs] for which in (0, 1))
    row = {
        "patients": arguments.patients,
        "resources": resources,
        "bytes_per_resource": round(size / resources),
        "repeat": arguments.repeat,
        "generated_per_s": round(statistics.median(generated)),
        "generated_spread": round(statistics.pstdev(generated)),
        "encoded_per_s": round(statistics.median(encoded)),
        "encoded_spread": round(statistics.pstdev(encoded)),
        "processor": processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
    }
    print(f"Systems: {row['processor']}, {row['cores']} cores, Python {row['python']}")
    print(f"Datasets: chartlake synth, seed {arguments.seed}, {arguments.patients} patients")
    print("Method: one process, one core; median of the runs; encoding is schemas.parse's")
    for name, value in row.items():
        print(f"{name:20} {value}")
    if arguments.save:
        RESULTS.parent.mkdir(exist_ok=True)
        with RESULTS.open("w", newline="") as file:
            writer = csv.DictWriter(file, row)
            writer.writeheader()
            writer.writerow(row)


def rates(patients: int, seed: int) -> tuple[float, float, int, int]:
    """Resources per second generated; generated and encoded; how many; their bytes."""
    began = time.perf_counter()
    resources = sum(len(record.resources) for record in generate_population(patients, seed))
    generated = time.perf_counter() - began
    began, size = time.perf_counter(), 0
    for record in generate_population(patients, seed):
        for resource in record.resources:
            size += len(canonical_bytes(resource))
    encoded = time.perf_counter() - began
    return resources / generated, resources / encoded, resources, size


def processor() -> str:
    """The processor's name, where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


if __name__ == "__main__":
    main()
