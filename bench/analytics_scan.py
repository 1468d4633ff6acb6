"""SQL over encrypted segments against DuckDB reading the same rows from plaintext Parquet.

Systems   this product's `storage.analytics.sql` (encrypted segments, columns decrypted into a
          memory cache; "cold" is with an empty cache), the same through a lazy decrypting
          pyarrow dataset, and DuckDB on one plaintext Parquet file (warm page cache).
Dataset   synthetic Observations, `--rows` of them in `--segments` segments sorted by patient,
          with the columns of the observation view; nothing of a real person.
Method    each query `--runs` times; median and minimum in ms, connection included, and CPU
          ms; answers of all systems must be equal. Run: python bench/analytics_scan.py [--save]
"""

from __future__ import annotations

import argparse
import csv
import datetime as dt
import os
import platform
import statistics
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from schemas.outcomes import FhirError, error
from schemas.views import flat_columns
from storage import segment_columns as layout
from storage import segments as segment_format
from storage.analytics import cohort, column_cache, segment_columns, sql
from storage.keys import new_key
from storage.segment_files import LocalSegmentFiles
from storage.segments import SegmentFile

LOINC = "http://loinc.org"
TYPES = {
    "string": pa.string(),
    "double": pa.float64(),
    "boolean": pa.bool_(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us", tz="UTC"),
    "list<string>": pa.list_(pa.string()),
}
QUERIES = {
    "group-by": "SELECT code, count(*) n, avg(value_number) mean FROM observation "
    "GROUP BY code ORDER BY n DESC, code",
    "filtered aggregate": "SELECT value_unit, count(*) n, avg(value_number) mean "
    "FROM observation WHERE code = '1007-7' AND effective >= '2015-01-01' "
    "GROUP BY value_unit ORDER BY value_unit",
    "one patient": "SELECT count(*) n, avg(value_number) mean FROM observation "
    "WHERE patient_id = 'patient-000777'",
    "count": "SELECT count(*) n FROM observation",
    "top 50 bodies": "SELECT id, body FROM observation WHERE patient_id >= 'patient-000777' "
    "ORDER BY patient_id, id LIMIT 50",
}


class Snapshot:
    """Observations in segments and Patients, with a part of the versions superseded."""

    t = 1
    instant = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)

    def __init__(self, segments: list[SegmentFile], empty: pa.Table, patients: pa.Table) -> None:
        self._segments, self._empty, self._patients = segments, empty, patients
        self.hidden = pa.array([], pa.int64())

    def segments(self, resource_type: str) -> list[SegmentFile]:
        return self._segments if resource_type == "Observation" else []

    def hot_rows(self, resource_type: str) -> pa.Table:
        return self._patients if resource_type == "Patient" else self._empty

    def failure(self, exception: BaseException) -> FhirError | None:
        return None

    def superseded(self, resource_type: str) -> pa.Array:
        return self.hidden if resource_type == "Observation" else self.hidden[:0]


def base_columns(ids: list[str], patients: list[str], bodies: list[bytes]) -> dict[str, pa.Array]:
    rows = len(ids)
    when = pa.repeat(pa.scalar(Snapshot.instant, TYPES["timestamp"]), rows)
    return {
        "v": pa.array(range(rows), pa.int64()),
        "t": pa.repeat(pa.scalar(1, pa.int64()), rows),
        "id": pa.array(ids),
        "version_id": pa.repeat(pa.scalar(1, pa.int64()), rows),
        "last_updated": when,
        "method": pa.repeat(pa.scalar("PUT"), rows),
        "deleted": pa.repeat(pa.scalar(False), rows),
        "patient_id": pa.array(patients),
        "body": pa.array(bodies, pa.binary()),
    }


def with_flat(table: dict[str, pa.Array], resource_type: str, known: dict[str, Any]) -> pa.Table:
    rows = len(table["v"])
    for column in flat_columns(resource_type):
        found = known.get(column.name)
        kind = TYPES[column.kind]
        table[column.name] = pa.nulls(rows, kind) if found is None else pa.array(found, kind)
    target = layout.schema(resource_type)
    return pa.Table.from_arrays([table[name] for name in target.names], schema=target)


def observations(rows: int, patients: int) -> pa.Table:
    random = np.random.default_rng(7)
    owner = np.sort(random.integers(0, patients, rows))
    which = random.zipf(1.3, rows) % 120
    codes = [f"{1000 + n}-{n % 10}" for n in range(120)]
    units = ["mg/dL", "%", "kg"]
    code = [codes[n] for n in which]
    value = random.normal(100, 30, rows).round(1)
    bodies = [
        f'{{"resourceType":"Observation","id":"o{n}","status":"final","code":{{"coding":[{{'
        f'"system":"{LOINC}","code":"{code[n]}"}}]}},"valueQuantity":{{"value":{value[n]}}},'
        f'"note":"{"x" * 300}"}}'.encode()
        for n in range(rows)
    ]
    table = base_columns(
        [f"o{n}-{n * 2654435761 % 2**32:08x}" for n in range(rows)],
        [f"patient-{n:06}" for n in owner],
        bodies,
    )
    known = {
        "code_system": [LOINC] * rows,
        "code": code,
        "code_display": [f"display of {c}" for c in code],
        "code_text": [f"display of {c}" for c in code],
        "codes": [[f"{LOINC}|{c}"] for c in code],
        "category": ["laboratory"] * rows,
        "status": ["final"] * rows,
        "effective": random.integers(0, 1_700_000_000_000_000, rows),
        "value_number": value,
        "value_unit": [units[n % 3] for n in which],
        "source": ["structured"] * rows,
    }
    return with_flat(table, "Observation", known)


def people(patients: int) -> pa.Table:
    ids = [f"patient-{n:06}" for n in range(patients)]
    known = {
        "gender": ["female" if n % 2 else "male" for n in range(patients)],
        "birth_date": [dt.date(1930 + n % 80, 1 + n % 12, 1 + n % 28) for n in range(patients)],
        "birth_date_text": ["1930-01-01"] * patients,
        "deceased": [False] * patients,
    }
    return with_flat(base_columns(ids, ids, [b"{}"] * patients), "Patient", known)


def written(files: LocalSegmentFiles, versions: pa.Table) -> SegmentFile:
    """A segment as a flush writes it."""
    name, key = str(uuid.uuid4()), new_key()
    body_bytes = versions["body"].nbytes
    with segment_format.writing(files, "Observation", name, versions.schema, key) as writer:
        writer.write(versions, segment_format.group_rows(body_bytes, versions.num_rows))
    return SegmentFile(
        name, "Observation", files.filesystem, files.path("Observation", name),
        files.cache_key("Observation", name), segment_format.decryption_properties(name, key),
        versions.num_rows, lambda _, failure: error("internal", type(failure).__name__),
        segment_format.data_key_unwrapper(name, key),
    )  # fmt: skip


def timed(runs: int, work: Callable[[], Any], before: Callable[[], None] | None = None) -> Any:
    taken, cpu = [], []
    for _ in range(runs):
        if before:
            before()
        begun, used = time.perf_counter(), time.process_time()
        answer = work()
        taken.append((time.perf_counter() - begun) * 1000)
        cpu.append((time.process_time() - used) * 1000)
    return (
        round(statistics.median(taken), 1),
        round(min(taken), 1),
        round(statistics.median(cpu), 1),
        answer,
    )


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rows", type=int, default=1_000_000)
    arguments.add_argument("--segments", type=int, default=5)
    arguments.add_argument("--runs", type=int, default=7)
    arguments.add_argument("--save", action="store_true", help="write bench/results/*.csv")
    asked = arguments.parse_args()
    results: list[dict[str, Any]] = []
    machine = (
        f"{platform.machine()}, {os.cpu_count()} cores, DuckDB {duckdb.__version__}, "
        f"pyarrow {pa.__version__}"
    )

    def add(system: str, query: str, measured: Any) -> Any:
        median, least, cpu, answer = measured
        results.append(
            {"system": system, "query": query, "rows": asked.rows, "n": asked.runs,
             "median_ms": median, "min_ms": least, "cpu_ms": cpu, "machine": machine}
        )  # fmt: skip
        print(f"{system:44} {query:20} {median:9.1f} {least:9.1f} {cpu:9.1f}")
        return answer

    with tempfile.TemporaryDirectory() as folder:
        table = observations(asked.rows, asked.rows // 100)
        plain = Path(folder) / "plain.parquet"
        pq.write_table(table, plain, compression="zstd", row_group_size=16_384)
        segments = []
        step = -(-asked.rows // asked.segments)
        files = LocalSegmentFiles(Path(folder) / "lake")
        for start in range(0, asked.rows, step):
            segments.append(written(files, table.slice(start, step)))
        snapshot = Snapshot(segments, table.slice(0, 0), people(asked.rows // 100))
        del table

        def forget() -> None:
            column_cache.CACHE.forget(files.place)

        native = duckdb.connect(config={"threads": str(min(4, os.cpu_count() or 1))})
        native.execute(
            f"CREATE VIEW observation AS SELECT * REPLACE (decode(body) AS body) FROM '{plain}'"
        )
        lazy = duckdb.connect(config={"threads": str(min(4, os.cpu_count() or 1))})
        lazy.execute("SET TimeZone = 'UTC'")
        lazy.register("raw", segment_columns.dataset(segments))
        lazy.execute("CREATE VIEW observation AS SELECT * REPLACE (decode(body) AS body) FROM raw")
        native.execute("SET TimeZone = 'UTC'")
        print(f"{'':65} {'median ms':>9} {'min ms':>9} {'CPU ms':>9}")
        for name, query in QUERIES.items():
            expected = add(
                "DuckDB, plaintext Parquet", name,
                timed(asked.runs, lambda query=query: native.execute(query).fetchall()),
            )  # fmt: skip
            other = add(
                "DuckDB, decrypting pyarrow.dataset", name,
                timed(asked.runs, lambda query=query: lazy.execute(query).fetchall()),
            )  # fmt: skip
            ours = [
                add("chartlake, cold", name,
                    timed(asked.runs, lambda query=query: sql.run(snapshot, query), forget)),
                add("chartlake", name,
                    timed(asked.runs, lambda query=query: sql.run(snapshot, query))),
            ]  # fmt: skip
            for answer in (other, *(list(table.rows()) for table in ours)):
                assert _rounded(answer) == _rounded(expected), name
        snapshot.hidden = pa.array(range(0, asked.rows, 50), pa.int64())
        for name in ("group-by", "filtered aggregate"):
            query = QUERIES[name]
            add("chartlake, 2 % superseded", name,
                timed(asked.runs, lambda query=query: sql.run(snapshot, query)))  # fmt: skip
        definition = {
            "name": "bench",
            "include": [
                {"age": {"min": 40, "max": 75}},
                {"observation": {"codes": ["loinc|1007-7", "loinc|1008-8"], "select": "latest",
                                 "value": {"gt": 120, "unit": "%"}}},
                {"gender": "female"},
            ],
        }  # fmt: skip
        for system, before in (("chartlake, cold", forget), ("chartlake", None)):
            add(system, "cohort",
                timed(asked.runs, lambda: cohort.run(snapshot, definition), before))  # fmt: skip
    print(machine)
    if asked.save:
        target = Path(__file__).parent / "results" / "analytics_scan.csv"
        target.parent.mkdir(exist_ok=True)
        with target.open("w", newline="") as out:
            writer = csv.DictWriter(out, list(results[0]))
            writer.writeheader()
            writer.writerows(results)


def _rounded(rows: list[Any]) -> list[Any]:
    return [tuple(round(x, 6) if isinstance(x, float) else x for x in row) for row in rows]


if __name__ == "__main__":
    main()
