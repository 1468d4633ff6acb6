"""Reading an official release into an index file, whichever terminology it is of."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from schemas.codes import ICD10CM, LOINC, RXNORM, SNOMED
from schemas.releases import icd10cm, loinc, rxnorm, snomed
from schemas.releases.index import IndexWriter
from schemas.releases.source import Progress, ReleaseError, ReleaseSource
from schemas.releases.store import Release, ReleaseStore

Read = Callable[[ReleaseSource, IndexWriter, str | None], tuple[str, str, str]]
"""Reads the files into the writer; gives (release id, version of FHIR, title)."""


@dataclass(frozen=True, slots=True)
class Terminology:
    """A terminology that can be loaded: its code system and who reads its files."""

    system: str
    read: Read


TERMINOLOGIES: dict[str, Terminology] = {
    "rxnorm": Terminology(RXNORM, rxnorm.read),
    "snomed": Terminology(SNOMED, snomed.read),
    "loinc": Terminology(LOINC, loinc.read),
    "icd10cm": Terminology(ICD10CM, icd10cm.read),
}


def load(
    store: ReleaseStore,
    terminology: str,
    path: Path,
    *,
    version: str | None = None,
    progress: Progress | None = None,
) -> Release:
    """Read the official files at `path`, keep them as a release of `store`, and use it.

    `version` is only needed where files and their names do not tell it. A failed load leaves the
    store as it was. Raises ReleaseError.
    """
    chosen = TERMINOLOGIES[terminology]
    draft = store.draft()
    writer = IndexWriter(draft)
    try:
        with ReleaseSource(path, progress) as source:
            id, fhir_version, title = chosen.read(source, writer, version)
        count = writer.count()
        if count == 0:
            raise ReleaseError(f"{path}: it holds no concept")
        writer.finish(
            {
                "id": id,
                "terminology": terminology,
                "system": chosen.system,
                "version": fhir_version,
                "title": title,
                "concepts": str(count),
                "loaded": datetime.now(UTC).isoformat(timespec="seconds"),
                "source": path.name,
            }
        )
        return store.keep(draft, id)
    except sqlite3.Error as failure:
        writer.abandon()
        raise ReleaseError(f"{store.folder}: the index cannot be written ({failure})") from None
    except BaseException:
        writer.abandon()
        raise
