"""NDJSON into encrypted segments, on one core, and what the least of it would cost.

Systems   `ingest`: each line parsed and checked (`schemas.parse`), flat columns, Arrow, sorted by
          patient and date, encrypted Parquet. `segments`: the same from bodies that were checked
          when they were committed, which is what a flush does. `row by row`: `segments` with
          `schemas.views.flatten` a resource at a time. `baseline`: each line parsed by msgspec,
          and the bytes compressed with zstd at the same level; neither columns nor encryption.
Dataset   `fhir/synthea_615_ndjson` of CHARTLAKE_DATA, or the resources of `chartlake synth`
          (`--patients`) when it is not set. Types without a view are in it too.
Method    CPU seconds of the process (other work on the machine counts less), single-threaded;
          resources of a type in batches of 25,000 or 64 MiB, as a flush takes them.
          Run: python bench/segment_ingest.py [--patients N] [--save]
"""

from __future__ import annotations

import argparse
import csv
import os
import platform
import tempfile
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa

from schemas.parse import canonical_bytes, parse_resource
from schemas.views import flat_columns
from service.synth import generate_population
from storage import flat_columns as flat
from storage import segment_columns, segments
from storage.compressed_files import open_compressed
from storage.flush import SEGMENT_BYTES, SEGMENT_ROWS
from storage.keys import new_key
from storage.packed_ids import pack
from storage.segment_files import LocalSegmentFiles

RESULTS = Path(__file__).parent / "results" / "segment_ingest.csv"
SYSTEMS = ("baseline", "row by row", "segments", "ingest")


def synthea(folder: Path) -> Iterator[tuple[str, list[bytes]]]:
    for path in sorted(folder.glob("*.ndjson.zst")):
        with open_compressed(path) as file:
            yield path.name.split(".")[0], [line.rstrip(b"\n") for line in file]


def synthetic(patients: int) -> Iterator[tuple[str, list[bytes]]]:
    found: dict[str, list[bytes]] = defaultdict(list)
    for record in generate_population(patients, 11):
        for resource in record.resources:
            found[resource["resourceType"]].append(canonical_bytes(resource))
    yield from found.items()


def batches(lines: list[bytes]) -> Iterator[list[bytes]]:
    batch: list[bytes] = []
    size = 0
    for line in lines:
        if batch and (len(batch) == SEGMENT_ROWS or size + len(line) > SEGMENT_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(line)
        size += len(line)
    yield batch


def rows(lines: Iterable[bytes], keys: Iterable[tuple[Any, Any]]) -> list[tuple[Any, ...]]:
    """Rows as the hot tier gives them: the packed ids are there, whoever takes the time."""
    return [
        (v, 1, id, 1, 1_700_000_000_000_000, "PUT", 0, patient, line)
        for v, (line, (id, patient)) in enumerate(zip(lines, keys, strict=True), 1)
    ]


def write(files: LocalSegmentFiles, kind: str, given: list[tuple[Any, ...]]) -> int:
    versions = segment_columns.sorted_by_patient(kind, segment_columns.table(kind, given))
    name, key = str(uuid.uuid4()), new_key()
    body_bytes = sum(len(row[8]) for row in given)
    with segments.writing(files, kind, name, versions.schema, key) as writer:
        writer.write(versions, segments.group_rows(body_bytes, len(given)))
    return writer.size


def measured(work: Callable[[], int]) -> tuple[float, int]:
    begun = time.process_time()
    size = work()
    return time.process_time() - begun, size


def keys_of(line: bytes) -> tuple[Any, Any]:
    """The id and the patient's, as the hot tier keeps them."""
    resource = msgspec.json.decode(line)
    about = (resource.get("subject") or resource.get("patient") or {}).get("reference", "")
    patient = resource["id"] if resource["resourceType"] == "Patient" else about.rpartition("/")[2]
    return pack(resource["id"]), pack(patient) if patient else None


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--patients", type=int, default=600, help="when there is no data")
    arguments.add_argument("--save", action="store_true")
    asked = arguments.parse_args()
    data = os.environ.get("CHARTLAKE_DATA")
    source = synthea(Path(data) / "fhir" / "synthea_615_ndjson") if data else synthetic(
        asked.patients
    )  # fmt: skip
    codec, decode = pa.Codec("zstd"), msgspec.json.Decoder().decode
    one_by_one = flat._one_by_one
    seconds: dict[str, float] = defaultdict(float)
    sizes: dict[str, int] = defaultdict(int)
    viewed: dict[str, float] = defaultdict(float)
    with tempfile.TemporaryDirectory() as folder:
        files = LocalSegmentFiles(Path(folder))
        for kind, lines in source:
            has_view = bool(flat_columns(kind))
            for batch in batches(lines):
                keys = [keys_of(line) for line in batch]
                given = rows(batch, keys)

                def baseline(batch: list[bytes] = batch) -> int:
                    for line in batch:
                        decode(line)
                    return int(codec.compress(b"\n".join(batch)).size)

                def row_by_row(kind: str = kind, given: Any = given) -> int:
                    whole = flat.flattened
                    segment_columns.flattened = lambda k, bodies: [
                        pa.chunked_array([column]) for column in one_by_one(k, bodies)
                    ]
                    try:
                        return write(files, kind, given)
                    finally:
                        segment_columns.flattened = whole

                def ingest(kind: str = kind, batch: Any = batch, keys: Any = keys) -> int:
                    for line in batch:
                        parse_resource(line)
                    return write(files, kind, rows(batch, keys))

                work = {
                    "baseline": baseline,
                    "row by row": row_by_row,
                    "segments": lambda kind=kind, given=given: write(files, kind, given),
                    "ingest": ingest,
                }
                raw = sum(map(len, batch))
                sizes["raw"] += raw
                viewed["raw"] += raw * has_view
                for system, do in work.items():
                    took, size = measured(do)
                    seconds[system] += took
                    viewed[system] += took * has_view
                    sizes[system] += size
    machine = (
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"pyarrow {pa.__version__}"
    )
    results = []
    print(f"{sizes['raw'] / 1e6:.0f} MB of NDJSON; {machine}")
    print(f"{'':12} {'CPU s':>8} {'MB/s':>8} {'baseline ×':>10} {'viewed MB/s':>12} {'disk MB':>8}")
    for system in SYSTEMS:
        rate = sizes["raw"] / seconds[system] / 1e6
        row = {
            "system": system, "cpu_s": round(seconds[system], 2), "mb_per_s": round(rate, 1),
            "times_baseline": round(seconds[system] / seconds["baseline"], 2),
            "viewed_mb_per_s": round(viewed["raw"] / viewed[system] / 1e6, 1),
            "disk_mb": round(sizes[system] / 1e6, 1),
            "raw_mb": round(sizes["raw"] / 1e6), "machine": machine,
        }  # fmt: skip
        results.append(row)
        print(
            f"{system:12} {row['cpu_s']:8} {row['mb_per_s']:8} {row['times_baseline']:10} "
            f"{row['viewed_mb_per_s']:12} {row['disk_mb']:8}"
        )
    if asked.save:
        with RESULTS.open("w", newline="") as out:
            writer = csv.DictWriter(out, list(results[0]))
            writer.writeheader()
            writer.writerows(results)


if __name__ == "__main__":
    main()
