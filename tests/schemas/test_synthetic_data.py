"""Synthea's resources, when CHARTLAKE_DATA names the folder that has them."""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest

from schemas.compartments import PATIENT_PARAMS, patient_ids
from schemas.invariants import issues
from schemas.parse import canonical_bytes, parse_resource
from schemas.search_values import extract
from schemas.validate import validate
from schemas.views import flatten

PER_FILE = 400


def _files(pattern: str) -> list[Path]:
    data = os.environ.get("CHARTLAKE_DATA")
    files = sorted(Path(data).glob(f"fhir/{pattern}")) if data else []
    if not files:
        pytest.skip("CHARTLAKE_DATA does not name a folder with fhir/ in it")
    return files


def _lines(path: Path) -> Iterator[bytes]:
    if path.suffix != ".zst":
        with gzip.open(path) as stream:
            yield from stream
        return
    program = shutil.which("zstd")
    if program is None:
        pytest.skip("the program zstd is not installed; the bulk files are compressed with it")
    with subprocess.Popen([program, "-dc", str(path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            yield from process.stdout
        finally:
            process.kill()  # This process alone: the reader may stop before the end.


def test_bulk_files_are_valid_and_come_back_byte_for_byte() -> None:
    for path in _files("*/*.ndjson.*"):
        if path.name.startswith("log."):
            continue
        for line in islice(_lines(path), PER_FILE):
            resource = parse_resource(line)
            assert canonical_bytes(resource) == line.rstrip(), path.name
            assert validate(resource) == [], path.name
            assert issues(resource) == [], path.name
            assert extract(resource)
            flatten(resource)
            if resource["resourceType"] in ("Observation", "Condition", "Encounter"):
                assert len(patient_ids(resource)) == 1
            assert resource["resourceType"] in PATIENT_PARAMS or not patient_ids(resource)


def test_transaction_bundles_are_valid() -> None:
    for path in _files("transaction_bundles/*.json.gz")[:8]:
        bundle = parse_resource(gzip.decompress(path.read_bytes()))
        assert validate(bundle, "Bundle") == []
        assert issues(bundle) == []
        assert parse_resource(canonical_bytes(bundle)) == bundle
