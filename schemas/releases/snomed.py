"""SNOMED CT release files (RF2): the snapshot of concepts, descriptions, relationships, language.

https://confluence.ihtsdotools.org/display/DOCRELFMT. The snapshot is read, never the full or delta
files: they hold what was once so, too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime

from schemas.releases.index import IndexWriter
from schemas.releases.source import ReleaseError, ReleaseSource

_FSN, _SYNONYM = "900000000000003001", "900000000000013009"
_PREFERRED, _US_ENGLISH = "900000000000548007", "900000000000509007"
_IS_A = "116680003"
_CORE, _MODEL = "900000000000207008", "900000000000012004"
_US_EDITION = "731000124108"
_TAG = re.compile(r"\s*\(([^()]+)\)$")
_DATE = re.compile(r"_(\d{8})(?:T\w*)?\.txt$", re.IGNORECASE)
_HEADERS = {
    "Concept": "id effectiveTime active moduleId definitionStatusId",
    "Description": "id effectiveTime active moduleId conceptId languageCode typeId term "
    "caseSignificanceId",
    "Relationship": "id effectiveTime active moduleId sourceId destinationId relationshipGroup "
    "typeId characteristicTypeId modifierId",
    "Language": "id effectiveTime active moduleId refsetId referencedComponentId acceptabilityId",
}


def read(source: ReleaseSource, writer: IndexWriter, version: str | None) -> tuple[str, str, str]:
    """Read a release into `writer`; its id, version and title. Raises ReleaseError."""
    concepts = source.need(r"x?sct2_Concept_Snapshot_.*\.txt", "sct2_Concept_Snapshot_….txt")
    descriptions = source.need(
        r"x?sct2_Description_Snapshot-en.*\.txt", "sct2_Description_Snapshot-en_….txt"
    )
    relations = source.need(
        r"x?sct2_Relationship_Snapshot_.*\.txt", "sct2_Relationship_Snapshot_….txt"
    )
    language = source.need(
        r"x?der2_cRefset_LanguageSnapshot-en.*\.txt", "der2_cRefset_LanguageSnapshot-en_….txt"
    )
    source.expect(concepts, descriptions, relations, language)
    active: dict[str, bool] = {}
    modules: set[str] = set()
    for id, _, is_active, module, _ in _rows(source, concepts, "Concept"):
        active[id] = is_active == "1"
        modules.add(module)
    preferred = {
        row[5]
        for row in _rows(source, language, "Language")
        if row[2] == "1" and row[4] == _US_ENGLISH and row[6] == _PREFERRED
    }
    full, short = _read_descriptions(source, descriptions, writer, active, preferred)
    writer.concepts(_concepts(active, full, short))
    writer.parents(
        (row[4], row[5])
        for row in _rows(source, relations, "Relationship")
        if row[2] == "1" and row[7] == _IS_A
    )
    date, module = _edition(source, concepts, modules, version)
    uri = f"http://snomed.info/sct/{module}/version/{date}"
    name = {_CORE: "International", _US_EDITION: "US"}.get(module, module)
    written = f"{date[:4]}-{date[4:6]}-{date[6:]}"
    return f"snomed-{name.lower()}-{written}", uri, f"SNOMED CT {name} Edition {written}"


def _rows(source: ReleaseSource, name: str, kind: str) -> Iterator[list[str]]:
    header = _HEADERS[kind].split()
    for number, row in enumerate(source.rows(name, "\t", len(header))):
        if number == 0:
            if row != header:
                raise ReleaseError(f"{name} line 1: it is no RF2 {kind} file")
        else:
            yield row


def _read_descriptions(
    source: ReleaseSource,
    name: str,
    writer: IndexWriter,
    active: dict[str, bool],
    preferred: set[str],
) -> tuple[dict[str, str], dict[str, str]]:
    """Write all names; fully specified and preferred names by concept."""
    full: dict[str, str] = {}
    short: dict[str, str] = {}

    def names() -> Iterator[tuple[str, str]]:
        for id, _, is_active, _, concept, _, kind, term, _ in _rows(source, name, "Description"):
            if is_active != "1" or concept not in active:
                continue
            if kind == _FSN:
                if concept not in full or id in preferred:
                    full[concept] = term
                yield concept, _TAG.sub("", term)
            elif kind == _SYNONYM:
                if id in preferred:
                    short[concept] = term
                yield concept, term

    writer.names(names())
    return full, short


def _concepts(
    active: dict[str, bool], full: dict[str, str], short: dict[str, str]
) -> Iterator[tuple[str, str, str, int]]:
    for code, is_active in active.items():
        name = full.get(code, "")
        tag = _TAG.search(name)
        display = short.get(code) or _TAG.sub("", name)
        if display:
            yield code, display, tag.group(1) if tag else "", int(is_active)


def _edition(
    source: ReleaseSource, concepts: str, modules: set[str], version: str | None
) -> tuple[str, str]:
    """The date and the module of the edition."""
    extra = modules - {_CORE, _MODEL}
    if _US_EDITION in extra:
        module = _US_EDITION
    elif len(extra) <= 1:
        module = extra.pop() if extra else _CORE
    else:
        raise ReleaseError(
            f"{source.path}: concepts of {len(extra)} extensions; load the package of one edition"
        )
    found = _DATE.search(concepts)
    date = version.replace("-", "") if version else found.group(1) if found else ""
    try:
        datetime.strptime(date, "%Y%m%d")
    except ValueError:
        raise ReleaseError(
            f"{source.path}: its files do not tell their date; give --release-version YYYY-MM-DD"
        ) from None
    return date, module
