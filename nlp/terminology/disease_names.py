"""Disease names out of DOID and MONDO, and the codes that may be trusted.

A cross-reference of one ontology is often to a broader or a retired code. A SNOMED CT code is
kept where DOID and MONDO give the same one; an ICD-10-CM code where it is billable and either its
title (or an inclusion term) has the same words as the disease's name, or both agree on it. The
codes go only to names with the same words as the ontologies' own name: their synonyms may be
broader, narrower or merely related (`venous thrombosis` under prothrombin thrombophilia), and are
kept without a code.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from nlp.language import clinical_norm
from nlp.terminology.curated import words

_WORD = re.compile(r"[a-z0-9]+")
_NOISE = frozenset(
    [
        "unspecified",
        "nos",
        "the",
        "of",
        "in",
        "and",
        "with",
        "a",
        "an",
        "to",
        "other",
        "disease",
        "disorder",
        "syndrome",
        "type",
    ]
)
_SHAPE = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ,'’\-]{4,60}")
# A gene or a numbered subtype: nobody writes it in a note, and there are thousands.
_SUBTYPE = re.compile(
    r"\b(?:type [0-9]+[a-z]*|[0-9]+[A-Z]?|[ivx]+|autosomal|x-linked|somatic|familial,? [0-9]+"
    r"|susceptibility|due to|related|associated with|deficiency [a-z0-9]+)$|\b[A-Z0-9]{3,}\d",
    re.IGNORECASE,
)
_REFUSED = words("not_diseases.txt")


# Synonyms are only kept if a word of theirs says that they are a disease: ontologies also list the
# organ (`seminal vesicle`) or an everyday word (`settle`).
_DISEASE_WORD = re.compile(
    r".*(?:itis|osis|oma|emia|pathy|algia|plegia|paresis|phobia|mania|trophy|plasia|penia|philia"
    r"|rrhea|rrhage|uria|ectasis|iasis|asthenia|kinesia|plexy|poiesis|edema|cele|cytosis|sclerosis"
    r"|megaly|malacia|spasm|lepsy|lexia|praxia|gnosia|opia|tropia|nnia|ism|ptosis|ectomia)"
    r"|disease|syndrome|disorder|cancer|tumor|neoplasm|malignancy|deficiency|infection|infarction"
    r"|failure|insufficiency|obstruction|stenosis|stricture|defect|dysfunction|abnormality|injury"
    r"|abscess|ulcer|cyst|hernia|fracture|fever|palsy|dystrophy|aneurysm|embolism|block|cataract"
    r"|degeneration|retardation|disability|tear|stone|calculus|clot|rupture|torsion|perforation"
    r"|prolapse|intoxication|poisoning|dependence|abuse|addiction|allergy|asthma|diabete|anemia"
    r"|gout|lupu|psoriasis|eczema|acne|stroke|epilepsy|migraine|dementia|autism|pneumonia|sepsis"
    r"|measle|mump|rubella|malaria|cholera|plague|rabie|tetanu|leprosy|syphili|wart|scabie"
    r"|angina|arrhythmia|fibrillation|flutter|shunt|fistula|atresia|malformation|anomaly|nevu"
)


@dataclass(slots=True)
class Disease:
    """One disease: its name, the other names, and codes (empty where the sources disagree)."""

    name: str
    aliases: list[str] = field(default_factory=list)
    snomed: str = ""
    icd10: str = ""


def key(name: str) -> frozenset[str]:
    """The content words of a name, normalised: equal for `cyst of kidney` and `kidney cyst`."""
    content = {clinical_norm(word) for word in _WORD.findall(name.lower())}
    return frozenset(content - _NOISE)


def usable(name: str) -> bool:
    """Whether a name can be matched in running text: no everyday word, no acronym."""
    if not _SHAPE.fullmatch(name) or _SUBTYPE.search(name):
        return False
    parts = name.split()
    if len(parts) > 6 or {name.lower(), clinical_norm(name)} & _REFUSED:
        return False
    if parts[0].lower() in ("her", "hers", "his", "medical", "drug"):
        return False
    if len(parts) == 1 and (not name.isalpha() or len(name) < 6 or name.isupper()):
        return False
    return not any(part.isupper() and len(part) > 2 for part in parts)


def says_disease(name: str) -> bool:
    """Whether the words themselves say that this is a disease: `-itis`, `-oma`, `syndrome`."""
    return any(_DISEASE_WORD.fullmatch(clinical_norm(word)) for word in _WORD.findall(name.lower()))


def names_of(disease: Disease) -> list[str]:
    """Name first, then aliases, without repeats; inverted `X, chronic` is also put straight."""
    names = [disease.name, *disease.aliases]
    for name in list(names):
        if name.count(", ") == 1:
            head, tail = name.split(", ")
            names.append(f"{tail} {head}")
    return list(dict.fromkeys(n for n in names if usable(n))) or [disease.name]


def _xrefs(entry: dict[str, Any], *prefixes: str) -> set[str]:
    return {
        xref["id"] for xref in entry.get("xrefs") or [] if xref["namespace"].startswith(prefixes)
    }


def _one(codes: Iterable[str]) -> str:
    distinct = set(codes)
    return distinct.pop() if len(distinct) == 1 else ""


def _title_index(
    titles: dict[str, str], inclusions: dict[str, list[str]]
) -> dict[frozenset[str], set[str]]:
    index: dict[frozenset[str], set[str]] = {}
    for code, terms in inclusions.items():
        for text in (titles[code], *terms):
            index.setdefault(key(text), set()).add(code)
    return index


def merge(
    doid: list[dict[str, Any]],
    mondo: list[dict[str, Any]],
    titles: dict[str, str],
    inclusions: dict[str, list[str]],
) -> list[Disease]:
    """The diseases of both ontologies, joined by MONDO's DOID cross-reference, sorted by name.

    `titles` and `inclusions` are ICD-10-CM's; only codes in `inclusions` (billable) are given.
    """
    by_title = _title_index(titles, inclusions)
    of_doid: dict[str, list[dict[str, Any]]] = {}
    for entry in mondo:
        for doid_id in _xrefs(entry, "DOID"):
            of_doid.setdefault(doid_id.removeprefix("DOID:"), []).append(entry)
    found: dict[str, Disease] = {}
    others: list[str] = []
    for entry in doid:
        name = entry.get("name")
        if not name or name.startswith("obsolete"):
            continue
        partners = of_doid.get(entry["id"].removeprefix("DOID:"), [])
        synonyms = [*(entry.get("synonyms") or [])]
        for partner in partners:
            synonyms += [partner["name"], *(partner.get("synonyms") or [])]
        disease = Disease(name, synonyms)
        disease.snomed = _one(
            _xrefs(entry, "SNOMEDCT") & {c for p in partners for c in _xrefs(p, "SCTID")}
        )
        own = _xrefs(entry, "ICD10CM")
        theirs = {code for partner in partners for code in _xrefs(partner, "ICD10CM")}
        titled = by_title.get(key(name), set())
        disease.icd10 = (
            _one(titled & (own | theirs))
            or _one(code for code in own & theirs if code in inclusions)
            or _one(titled)
        )
        names = [n for n in names_of(disease) if usable(n)]
        same = key(name), key(partners[0]["name"]) if len(partners) == 1 else key(name)
        exact = [n for n in names if key(n) in same]
        others += [n for n in names if key(n) not in same and says_disease(n)]
        if exact:
            disease.name, disease.aliases = exact[0], exact[1:]
            found.setdefault(disease.name.lower(), disease)
    named = {n.lower() for d in found.values() for n in (d.name, *d.aliases)}
    for other in others:
        if other.lower() not in named:
            found.setdefault(other.lower(), Disease(other))
    return sorted(found.values(), key=lambda disease: disease.name.lower())
