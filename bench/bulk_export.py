"""Bulk export: megabytes of NDJSON a second, from the request to the last byte fetched.

An export decrypts and decompresses the lake's segments, and compresses and encrypts its own files;
fetching them decrypts and decompresses again.

Run: python bench/bulk_export.py [--patients N] [--save]
"""

from __future__ import annotations

import argparse
import csv
import os
import platform
import tempfile
import time
from pathlib import Path

from starlette.testclient import TestClient

from service.app import create_app
from service.settings import load_settings
from service.synth.population import generate_resources
from storage.lake import Lake, Put

COMMIT = 2_000
RESULTS = Path(__file__).parent / "results" / "bulk_export.csv"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--patients", type=int, default=500)
    parser.add_argument("--save", action="store_true")
    arguments = parser.parse_args()
    rows = []
    settings = load_settings({"nlp": False}, environ={})
    with tempfile.TemporaryDirectory() as folder, Lake.open(Path(folder) / "lake") as lake:
        resources, waiting = 0, []
        for resource in generate_resources(arguments.patients, seed=11):
            waiting.append(Put(resource))
            if len(waiting) == COMMIT:
                lake.transact(waiting)
                resources, waiting = resources + COMMIT, []
        lake.transact(waiting)
        resources += len(waiting)
        lake.flush()
        print(
            f"Systems: {os.cpu_count()} cores, Python {platform.python_version()}, load "
            f"{os.getloadavg()[0]:.1f}; Datasets: {resources:,} resources of "
            f"{arguments.patients} synthetic patients; Method: in-process HTTP"
        )
        with TestClient(create_app(lake, settings), base_url="http://localhost") as client:
            for name, url in (
                ("system", "$export"),
                ("patient", "Patient/$export"),
                ("patient, by patient", "Patient/$export?organizeOutputBy=Patient"),
                ("patient, _elements", "Patient/$export?_elements=id,code,subject"),
            ):
                rows.append({"export": name, **measure(client, url)})
                print(rows[-1])
    if arguments.save:
        with RESULTS.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, rows[0], lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)


def measure(client: TestClient, url: str) -> dict[str, float]:
    """Wall time until the manifest is there, and until all files are fetched."""
    began = time.perf_counter()
    place = client.get(f"/fhir/{url}").headers["content-location"]
    while (answer := client.get(place)).status_code == 202:
        time.sleep(0.005)
    written = time.perf_counter() - began
    sizes = [len(client.get(entry["url"]).content) for entry in answer.json()["output"]]
    fetched = time.perf_counter() - began
    megabytes = sum(sizes) / 1e6
    client.delete(place)
    return {
        "resources": sum(entry["count"] for entry in answer.json()["output"]),
        "megabytes": round(megabytes, 1),
        "written_mb_per_s": round(megabytes / written, 1),
        "written_and_fetched_mb_per_s": round(megabytes / fetched, 1),
    }


if __name__ == "__main__":
    main()
