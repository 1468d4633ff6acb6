"""Files of FHIR resources on disk: found, opened, and read resource by resource.

NDJSON (one resource a line), single resources, and Bundles; plain, gzip or Zstandard.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from storage.compressed_files import open_compressed

SUFFIXES = (".ndjson", ".json", ".jsonl")
_PACKED = (".gz", ".zst")
# https://confluence.hl7.org/display/FHIR/NPM+Package+Specification, also in older packages.
_VERSIONS = frozenset({"fhirVersions", "fhir-version-list"})
MAX_LINE_BYTES = 67_108_864

# What others refer to, or are validated by, comes first.
_FIRST = (
    "CodeSystem", "ValueSet", "StructureDefinition", "Organization", "Location", "Practitioner",
    "PractitionerRole", "Patient", "Binary",
)  # fmt: skip


class Line(NamedTuple):
    """One resource's bytes and where they came from; `number` counts from 1."""

    path: Path
    number: int
    body: bytes


class Found(NamedTuple):
    """Files to import, and what was left out of FHIR packages, in words."""

    files: list[Path]
    left_out: list[str]


def find_files(paths: list[Path]) -> Found:
    """The importable files among `paths` and in the folders among them, referred-to types first.

    Of a FHIR package (a folder whose `package.json` says so) it is the resources at its top: its
    index and its other folders are not content of it. They can be named themselves.
    https://confluence.hl7.org/display/FHIR/NPM+Package+Specification

    Raises `FileNotFoundError` naming a path that does not exist.
    """
    found: list[Path] = []
    left_out: list[str] = []
    for path in paths:
        if path.is_dir():
            importable = [p for p in sorted(path.rglob("*")) if p.is_file() and _importable(p)]
            for package, name in _packages(importable):
                inside = [p for p in importable if p.is_relative_to(package)]
                kept = [p for p in inside if _is_content(p, package)]
                importable = [p for p in importable if p in set(kept) or p not in set(inside)]
                if others := _described(package, set(inside) - set(kept)):
                    left_out.append(f"{name}: left out {others}")
            found.extend(importable)
        elif path.exists():
            found.append(path)
        else:
            raise FileNotFoundError(f"{path} does not exist")
    return Found(sorted(dict.fromkeys(found), key=_rank), left_out)


def _packages(files: list[Path]) -> list[tuple[Path, str]]:
    """The folders of FHIR packages among those of the files, with name and version."""
    found = []
    for path in files:
        if path.name != "package.json":
            continue
        try:
            described = json.loads(path.read_bytes())
        except (OSError, ValueError):
            continue
        if isinstance(described, dict) and _VERSIONS & described.keys():
            found.append((path.parent, f"{described.get('name')} {described.get('version')}"))
    return found


def _is_content(path: Path, package: Path) -> bool:
    return path.parent == package and path.name not in ("package.json", ".index.json")


def _described(package: Path, left_out: set[Path]) -> str:
    """The files and folders of a package that are not content of it."""
    names = {path.relative_to(package) for path in left_out}
    tops = {f"{name.parts[0]}/" if len(name.parts) > 1 else name.name for name in names}
    return ", ".join(sorted(tops))


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
