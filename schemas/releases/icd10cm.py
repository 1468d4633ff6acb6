"""ICD-10-CM code files of NCHS/CMS: the order file, the code list, or the tabular list as XML.

https://www.cms.gov/medicare/coding-billing/icd-10-codes. The order file tells most (codes that only
group others, too) and is taken where there are several.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from xml.etree import ElementTree

from schemas.releases.index import IndexWriter
from schemas.releases.source import ReleaseError, ReleaseSource

# Columns 1-5 a number, 7-13 the code, 15 whether it is billable, 17-76 short title, 78 long title.
_ORDER = re.compile(r"\d{5} ([A-Z][0-9A-Z]{2}[0-9A-Z ]{4}) ([01]) .{60} (\S.*)")
_LISTED = re.compile(r"([A-Z][0-9A-Z]{2,6})\s+(\S.*)")
_YEAR = re.compile(r"(?<!\d)(20\d{2})(?!\d)")
_MAX_XML_BYTES = 64 << 20
Row = tuple[str, str, bool, tuple[str, ...]]
"""Code with its dot, title, whether it is billable, further names."""


def read(source: ReleaseSource, writer: IndexWriter, version: str | None) -> tuple[str, str, str]:
    """Read a release into `writer`; its id, version and title. Raises ReleaseError."""
    order = source.find(r"icd10cm[_-]?order[_-].*\.txt")
    listed = source.find(r"icd10cm[_-]?codes[_-].*\.txt") if order is None else None
    name = order or listed or source.find(r"icd10c?m?[_-]?tabular.*\.xml")
    if name is None:
        raise ReleaseError(
            f"{source.path}: neither icd10cm_order_YEAR.txt, icd10cm_codes_YEAR.txt nor "
            "icd10cm_tabular_YEAR.xml is there"
        )
    source.expect(name)
    if order is not None:
        rows = list(_order(source, name))
    elif listed is not None:
        rows = list(_codes(source, name))
    else:
        rows = list(_tabular(source, name))
    codes = {code for code, _, _, _ in rows}
    writer.concepts(
        (code, title, "billable" if billable else "category", 1)
        for code, title, billable, _ in rows
    )
    writer.names((code, text) for code, title, _, more in rows for text in (title, *more))
    writer.parents((code, above) for code in codes if (above := _parent(code, codes)))
    found = _YEAR.search(name) or _YEAR.search(source.path.name)
    told = version or (found.group(1) if found else "")
    if not told:
        raise ReleaseError(
            f"{source.path}: its files do not tell which year; give --release-version"
        )
    month = re.search(r"\b(january|april|october)\b", name.replace("_", "-"), re.IGNORECASE)
    id = f"icd10cm-{told}" + (f"-{month.group(1).lower()}" if month and not version else "")
    return id, told, f"ICD-10-CM {told}" + (f" ({month.group(1)})" if month and not version else "")


def _dotted(code: str) -> str:
    return f"{code[:3]}.{code[3:]}" if len(code) > 3 else code


def _parent(code: str, codes: set[str]) -> str | None:
    """The code right above: the longest one that it begins with."""
    for length in range(len(code) - 1, 2, -1):
        if code[:length].rstrip(".") in codes and code[:length].rstrip(".") != code:
            return code[:length].rstrip(".")
    return None


def _order(source: ReleaseSource, name: str) -> Iterator[Row]:
    for number, line in source.lines(name):
        if not line.strip():
            continue
        found = _ORDER.fullmatch(line)
        if found is None:
            raise ReleaseError(f"{name} line {number}: not laid out as the order file is")
        code, billable, title = found.groups()
        yield _dotted(code.rstrip()), title.strip(), billable == "1", ()


def _codes(source: ReleaseSource, name: str) -> Iterator[Row]:
    for number, line in source.lines(name):
        if not line.strip():
            continue
        found = _LISTED.fullmatch(line.rstrip())
        if found is None:
            raise ReleaseError(f"{name} line {number}: not a code and its title")
        yield _dotted(found.group(1)), found.group(2).strip(), True, ()


def _tabular(source: ReleaseSource, name: str) -> Iterator[Row]:
    if source.names[name] > _MAX_XML_BYTES:
        raise ReleaseError(f"{name}: larger than a tabular list is")
    text = "\n".join(line for _, line in source.lines(name))
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise ReleaseError(f"{name}: it declares entities, which a tabular list does not")
    try:
        root = ElementTree.fromstring(text.encode("utf-8"))  # noqa: S314 - entities are refused above
    except ElementTree.ParseError as failure:
        raise ReleaseError(f"{name}: no XML at line {failure.position[0]}") from None
    for diagnosis in root.iter("diag"):
        code, title = diagnosis.findtext("name"), diagnosis.findtext("desc")
        if code is None or title is None:
            raise ReleaseError(f"{name}: a code without name or title; it is no tabular list")
        leaf = diagnosis.find("diag") is None and diagnosis.find("sevenChrDef") is None
        more = tuple(
            note.text for term in diagnosis.findall("inclusionTerm") for note in term if note.text
        )
        yield code, title, leaf, more
