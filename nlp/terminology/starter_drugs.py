"""The shipped clinical drugs: a start, not RxNorm. Load a release for all of it.

`clinical_drugs.tsv.gz` is made by `python -m nlp.terminology.build`; each code and name was
compared with RxNorm, and so was which of the combinations are the only product of their strengths.
"""

from collections.abc import Callable, Sequence
from functools import cache

from nlp.terminology import curated, lexicon
from nlp.terminology.clinical_drugs import ClinicalDrug, parse_clinical_drug

_SALTS = 3


@cache
def clinical_drugs() -> tuple[ClinicalDrug, ...]:
    """All shipped clinical drugs."""
    found = (parse_clinical_drug(code, name) for code, name in lexicon.clinical_drug_names())
    return tuple(drug for drug in found if drug is not None)


def sole_drugs() -> frozenset[str]:
    """Codes of combinations that are the only product of their ingredients and strengths."""
    return curated.words("sole_clinical_drugs.txt")


@cache
def _ingredient_codes() -> dict[str, str]:
    return {
        name.lower(): term.codes[0].code
        for term in curated.medications()
        if term.codes
        for name in (term.name, *term.aliases)
        if term.type == "GENERIC_NAME"
    }


def ingredient_code(written: str) -> str | None:
    """The RxCUI of an ingredient as RxNorm writes it in a product, its salt aside."""
    codes = _ingredient_codes()
    words = written.split(" ")
    for length in range(len(words), max(0, len(words) - _SALTS - 1), -1):
        code = codes.get(" ".join(words[:length]))
        if code is not None:
            return code
    return None


def starter_products() -> Callable[[frozenset[str]], Sequence[ClinicalDrug]]:
    """The shipped clinical drugs by the RxCUIs of their ingredients."""
    by_ingredients: dict[frozenset[str], list[ClinicalDrug]] = {}
    for drug in clinical_drugs():
        codes = [ingredient_code(name) for name in drug.ingredients]
        known = frozenset(code for code in codes if code is not None)
        if len(known) == len(drug.ingredients):
            by_ingredients.setdefault(known, []).append(drug)

    def products(ingredients: frozenset[str]) -> Sequence[ClinicalDrug]:
        return by_ingredients.get(ingredients, ())

    return products
