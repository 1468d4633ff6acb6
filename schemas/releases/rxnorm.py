"""RxNorm release files (RRF): RXNCONSO, RXNREL and, where it is there, RXNSAB.

https://www.nlm.nih.gov/research/umls/rxnorm/docs/techdoc.html. Only RxNorm's own names are read
(SAB=RXNORM), those of the sources that it draws on are not: their licences are their own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime

from schemas.releases.index import IndexWriter, ProductRow
from schemas.releases.source import ReleaseError, ReleaseSource

# Each line ends with a separator, so there is one cell more than columns.
_CONSO_CELLS, _REL_CELLS = 19, 17
_RXCUI, _SAB, _TTY, _STR, _SUPPRESS = 0, 11, 12, 14, 16
_RXCUI1, _RXCUI2, _RELA, _REL_SAB, _REL_SUPPRESS = 0, 4, 7, 10, 14
_NAMING = ("IN", "PIN", "MIN", "BN", "SCD", "SBD", "GPCK", "BPCK", "SCDC")
_SYNONYMS = frozenset(("SY", "TMSY", "PSN", "ET"))
_RELATIONS = frozenset(
    (
        "has_ingredient", "ingredient_of", "has_ingredients", "ingredients_of", "has_tradename",
        "tradename_of", "has_form", "form_of", "has_part", "part_of", "consists_of", "constitutes",
    )
)  # fmt: skip
# What a type of name may stand above, one step towards its ingredients.
_TOWARDS = {
    "BN": frozenset(("IN",)),
    "PIN": frozenset(("IN",)),
    "MIN": frozenset(("IN",)),
    "SCDC": frozenset(("IN",)),
    "SCD": frozenset(("SCDC",)),
    "SBD": frozenset(("SCD",)),
}
_BRAND = re.compile(r"\[([^\]]+)\]\s*$")
_DATE_IN_NAME = re.compile(r"(?:full|prescribe|weekly)[^/]*?_(\d{8})(?!\d)", re.IGNORECASE)
_DATE_IN_SVER = re.compile(r"_(\d{6})F?$")


def read(source: ReleaseSource, writer: IndexWriter, version: str | None) -> tuple[str, str, str]:
    """Read a release into `writer`; its id, version and title. Raises ReleaseError."""
    conso = source.need(r"RXNCONSO\.RRF", "RXNCONSO.RRF")
    rel = source.need(r"RXNREL\.RRF", "RXNREL.RRF")
    sab = source.find(r"RXNSAB\.RRF")
    source.expect(conso, rel, sab)
    date = _release_date(source, sab, version)
    kinds, displays = _read_names(source, conso, writer)
    _read_ingredients(source, rel, writer, kinds, displays)
    return f"rxnorm-{date:%Y-%m-%d}", f"{date:%m%d%Y}", f"RxNorm {date:%Y-%m-%d}"


def _release_date(source: ReleaseSource, sab: str | None, version: str | None) -> datetime:
    written = version
    if written is None and sab is not None:
        for _, line in source.lines(sab):
            cells = line.split("|")
            found = _DATE_IN_SVER.search(cells[6]) if len(cells) > 6 else None
            if found is not None and cells[3] == "RXNORM":
                written = f"20{found.group(1)}"
    if written is None:
        for name in (source.path.name, *source.names):
            found = _DATE_IN_NAME.search(name)
            if found is not None:
                written = f"{found.group(1)[4:]}{found.group(1)[:4]}"
                break
    try:
        return datetime.strptime((written or "").replace("-", ""), "%Y%m%d")
    except ValueError:
        raise ReleaseError(
            f"{source.path}: its files do not tell their date; give --release-version YYYY-MM-DD"
        ) from None


def _read_names(
    source: ReleaseSource, conso: str, writer: IndexWriter
) -> tuple[dict[str, str], dict[str, str]]:
    """Write all names; the types and names of the active concepts by code."""
    kinds: dict[str, str] = {}
    displays: dict[str, str] = {}
    names: list[tuple[str, str]] = []
    concepts: list[tuple[str, str, str, int]] = []
    own = 0
    for cells in source.rows(conso, "|", _CONSO_CELLS):
        if cells[_SAB] != "RXNORM":
            continue
        own += 1
        code, kind, name = cells[_RXCUI], cells[_TTY], cells[_STR]
        if not code.isdigit():
            raise ReleaseError(f"{conso}: an RXCUI is no number; it is no RXNCONSO.RRF")
        active = cells[_SUPPRESS] == "N"
        if kind in _NAMING:
            # A concept has one such name that is not suppressed; those come before the others.
            concepts.append((code, name, kind, int(active)))
            if active:
                kinds[code], displays[code] = kind, name
        if (kind in _NAMING or kind in _SYNONYMS) and active:
            names.append((code, name))
    if not own:
        raise ReleaseError(f"{conso}: it has no name of RxNorm's own (SAB=RXNORM)")
    concepts.sort(key=lambda row: (-row[3], _NAMING.index(row[2])))
    writer.concepts(concepts)
    writer.names(names)
    return kinds, displays


def _read_ingredients(
    source: ReleaseSource,
    rel: str,
    writer: IndexWriter,
    kinds: dict[str, str],
    displays: dict[str, str],
) -> None:
    """Write what each name comes down to in ingredients, and the clinical drugs by them.

    A relation is given in both directions; which end is nearer to the ingredient is told by type.
    """
    above: dict[str, set[str]] = {}
    for cells in source.rows(rel, "|", _REL_CELLS):
        if cells[_RELA] not in _RELATIONS or cells[_REL_SAB] != "RXNORM":
            continue
        if cells[_REL_SUPPRESS] not in ("N", ""):
            continue
        for code, other in ((cells[_RXCUI1], cells[_RXCUI2]), (cells[_RXCUI2], cells[_RXCUI1])):
            if kinds.get(other) in _TOWARDS.get(kinds.get(code, ""), ()):
                above.setdefault(code, set()).add(other)
    found = {code: frozenset(_ingredients(code, kinds, above)) for code in kinds}
    writer.ingredients((code, one) for code, all_ in found.items() for one in sorted(all_))
    writer.products(
        ProductRow(code, displays[code], found[code], _brand(displays[code]))
        for code, kind in kinds.items()
        if kind in ("SCD", "SBD")
        # One whose parts are not all in the release would pass for a drug of fewer ingredients.
        and len(found[code]) == displays[code].count(" / ") + 1
    )


def _ingredients(code: str, kinds: dict[str, str], above: dict[str, set[str]]) -> Iterator[str]:
    if kinds.get(code) == "IN":
        yield code
        return
    for other in above.get(code, ()):
        yield from _ingredients(other, kinds, above)


def _brand(name: str) -> str:
    found = _BRAND.search(name)
    return found.group(1) if found else ""
