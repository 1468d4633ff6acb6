"""The LOINC table: `Loinc.csv` of the complete download. https://loinc.org/kb/users-guide/.

This material contains content from LOINC (http://loinc.org) once it is loaded; LOINC is copyright
Regenstrief Institute, Inc. and the LOINC Committee, and is available at no cost under the license
at http://loinc.org/license.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator

from schemas.releases.index import IndexWriter
from schemas.releases.source import ReleaseError, ReleaseSource

_NEEDED = (
    "LOINC_NUM", "COMPONENT", "SYSTEM", "CLASS", "STATUS", "SHORTNAME", "LONG_COMMON_NAME",
    "VersionLastChanged",
)  # fmt: skip
# Others that name the whole term, where the release has them.
_NAMES = ("LONG_COMMON_NAME", "SHORTNAME", "DisplayName", "CONSUMER_NAME")
_ACTIVE = frozenset(("ACTIVE", "TRIAL"))
_CODE = re.compile(r"\d{1,7}-\d")
_VERSION = re.compile(r"(?<!\d)(\d\.\d{2})(?!\d)")


def read(source: ReleaseSource, writer: IndexWriter, version: str | None) -> tuple[str, str, str]:
    """Read a release into `writer`; its id, version and title. Raises ReleaseError."""
    table = source.need(r"Loinc\.csv", "Loinc.csv (in the folder LoincTable)")
    source.expect(table)
    newest = (0, 0)
    concepts: list[tuple[str, str, str, int]] = []
    names: list[tuple[str, str]] = []
    for number, row in _records(source, table):
        code = row["LOINC_NUM"]
        if not _CODE.fullmatch(code):
            raise ReleaseError(f"{table} record {number}: LOINC_NUM is no LOINC code")
        display = row["LONG_COMMON_NAME"] or row["SHORTNAME"] or row["COMPONENT"]
        concepts.append((code, display, row["CLASS"], int(row["STATUS"] in _ACTIVE)))
        names += [(code, row[name]) for name in _NAMES if row.get(name)]
        major, _, minor = row["VersionLastChanged"].partition(".")
        if major.isdigit() and minor[:2].isdigit():
            newest = max(newest, (int(major), int(minor[:2])))
    writer.concepts(concepts)
    writer.names(names)
    found = _VERSION.search(source.path.name)
    told = version or (found.group(1) if found else f"{newest[0]}.{newest[1]:02d}")
    if told == "0.00":
        raise ReleaseError(
            f"{source.path}: its files do not tell which release; give --release-version"
        )
    return f"loinc-{told}", told, f"LOINC {told}"


def _records(source: ReleaseSource, table: str) -> Iterator[tuple[int, dict[str, str]]]:
    """The records, by column; quoted values may hold line ends."""
    reader = csv.reader((f"{line}\n" for _, line in source.lines(table)), strict=True)
    try:
        header = next(reader, [])
        missing = [name for name in _NEEDED if name not in header]
        if missing:
            raise ReleaseError(f"{table}: column {missing[0]} is missing; it is no Loinc.csv")
        for number, row in enumerate(reader, start=2):
            if len(row) != len(header):
                raise ReleaseError(
                    f"{table} record {number}: {len(row)} columns, the header has {len(header)}"
                )
            yield number, dict(zip(header, row, strict=True))
    except csv.Error:
        raise ReleaseError(f"{table}: it is no CSV file as LOINC writes it") from None
