"""Files into a lake: good resources are stored, bad ones are named, none is lost silently."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from schemas.ids import new_id
from schemas.outcomes import FhirError
from schemas.parse import canonical_bytes, parse_resource
from schemas.validation_mark import is_marked
from service.bulk_files import Line, is_ndjson, read_lines, read_whole
from service.bundle_entries import check_envelope
from service.ingest import Ingest
from service.interactions.transaction import transact
from storage.lake import Put

BATCH_ROWS = 500

# Bundles whose resources are imported, not they themselves.
_OPENED = ("transaction", "collection", "searchset")

Progress = Callable[[int], None]


@dataclass
class ImportReport:
    """What became of every resource: counts by type, and one `Rejected` for each refused.

    `invalid`: how many of the stored are not valid (validation level `minimal`).
    """

    stored: Counter[str] = field(default_factory=Counter)
    rejected: list[Rejected] = field(default_factory=list)
    invalid: int = 0


@dataclass(frozen=True)
class Rejected:
    """A resource (or file) that was not stored: where it stands, which element, and why."""

    path: str
    line: int
    expression: str
    reason: str


Batch = dict[tuple[str, str], tuple[Line, dict[str, Any]]]


class Importer:
    """Imports files into a lake through the main path, `BATCH_ROWS` resources a commit."""

    def __init__(self, ingest: Ingest) -> None:
        self.ingest = ingest
        self.report = ImportReport()
        # Resources of one type, each from a file of its own.
        self._single: Batch = {}

    def run(self, files: Iterable[Path], progress: Progress = lambda _stored: None) -> ImportReport:
        """Import all files; `progress` is called with the number of resources just dealt with."""
        for path in files:
            try:
                if is_ndjson(path):
                    self._store_single(progress)
                    self._lines(read_lines(path), progress)
                else:
                    self._document(path, read_whole(path), progress)
            except (OSError, ValueError, EOFError) as failure:
                self._reject(path, 0, "", f"the file cannot be read on: {failure}")
        self._store_single(progress)
        return self.report

    def _lines(self, lines: Iterator[Line], progress: Progress) -> None:
        batch: Batch = {}
        for line in lines:
            resource = self._accept(line.path, line.number, line.body)
            if resource is None:
                progress(1)
                continue
            key = (resource["resourceType"], resource["id"])
            if key in batch or len(batch) >= BATCH_ROWS:
                self._store(batch, progress)
                batch = {}
            batch[key] = (line, resource)
        self._store(batch, progress)

    def _store_single(self, progress: Progress) -> None:
        batch, self._single = self._single, {}
        self._store(batch, progress)

    def _store(self, batch: Batch, progress: Progress) -> None:
        if not batch:
            return
        puts: list[Put] = []
        pending = {key: resource for key, (_, resource) in batch.items()}
        for line, resource in batch.values():
            try:
                self.ingest.check_note(resource, pending)
            except FhirError as failure:
                self._refuse(line.path, line.number, failure)
                continue
            puts.append(Put(resource))
        if puts:
            self.ingest.commit(puts)
        self.report.stored.update(put.resource["resourceType"] for put in puts)
        self.report.invalid += sum(1 for put in puts if is_marked(put.resource))
        progress(len(batch))

    def _document(self, path: Path, body: bytes, progress: Progress) -> None:
        waiting = next(iter(self._single), ("", ""))[0]
        if waiting and waiting != _type_said(path):
            self._store_single(progress)  # What comes may be validated by it.
        resource = self._accept(path, 1, body, is_document=True)
        if resource is None:
            progress(1)
            return
        key = (resource["resourceType"], resource["id"])
        if key[0] == "Bundle" and resource.get("type") in _OPENED:
            self._store_single(progress)
            self._open(path, resource, progress)
            return
        if key in self._single or len(self._single) >= BATCH_ROWS:
            self._store_single(progress)
        self._single[key] = (Line(path, 1, b""), resource)

    def _open(self, path: Path, resource: dict[str, Any], progress: Progress) -> None:
        """Import the resources in a Bundle, not the Bundle."""
        if resource["type"] == "transaction":
            entries = resource.get("entry", [])
            try:
                transact(resource, self.ingest)
                self.report.stored.update(
                    e["resource"]["resourceType"] for e in entries if "resource" in e
                )
            except FhirError as failure:
                self._refuse(path, 1, failure)
            progress(max(len(entries), 1))
            return
        found = [e["resource"] for e in resource.get("entry", []) if "resource" in e]
        bodies = [canonical_bytes(r) for r in found]
        self._lines((Line(path, i, b) for i, b in enumerate(bodies, 1)), progress)

    def _accept(
        self, path: Path, number: int, body: bytes, *, is_document: bool = False
    ) -> dict[str, Any] | None:
        try:
            resource = parse_resource(body)
            opened = resource["resourceType"] == "Bundle" and resource.get("type") in _OPENED
            if is_document and opened:
                check_envelope(resource, sys.maxsize)
            else:
                self.ingest.check(resource, resource["resourceType"])
        except FhirError as failure:
            self._refuse(path, number, failure)
            return None
        resource.setdefault("id", new_id())
        return resource

    def _refuse(self, path: Path, number: int, failure: FhirError) -> None:
        issue = failure.issues[0]
        self._reject(path, number, ", ".join(issue.expression), issue.diagnostics)

    def _reject(self, path: Path, number: int, expression: str, reason: str) -> None:
        self.report.rejected.append(Rejected(str(path), number, expression, reason))


def _type_said(path: Path) -> str:
    """The type that the name of a file says, as in `Patient-1.json`."""
    return path.name.split(".")[0].split("-")[0]
