"""NDJSON files: one type a file, every line a resource, the same bytes for the same seed."""

from __future__ import annotations

import gzip
from pathlib import Path

from schemas.parse import parse_resource
from service.synth import generate_population, shared_resources, write_ndjson


def test_one_file_per_type_with_every_resource(tmp_path: Path) -> None:
    counts = write_ndjson(tmp_path / "out", 8, 3)
    for kind, count in counts.items():
        lines = (tmp_path / "out" / f"{kind}.ndjson").read_bytes().splitlines()
        assert len(lines) == count
        assert {parse_resource(line)["resourceType"] for line in lines} == {kind}
    made = sum(len(record.resources) for record in generate_population(8, 3))
    assert sum(counts.values()) == made + len(shared_resources(3))


def test_same_seed_same_files_compressed_too(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        write_ndjson(tmp_path / folder, 4, 3, compress=True)
        write_ndjson(tmp_path / folder, 4, 3)
    names = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert names == sorted(path.name for path in (tmp_path / "b").iterdir())
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    plain = (tmp_path / "a" / "Patient.ndjson").read_bytes()
    assert gzip.decompress((tmp_path / "a" / "Patient.ndjson.gz").read_bytes()) == plain


def test_a_later_part_of_a_population_continues_the_first(tmp_path: Path) -> None:
    write_ndjson(tmp_path / "whole", 6, 3)
    write_ndjson(tmp_path / "first", 4, 3)
    write_ndjson(tmp_path / "second", 2, 3, start=4)
    patients = [
        (tmp_path / folder / "Patient.ndjson").read_bytes()
        for folder in ("whole", "first", "second")
    ]
    assert patients[0] == patients[1] + patients[2]
