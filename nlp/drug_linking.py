"""Drugs to RxNorm: the ingredient when it is certain; the clinical drug if strength and form allow.

`lisinopril 10 mg tablet` is `lisinopril 10 MG Oral Tablet`; `lisinopril 10 mg daily` is
lisinopril, as 10 mg may be half a tablet; `Percocet 5/325` is a strength whatever follows. A form
is compared in RxNorm's words, and a salt or a release that the note names has to be the product's.
There is no fuzzy match of drugs: `Coumadin` is near `Flumadine`, `ASA` near `Pentasa`.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from decimal import Decimal
from functools import lru_cache

from nlp.loaded_codes import LoadedCodes
from nlp.mention import Concept
from nlp.misspellings import Misspellings
from nlp.terminology import Term, curated, systems
from nlp.terminology.clinical_drugs import ClinicalDrug, Written, parse_clinical_drug, read_written
from schemas.releases import NamedConcept, ReleaseIndex

_SLIP_SCORE = 0.85
# Short names are near to one another: `lanolin` and `Lanoxin`.
_MIN_SLIP_LETTERS = 8
_MAX_NAME_CHARS = 120
_RELEASE_SCORE = 0.95
_PRODUCT_SCORE = 0.95
_KIND_ORDER = ("IN", "MIN", "PIN", "BN")
_STRENGTH_BEHIND = re.compile(
    r"[\s,]+\(?\d[\d,.]*(?:\s*[-/]\s*\d[\d,.]*)?\s*(?:mg|mcg|µg|ug|g|gm|units?|meq|ml|%)?(?:/\w+)?"
    r"(?:\s.*)?$",
    re.IGNORECASE,
)
_SALT_WORDS = {
    "hcl": "hydrochloride", "hydrochloride": "hydrochloride", "sulfate": "sulfate",
    "sulphate": "sulfate", "tartrate": "tartrate", "succinate": "succinate",
    "maleate": "maleate", "besylate": "besylate", "mesylate": "mesylate", "acetate": "acetate",
    "phosphate": "phosphate", "fumarate": "fumarate", "propionate": "propionate",
    "furoate": "furoate", "acetonide": "acetonide", "bromide": "bromide", "citrate": "citrate",
    "mononitrate": "mononitrate", "dinitrate": "dinitrate", "hydrobromide": "hydrobromide",
}  # fmt: skip
_COUNTER_ION = frozenset(("sodium", "potassium", "calcium", "magnesium", "hydrobromide"))
_RELEASES = {
    "xr": "Extended Release", "er": "Extended Release", "sr": "Extended Release",
    "xl": "Extended Release", "cr": "Extended Release", "la": "Extended Release",
    "ec": "Delayed Release", "dr": "Delayed Release", "odt": "Disintegrating",
}  # fmt: skip
_HOURS = {"xl": "24 HR", "sr": "12 HR"}

Products = Callable[[frozenset[str]], Sequence[ClinicalDrug]]
"""The clinical drugs of exactly these ingredients (RxCUIs)."""


class DrugLinker:
    """Gives drugs their RxNorm codes; one for all notes of a process."""

    def __init__(
        self,
        terms: Iterable[Term],
        products: Products,
        sole: frozenset[str],
        loaded: LoadedCodes,
    ) -> None:
        """`products` and `sole`: the shipped clinical drugs, and which of them are the only one of
        their ingredients and strengths."""
        self._terms: dict[str, Term] = {}
        self._codes: dict[str, str] = {}
        names: list[str] = []
        for term in terms:
            names += [name for name in (*term.aliases, *term.exact) if " " not in name]
            if term.codes:
                self._codes.setdefault(term.name.lower(), term.codes[0].code)
            for name in term.aliases:
                known = self._terms.setdefault(name.lower(), term)
                if not known.codes and term.codes:
                    self._terms[name.lower()] = term
        self._misspellings = Misspellings([*names, *curated.words("drug_lookalikes.txt")])
        self._loaded = loaded
        self._release = loaded.index(systems.RXNORM)
        self._sole = sole
        release = self._release
        self._products = products if release is None else lru_cache(4096)(_of_release(release))
        self._named = lru_cache(20_000)(self._name)

    def term_of(self, name: str) -> Term | None:
        """The shipped term of a drug's name, one that has a code first."""
        return self._terms.get(name.lower())

    def link(self, text: str, term: Term | None, after: str) -> tuple[Concept, ...]:
        """The codes of the drug written as `text`, which the dictionary knows as `term` (or not);
        `after` is what follows on its line. () where none is certain."""
        concepts = self._of_term(term) if term is not None else ()
        if not concepts and len(text) <= _MAX_NAME_CHARS:
            concepts = self._named(_bare(text))
        if not after.strip() or (not concepts and term is None):
            return concepts
        product = self._product(text, term, concepts[0].code if concepts else "", after)
        return (*concepts, product) if product is not None else concepts

    def _of_term(self, term: Term) -> tuple[Concept, ...]:
        return self._loaded.confirmed(term.codes)

    def _name(self, name: str) -> tuple[Concept, ...]:
        """The ingredient of a name that the dictionary did not find in the text."""
        for written in (name, _without_salt(name)):
            term = self._terms.get(written.lower())
            if term is not None and term.codes:
                return self._of_term(term)
            found = self._of_release(written)
            if found:
                return found
        near = self._misspellings.near(name) if len(name) >= _MIN_SLIP_LETTERS else ()
        meant = {term.codes[0]: term for n in near if (term := self._terms.get(n)) and term.codes}
        others = any(n not in self._terms or not self._terms[n].codes for n in near)
        if len(meant) != 1 or others:
            return ()
        (term,) = meant.values()
        return tuple(replace(concept, score=_SLIP_SCORE) for concept in self._of_term(term))

    def _of_release(self, name: str) -> tuple[Concept, ...]:
        if self._release is None:
            return ()
        hits = [one for one in self._release.named(name) if one.kind in _KIND_ORDER]
        hits.sort(key=lambda one: _KIND_ORDER.index(one.kind))
        found: set[NamedConcept] = set()
        for hit in [one for one in hits if one.kind == hits[0].kind]:
            whole = self._whole(hit)
            if whole is not None:
                found.add(whole)
        if len(found) != 1:
            return ()
        return (self._loaded.concept(systems.RXNORM, found.pop(), _RELEASE_SCORE),)

    def _whole(self, hit: NamedConcept) -> NamedConcept | None:
        """The ingredient, or the combination, that a name of the release stands for."""
        if self._release is None or hit.kind in ("IN", "MIN"):
            return hit
        ingredients = self._release.ingredients(hit.code)
        if len(ingredients) == 1:
            return self._release.concept(min(ingredients))
        return self._release.combination(ingredients) if ingredients else None

    def _ingredients(self, term: Term | None, code: str) -> frozenset[str]:
        """The RxCUIs of the ingredients of a drug that has `code`."""
        if self._release is not None and code:
            return self._release.ingredients(code) or frozenset((code,))
        if term is None or " / " not in term.name:
            return frozenset((code,) if code else ())
        parts = [self._codes.get(part.lower()) for part in term.name.split(" / ")]
        return frozenset(p for p in parts if p) if all(parts) else frozenset()

    def _product(self, text: str, term: Term | None, code: str, after: str) -> Concept | None:
        written = read_written(after)
        if written is None:
            return None
        words = [word.lower() for word in re.findall(r"[A-Za-z]+", text)]
        ingredients = self._ingredients(term, code)
        known = list(self._products(ingredients)) if ingredients else []
        fitting = _fitting(written, known)
        brand = self._brand(term, words, known)
        branded = [drug for drug in fitting if drug.brand == brand]
        if not branded and len(ingredients) > 1:
            # A combination's strengths tell it, whoever makes it.
            branded = [drug for drug in fitting if not drug.brand]
        fitting = branded
        for word in words:
            salt = _SALT_WORDS.get(word)
            if salt is not None:
                fitting = [d for d in fitting if any(salt in i for i in d.ingredients)]
        form = _with_release(written.form, words)
        if form is None:
            return None
        if form:
            fitting = [drug for drug in fitting if drug.form == form]
        elif len(ingredients) < 2:
            return None
        elif self._release is None:
            fitting = [drug for drug in fitting if drug.code in self._sole]
        hours = next((_HOURS[word] for word in words if word in _HOURS), None)
        if len(fitting) > 1 and hours is not None:
            fitting = [drug for drug in fitting if drug.name.startswith(hours)]
        return self._concept(fitting[0]) if len(fitting) == 1 else None

    def _concept(self, drug: ClinicalDrug) -> Concept | None:
        made = Concept(systems.RXNORM, drug.code, drug.name, _PRODUCT_SCORE, systems.RXNORM_CHECKED)
        return next(iter(self._loaded.confirmed((made,))), None)

    @staticmethod
    def _brand(term: Term | None, words: list[str], known: list[ClinicalDrug]) -> str:
        """The brand that the note names, as RxNorm writes it; `` for a generic name."""
        if term is not None and term.type != "BRAND_NAME":
            return ""
        joined = " ".join(words)
        brands = [d.brand for d in known if d.brand and joined.startswith(d.brand)]
        if brands:
            return max(brands, key=len)
        # A brand that no product is known of: nothing may be taken for it.
        return "" if term is None else "\0"


def _of_release(release: ReleaseIndex) -> Products:
    def products(ingredients: frozenset[str]) -> Sequence[ClinicalDrug]:
        parsed = (parse_clinical_drug(row.code, row.name) for row in release.products(ingredients))
        return [drug for drug in parsed if drug is not None]

    return products


def _fitting(written: Written, known: Sequence[ClinicalDrug]) -> list[ClinicalDrug]:
    found = [drug for drug in known if written.fits(drug)]
    if not found and len(written.amounts) > 1:
        # `Advair 250/50` is in micrograms, and by the puff.
        scaled = tuple((a * Decimal("0.001")).normalize() for a in written.amounts)
        for per in ("", "/ACTUAT"):
            small = replace(written, amounts=scaled, per=per)
            found += [drug for drug in known if small.fits(drug)]
    return found


def _with_release(form: str, words: list[str]) -> str | None:
    """The form with the release that the drug's name carries (`metformin ER`); None for a release
    without a form, which tells too little."""
    release = next((_RELEASES[word] for word in words if word in _RELEASES), None)
    if release is None or form.startswith(release):
        return form
    return f"{release} {form}" if form else None


def _bare(text: str) -> str:
    """A name without strength and what follows it."""
    return _STRENGTH_BEHIND.sub("", " ".join(text.split())).strip(" ,;:.()")


def _without_salt(name: str) -> str:
    words = name.split(" ")
    while len(words) > 1 and (
        words[-1].lower() in _SALT_WORDS
        or words[-1].lower() in _RELEASES
        or words[-1].lower() in _COUNTER_ION
    ):
        words.pop()
    return " ".join(words)
