"""What validating costs, by level: CPU microseconds a resource, in one thread, nothing stored.

    CHARTLAKE_DATA=… python -m bench.validation [RESOURCES]

Resources (by default 3,000) are taken evenly from all Synthea NDJSON files that `CHARTLAKE_DATA`
has, with US Core 6.1.0 stored in the lake; what is refused is counted, by the places of the first
issues.
"""

from __future__ import annotations

import itertools
import os
import sys
import tarfile
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from schemas.parse import parse_resource
from service.bulk_files import find_files, read_lines
from service.validation import STRICT, STRUCTURE_ONLY, Validation
from storage.lake import Lake, Put

Json = dict[str, Any]
FOLDERS = ("fhir/synthea_615_ndjson", "fhir/synthea_uscore_79_ndjson_notes")


def load_us_core(lake: Lake, path: Path) -> None:
    """Store the definitions of the package."""
    puts = []
    with tarfile.open(path) as package:
        for member in package:
            folder, _, name = member.name.rpartition("/")
            file = package.extractfile(member)
            wanted = ("StructureDefinition-", "ValueSet-", "CodeSystem-")
            if file is not None and folder == "package" and name.startswith(wanted):
                puts.append(Put(parse_resource(file.read())))
    lake.transact(puts)


def sample(folder: Path, wanted: int) -> list[Json]:
    """About as many resources of each file."""
    files = find_files([folder]).files
    share = max(1, wanted // len(files))
    return [
        parse_resource(line.body)
        for path in files
        for line in itertools.islice(read_lines(path), share)
    ]


def measure(validation: Validation, resources: list[Json]) -> tuple[float, Counter[str]]:
    """Best of three, in microseconds a resource; and who was refused why."""
    best = float("inf")
    for _ in range(3):
        refused: Counter[str] = Counter()
        begun = time.process_time()
        for resource in resources:
            for issue in validation.issues(resource, resource["resourceType"]):
                if issue.severity == "error":
                    refused[f"{issue.expression[0]}: {issue.diagnostics[-120:]}"] += 1
                    break
        best = min(best, time.process_time() - begun)
    return best / len(resources) * 1e6, refused


def main() -> None:
    """Measure each level on each corpus."""
    data = Path(os.environ["CHARTLAKE_DATA"])
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else 3_000
    for name in FOLDERS:
        resources = sample(data / name, wanted)
        with tempfile.TemporaryDirectory() as folder:
            lake = Lake.open(Path(folder) / "lake")
            for label, level, with_profiles in (
                ("structure-only", STRUCTURE_ONLY, False),
                ("strict, profiles not known", STRICT, False),
                ("strict, US Core stored", STRICT, True),
            ):
                if with_profiles:
                    load_us_core(lake, data / "conformance/us-core/us_core_610.tgz")
                micros, refused = measure(Validation(lake, level=level), resources)
                print(f"{name}: {label}: {micros:.0f} µs, {sum(refused.values())} refused "
                      f"of {len(resources):,}")  # fmt: skip
                for text, count in refused.most_common(8):
                    print(f"    {count} {text}")
            lake.close(flush=False)


if __name__ == "__main__":
    main()
