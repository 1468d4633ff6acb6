"""The generated tables: disease names with codes, drug names without, ICD-10-CM titles.

Made by `python -m nlp.terminology.build`; origin, version and licence in `README.md` beside it.
"""

import gzip
from collections.abc import Iterator
from importlib.resources import files

from nlp.mention import CONDITION, MEDICATION, Concept
from nlp.terminology import systems
from nlp.terminology.knowledge_base import Term


def _lines(name: str) -> Iterator[str]:
    data = files("nlp.terminology").joinpath(name).read_bytes()
    for line in gzip.decompress(data).decode("utf-8").splitlines():
        if line and not line.startswith("#"):
            yield line


def icd10cm_titles() -> dict[str, str]:
    """ICD-10-CM code → its official title, for the codes that the tables here use."""
    return dict(line.split("\t", 1) for line in _lines("icd10cm_titles.tsv.gz"))


def diseases(titles: dict[str, str]) -> Iterator[Term]:
    """Disease names of DOID and MONDO; a code only where the sources agree on it."""
    for line in _lines("diseases.tsv.gz"):
        name, snomed, icd10, aliases = line.split("\t")
        codes = []
        if snomed:
            codes.append(Concept(systems.SNOMED, snomed, name, 0.9, systems.SNOMED_DOID_MONDO))
        if icd10:
            codes.append(
                Concept(systems.ICD10CM, icd10, titles[icd10], 0.9, systems.ICD10CM_RELEASE)
            )
        yield Term(
            id=f"disease:{name}",
            name=name,
            category=CONDITION,
            type="DIAGNOSIS",
            codes=tuple(codes),
            aliases=(name, *filter(None, aliases.split("|"))),
            score=0.9,
        )


def clinical_drug_names() -> Iterator[tuple[str, str]]:
    """RxCUI and name of the shipped clinical drugs."""
    for line in _lines("clinical_drugs.tsv.gz"):
        code, name = line.split("\t")
        yield code, name


def icd10cm_names() -> dict[str, Concept]:
    """Official title or inclusion term, by `candidates.name_key` → its one billable code."""
    found = {}
    for line in _lines("icd10cm_names.tsv.gz"):
        key, code, title = line.split("\t")
        found[key] = Concept(systems.ICD10CM, code, title, 0.9, systems.ICD10CM_RELEASE)
    return found


def drug_names() -> Iterator[Term]:
    """Drug names without a code: found, typed, and left as text."""
    for line in _lines("drug_names.txt.gz"):
        yield Term(
            id=f"drug:{line}",
            name=line,
            category=MEDICATION,
            type="GENERIC_NAME",
            aliases=(line,),
            score=0.8,
        )
