"""Synthetic transaction bundles over HTTP into a fresh lake: resources per second, durable.

Run: python bench/http_transactions.py [--patients N] [--save]
"""

from __future__ import annotations

import argparse
import csv
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from schemas.parse import canonical_bytes
from service.client import Chartlake
from service.demo import running_service
from service.synth import generate_population, transaction_bundle

RESULTS = Path(__file__).parent / "results" / "http_transactions.csv"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--patients", type=int, default=60)
    parser.add_argument("--save", action="store_true")
    arguments = parser.parse_args()
    bundles = [
        canonical_bytes(transaction_bundle(record))
        for record in generate_population(arguments.patients, 11)
    ]
    with tempfile.TemporaryDirectory() as folder, running_service(Path(folder) / "lake") as lake:
        rates = [rate(lake, bundle) for bundle in bundles]
    row = {
        "patients": arguments.patients,
        "median_resources_per_s": round(statistics.median(rates)),
        "p10_resources_per_s": round(sorted(rates)[len(rates) // 10]),
        "python": platform.python_version(),
        "cores": subprocess.run(["nproc"], capture_output=True, text=True).stdout.strip(),
    }
    print(
        "Systems: this machine; Datasets: chartlake synth; Method: one client, one bundle at a time"
    )
    print(row)
    if arguments.save:
        RESULTS.parent.mkdir(exist_ok=True)
        with RESULTS.open("w", newline="") as file:
            writer = csv.DictWriter(file, row)
            writer.writeheader()
            writer.writerow(row)


def rate(lake: Chartlake, bundle: bytes) -> float:
    began = time.perf_counter()
    entries = len(lake.post_bundle(bundle)["entry"])
    return entries / (time.perf_counter() - began)


if __name__ == "__main__":
    sys.exit(main())
