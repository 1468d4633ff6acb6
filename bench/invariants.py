"""R4's invariants: CPU time a resource by type, beside that of validating its structure.

Run: CHARTLAKE_DATA=… python bench/invariants.py [--per-type N] [--save]

The resources are Synthea's, read before the clock starts. CPU time, so that other work on the
machine counts little.
"""

from __future__ import annotations

import argparse
import csv
import gc
import os
import platform
import subprocess
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

from schemas.invariants import issues
from schemas.parse import parse_resource
from schemas.validate import validate

FOLDER = "fhir/synthea_615_ndjson"
RESULTS = Path(__file__).parent / "results" / "invariants.csv"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--per-type", type=int, default=2000)
    parser.add_argument("--save", action="store_true")
    arguments = parser.parse_args()
    folder = Path(os.environ.get("CHARTLAKE_DATA", "")) / FOLDER
    if "CHARTLAKE_DATA" not in os.environ or not folder.is_dir():
        raise SystemExit(f"CHARTLAKE_DATA does not name a folder with {FOLDER}")
    print(f"System: {platform.machine()}, Python {platform.python_version()}")
    rows = [measured(path, arguments.per_type) for path in sorted(folder.glob("*.zst"))]
    for row in rows:
        print(
            "{type:24} {resources:6} {invariants_us:8.1f} µs {structure_us:8.1f} µs".format(**row)
        )
    total = sum(row["resources"] for row in rows)
    mean = sum(row["resources"] * row["invariants_us"] for row in rows) / total
    print(f"{'all':24} {total:6} {mean:8.1f} µs; issues: {sum(row['issues'] for row in rows)}")
    if arguments.save:
        with RESULTS.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, rows[0])
            writer.writeheader()
            writer.writerows(rows)


def measured(path: Path, most: int) -> dict[str, Any]:
    """One file: its type, and microseconds a resource."""
    with subprocess.Popen(["zstd", "-dcq", str(path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        resources = [parse_resource(line) for line in islice(process.stdout, most)]
        process.kill()  # This process alone: the reader may stop before the end.
    found = [issue for resource in resources for issue in issues(resource)]
    return {
        "type": resources[0]["resourceType"],
        "resources": len(resources),
        "invariants_us": round(_cpu_us(issues, resources), 1),
        "structure_us": round(_cpu_us(validate, resources), 1),
        "issues": len(found),
    }


def _cpu_us(work: Callable[[dict[str, Any]], Any], resources: list[dict[str, Any]]) -> float:
    gc.collect()
    gc.disable()
    began = time.process_time()
    for resource in resources:
        work(resource)
    spent = time.process_time() - began
    gc.enable()
    return spent / len(resources) * 1e6


if __name__ == "__main__":
    main()
