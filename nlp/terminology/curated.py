"""The hand-written tables of `curated/`, read into terms."""

from collections.abc import Iterator
from importlib.resources import files
from itertools import permutations, product

from nlp.mention import (
    ANATOMY,
    CONDITION,
    MEDICATION,
    NO_KNOWN_ALLERGY,
    PROCEDURE,
    SYMPTOM,
    TEST,
    Concept,
)
from nlp.terminology import systems
from nlp.terminology.knowledge_base import Term, UnitRange

_ACRONYM_LENGTH = 5
_MAX_COMBINED = 3


def rows(name: str, columns: int) -> Iterator[list[str]]:
    """The rows of `curated/<name>`; raises ValueError naming the line for a wrong column count."""
    text = files("nlp.terminology").joinpath("curated", name).read_text(encoding="utf-8")
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        cells = [cell.strip() for cell in line.split("\t")]
        if len(cells) != columns:
            raise ValueError(
                f"nlp/terminology/curated/{name} line {number}: {len(cells)} columns, "
                f"expected {columns}; separate cells with one tab"
            )
        yield cells


def words(name: str) -> frozenset[str]:
    """The words of `curated/<name>`, lower case."""
    text = files("nlp.terminology").joinpath("curated", name).read_text(encoding="utf-8")
    lines = (line for line in text.splitlines() if not line.startswith("#"))
    return frozenset(word for line in lines for word in line.lower().split())


def split_aliases(name: str, cell: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The aliases that match after normalisation, and those that need their exact case."""
    parts = [part.strip() for part in cell.split("|") if part.strip()]
    loose = [part for part in parts if not part.startswith("=")]
    exact = [part[1:] for part in parts if part.startswith("=")]
    if name.isupper() and len(name) <= _ACRONYM_LENGTH:
        exact.insert(0, name)  # AIDS is not `hearing aids`.
    else:
        loose.insert(0, name)
    return tuple(dict.fromkeys(loose)), tuple(dict.fromkeys(exact))


def _codes(name: str, snomed: str, icd10: str, titles: dict[str, str]) -> tuple[Concept, ...]:
    codes = []
    if snomed:
        codes.append(Concept(systems.SNOMED, snomed, name, 1.0, systems.SNOMED_CURATED))
    if icd10:
        codes.append(
            Concept(systems.ICD10CM, icd10, titles.get(icd10, name), 1.0, systems.ICD10CM_RELEASE)
        )
    return tuple(codes)


def conditions(titles: dict[str, str]) -> Iterator[Term]:
    """Diagnoses; `titles` are the ICD-10-CM titles by code."""
    for name, snomed, icd10, flags, aliases in rows("conditions.tsv", 5):
        loose, exact = split_aliases(name, aliases)
        yield Term(
            id=f"condition:{name}",
            name=name,
            category=CONDITION,
            type="DIAGNOSIS",
            codes=_codes(name, snomed, icd10, titles),
            aliases=loose,
            exact=exact,
            flags=frozenset(flags),
        )


def symptoms(titles: dict[str, str]) -> Iterator[Term]:
    """Signs and symptoms."""
    for name, snomed, icd10, aliases in rows("symptoms.tsv", 4):
        loose, exact = split_aliases(name, aliases)
        yield Term(
            id=f"symptom:{name}",
            name=name,
            category=SYMPTOM,
            type="SIGN_OR_SYMPTOM",
            codes=_codes(name, snomed, icd10, titles),
            aliases=loose,
            exact=exact,
        )


def procedures() -> Iterator[Term]:
    """Procedures and therapies."""
    for name, snomed, aliases in rows("procedures.tsv", 3):
        loose, exact = split_aliases(name, aliases)
        yield Term(
            id=f"procedure:{name}",
            name=name,
            category=PROCEDURE,
            type="PROCEDURE",
            codes=_codes(name, snomed, "", {}),
            aliases=loose,
            exact=exact,
        )


def anatomy() -> Iterator[Term]:
    """Body sites."""
    for name, snomed, aliases in rows("anatomy.tsv", 3):
        loose, exact = split_aliases(name, aliases)
        yield Term(
            id=f"anatomy:{name}",
            name=name,
            category=ANATOMY,
            type="BODY_SITE",
            codes=_codes(name, snomed, "", {}),
            aliases=loose,
            exact=exact,
        )


def medications() -> Iterator[Term]:
    """Ingredients, each with a term for its brands: a brand carries its ingredient's code."""
    found = list(rows("medications.tsv", 4))
    # HCTZ, APAP, ASA: what combinations are written with.
    short = {
        name: [alias for alias in split_aliases(name, aliases)[1] if alias.isalpha()]
        for name, _, _, aliases in found
    }
    for name, cell, brands, aliases in found:
        code, _, display = cell.partition("=")
        codes = (
            (Concept(systems.RXNORM, code, display or name, 1.0, systems.RXNORM_CHECKED),)
            if code
            else ()
        )
        loose, exact = split_aliases(name, aliases)
        loose = tuple(dict.fromkeys((*loose, *_combined(name, short))))
        yield Term(
            id=f"medication:{name}",
            name=name,
            category=MEDICATION,
            type="GENERIC_NAME",
            codes=codes,
            aliases=loose,
            exact=exact,
        )
        brand_names, brand_exact = split_aliases("", brands)
        brand_names = tuple(brand for brand in brand_names if brand)
        if brand_names or brand_exact:
            yield Term(
                id=f"medication:{name}#brand",
                name=name,
                category=MEDICATION,
                type="BRAND_NAME",
                codes=codes,
                aliases=brand_names,
                exact=brand_exact,
            )


def _combined(name: str, short: dict[str, list[str]]) -> Iterator[str]:
    """How a combination is written: `lisinopril-HCTZ`, `HCTZ/lisinopril`, `lisinopril and HCTZ`."""
    parts = name.split(" / ")
    if not 2 <= len(parts) <= _MAX_COMBINED:
        return
    for order in permutations(parts):
        for words in product(*((part, *short.get(part, ())) for part in order)):
            for join in ("/", "-", " / ", " and "):
                yield join.join(words)


def no_known_allergies() -> Iterator[Term]:
    """That the patient has no allergy: a statement of its own, no denied disease.

    Concepts of SNOMED CT's `No known allergy` and `No known drug allergy` situations.
    """
    for name, code, aliases in (
        (
            "No known drug allergy",
            "409137002",
            "=NKDA|=NKMA|nkda|no known drug allergies|no known medication allergies"
            "|no known medication allergy|no known medicine allergies|no drug allergies"
            "|no medication allergies|no known allergies to medication|no known allergies to drugs"
            "|no allergies to medication|denies drug allergies|denies medication allergies"
            "|denies any drug allergies|denies any medication allergies"
            "|not allergic to any medication",
        ),
        (
            "No known allergy",
            "716186003",
            "=NKA|no known allergies|no allergies|denies allergies|denies any allergies"
            "|denies any known allergies|denies known allergies|no allergies known|none|none known"
            "|no known",
        ),
    ):
        loose, exact = split_aliases(name, aliases)
        yield Term(
            id=f"allergy:{name}",
            name=name,
            category=CONDITION,
            type=NO_KNOWN_ALLERGY,
            codes=(Concept(systems.SNOMED, code, name, 1.0, systems.SNOMED_CURATED),),
            aliases=loose,
            exact=exact,
        )


def _units(unit: str, plausible: str, others: str) -> tuple[UnitRange, ...]:
    found: list[UnitRange] = []
    cells = [f"{unit} {plausible}".strip(), *others.split("|")] if unit else []
    for cell in cells:
        name, _, bounds = cell.strip().rpartition(" ") if ".." in cell else (cell.strip(), "", "")
        if not name:
            continue
        low, _, high = bounds.partition("..")
        found.append(UnitRange(name, float(low), float(high)) if high else UnitRange(name))
    return tuple(found)


def tests() -> Iterator[Term]:
    """Laboratory tests, vital signs, imaging and functional tests, with their units."""
    snomed = dict(rows("imaging.tsv", 2))
    for name, loinc, unit, plausible, others, type_, aliases in rows("tests.tsv", 7):
        loose, exact = split_aliases(name, aliases)
        codes = _codes(name, snomed.get(name, ""), "", {})
        if loinc:
            codes = (Concept(systems.LOINC, loinc, name, 1.0, systems.LOINC_CURATED), *codes)
        yield Term(
            id=f"test:{name}",
            name=name,
            category=TEST,
            type=type_,
            codes=codes,
            aliases=loose,
            exact=exact,
            units=_units(unit, plausible, others),
        )
