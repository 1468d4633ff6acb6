"""Files of FHIR resources on disk: found, opened, and read resource by resource.

NDJSON (one resource a line), single resources, and Bundles; plain, gzip or Zstandard.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from storage.compressed_files import open_compressed

SUFFIXES = (".ndjson", ".json", ".jsonl")
_PACKED = (".gz", ".zst")
MAX_LINE_BYTES = 67_108_864

# What others refer to comes first, so that references find their targets.
_FIRST = ("Organization", "Location", "Practitioner", "PractitionerRole", "Patient", "Binary")


class Line(NamedTuple):
    """One resource's bytes and where they came from; `number` counts from 1."""

    path: Path
    number: int
    body: bytes


def find_files(paths: list[Path]) -> list[Path]:
    """The importable files among `paths` and in the folders among them, referred-to types first.

    Raises `FileNotFoundError` naming a path that does not exist.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            found.extend(p for p in sorted(path.rglob("*")) if p.is_file() and _importable(p))
        elif path.exists():
            found.append(path)
        else:
            raise FileNotFoundError(f"{path} does not exist")
    return sorted(dict.fromkeys(found), key=_rank)


def is_ndjson(path: Path) -> bool:
    """True when each line of the file is a resource."""
    return any(suffix in (".ndjson", ".jsonl") for suffix in path.suffixes)


def read_lines(path: Path) -> Iterator[Line]:
    """Resources of an NDJSON file, blank lines skipped, in bounded memory.

    Raises `ValueError` for a line longer than `MAX_LINE_BYTES`, `OSError` for a damaged file.
    """
    with open_compressed(path) as file:
        number = 0
        while line := file.readline(MAX_LINE_BYTES + 1):
            number += 1
            if len(line) > MAX_LINE_BYTES:
                raise ValueError(f"line {number} is longer than {MAX_LINE_BYTES:,} bytes")
            if line.strip():
                yield Line(path, number, line.rstrip(b"\r\n"))


def read_whole(path: Path) -> bytes:
    """Bytes of a file that holds one resource or Bundle."""
    with open_compressed(path) as file:
        return file.read()


def _importable(path: Path) -> bool:
    suffixes = path.suffixes[:-1] if path.suffix in _PACKED else path.suffixes
    return bool(suffixes) and suffixes[-1] in SUFFIXES


def _rank(path: Path) -> tuple[int, str]:
    kind = path.name.split(".")[0].split("-")[0]
    return (_FIRST.index(kind) if kind in _FIRST else len(_FIRST), str(path))
