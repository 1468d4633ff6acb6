"""Write a population as NDJSON, one file per resource type, as Bulk Data servers export it.

https://hl7.org/fhir/uv/bulkdata/
"""

from __future__ import annotations

import gzip
from collections import Counter
from datetime import date
from pathlib import Path
from typing import BinaryIO, cast

from schemas.parse import canonical_bytes
from service.synth.concepts import Json
from service.synth.facility import shared_resources
from service.synth.population import generate_population
from service.synth.record import DEFAULT_AS_OF

_FLUSH_BYTES = 1 << 20  # per type; what bounds memory, whatever the size of the population


class _Files:
    """The open files of a folder, one for each type seen, with a buffer each."""

    def __init__(self, folder: Path, compress: bool) -> None:
        self._folder, self._compress = folder, compress
        self._files: dict[str, BinaryIO] = {}
        self._buffers: dict[str, bytearray] = {}
        self.counts: Counter[str] = Counter()

    def write(self, resource: Json) -> None:
        kind = resource["resourceType"]
        buffer = self._buffers.get(kind)
        if buffer is None:
            buffer = self._buffers[kind] = bytearray()
            self._files[kind] = self._open(kind)
        buffer += canonical_bytes(resource)
        buffer += b"\n"
        self.counts[kind] += 1
        if len(buffer) >= _FLUSH_BYTES:
            self._files[kind].write(buffer)
            buffer.clear()

    def _open(self, kind: str) -> BinaryIO:
        if self._compress:
            # No name and no time in the header: the same seed gives the same bytes.
            raw = (self._folder / f"{kind}.ndjson.gz").open("wb")
            return cast(
                BinaryIO,
                gzip.GzipFile(filename="", mode="wb", compresslevel=5, fileobj=raw, mtime=0),
            )
        return (self._folder / f"{kind}.ndjson").open("wb")

    def close(self) -> None:
        for kind, file in self._files.items():
            file.write(self._buffers[kind])
            raw = getattr(file, "fileobj", None)
            file.close()
            if raw is not None:
                raw.close()


def write_ndjson(
    out_dir: Path | str,
    patients: int,
    seed: int,
    *,
    compress: bool = False,
    start: int = 0,
    as_of: date = DEFAULT_AS_OF,
) -> dict[str, int]:
    """Write patients `start` to `start + patients - 1` and the shared resources.

    One `<Type>.ndjson` (with `compress`: `.ndjson.gz`) for each type in `out_dir`, which is made
    if need be; files of the same name are replaced. Memory stays bounded whatever `patients` is.
    Returns the number of resources by type. Raises OSError when the folder cannot be written.
    """
    folder = Path(out_dir)
    folder.mkdir(parents=True, exist_ok=True)
    files = _Files(folder, compress)
    try:
        for resource in shared_resources(seed):
            files.write(resource)
        for record in generate_population(patients, seed, start=start, as_of=as_of):
            for resource in record.resources:
                files.write(resource)
    finally:
        files.close()
    return dict(files.counts)
