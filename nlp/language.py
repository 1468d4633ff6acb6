"""Clinical English for spaCy: a tokenizer for `120/80mmHg` and norms that join spelling variants.

The norm of a word is what the dictionary matches on: lower case, singular, American spelling. It
is a lexical attribute of the vocabulary, so each distinct word is normalised once, not once a use.
"""

import re
from collections.abc import Callable
from itertools import pairwise
from typing import Any

from spacy.attrs import NORM
from spacy.lang.en import English
from spacy.language import Language
from spacy.tokenizer import Tokenizer
from spacy.tokens import Doc

# Written directly behind a number: `500mg`. Longest first.
_UNITS = (
    r"units|puffs|mmol|mmHg|mmhg|unit|tabs|caps|days|mcg|lbs|meq|mEq|tab|cap|hrs|min|day"
    r"|wks|yrs|bpm|gtt|mg|µg|μg|ug|gm|kg|lb|oz|ml|mL|dl|dL|cc|mm|cm|iu|IU|hr|wk|mo|yo|yr|g"
    r"|l|L|u|h|d|y|F|C"
)

_PREFIX = re.compile(r"""^(?:[^\w\s]|_+)""")
# Underscores are looked at from their first one only: a row of them is not read once from each.
_SUFFIX = re.compile(r"""(?:['’]s|[^\w\s]|(?<!_)_+)$""", re.IGNORECASE)
_INFIX = re.compile(
    rf"(?<=\d)(?=(?:{_UNITS})(?![A-Za-z]))"
    r"|[/\-‐‑‒–—−~+:;=<>()\[\]{}\"“”*|&→?!%^#@\\]"
    r"|,(?=[^\d])|(?<=[^\d]),"
    r"|(?<=[a-z])\.(?=[A-Z])"
    r"|\.{2,}|…"
)

# spaCy strips prefixes and suffixes one at a time and reads the rest again after each, which takes
# the square of the length. No word is longer than this; in a longer run we cut beside a mark that
# is no letter, where the affix rules would have cut too. A row of letters and digits stays whole.
_MAX_RUN = 200
_LONG_RUN = re.compile(rf"(?<!\S)\S{{{_MAX_RUN + 1},}}+")
_RUN_PIECE = re.compile(rf"\S{{0,{_MAX_RUN - 1}}}[^\w\s]|\w++(?:[^\w\s]|\Z)")

_BRITISH = (
    (re.compile(r"aem"), "em"),  # anaemia, ischaemia, haemorrhage
    (re.compile(r"(?:^|(?<=an))aesth"), "esth"),
    (re.compile(r"paed"), "ped"),
    (re.compile(r"gynaec"), "gynec"),
    (re.compile(r"^(c|f)aec"), r"\1ec"),
    (re.compile(r"^aetiol"), "etiol"),
    (re.compile(r"oedem"), "edem"),
    (re.compile(r"^oesoph"), "esoph"),
    (re.compile(r"oesophag"), "esophag"),
    (re.compile(r"oestr"), "estr"),
    (re.compile(r"^foet"), "fet"),
    (re.compile(r"rrhoe"), "rrhe"),
    (re.compile(r"pnoe"), "pne"),
    (re.compile(r"coeli"), "celi"),
    (re.compile(r"tumour"), "tumor"),
    (re.compile(r"colour"), "color"),
    (re.compile(r"sulph"), "sulf"),
    (re.compile(r"^(fib|lit|cent)re(s?)$"), r"\1er\2"),
)
_HYPHENS = str.maketrans("‐‑‒–—−", "------")
_KEEP_S = ("ss", "us", "is", "as", "os")


def clinical_norm(word: str) -> str:
    """The form two spellings of a word share.

    >>> clinical_norm("Tumours"), clinical_norm("metastases"), clinical_norm("diarrhoea")
    ('tumor', 'metastasis', 'diarrhea')
    """
    norm = word.lower()
    if not norm.isalpha():
        return norm.replace("’", "'").translate(_HYPHENS)
    if (
        "ae" in norm
        or "oe" in norm
        or "ou" in norm
        or "lph" in norm
        or norm.endswith(("re", "res"))
    ):
        for pattern, replacement in _BRITISH:
            norm = pattern.sub(replacement, norm)
    if len(norm) < 4 or not norm.endswith("s") or norm.endswith(_KEEP_S):
        return norm
    if norm.endswith(("oses", "stases")):
        return norm[:-2] + "is"
    if norm.endswith("ies") and len(norm) > 5:
        return norm[:-3] + "y"
    if norm.endswith(("sses", "xes", "ches", "shes")):
        return norm[:-2]
    return norm[:-1]


class ClinicalDefaults(English.Defaults):  # type: ignore[misc,valid-type]
    """English without its exception table: clinical shorthand is not prose."""

    tokenizer_exceptions: dict[str, list[dict[Any, Any]]] = {}  # noqa: RUF012 - spaCy's own shape
    lex_attr_getters: dict[int, Callable[[str], Any]] = {  # noqa: RUF012
        **English.Defaults.lex_attr_getters,
        NORM: clinical_norm,
    }


class ClinicalEnglish(English):
    """spaCy's English with the clinical tokenizer and norms."""

    lang = "en"
    Defaults = ClinicalDefaults


def run_cuts(text: str) -> list[int]:
    """Where runs without a blank that are too long for the affix rules are cut; [] as a rule."""
    cuts: list[int] = []
    for run in _LONG_RUN.finditer(text):
        cuts += [piece.end() for piece in _RUN_PIECE.finditer(text, *run.span())]
        if cuts and cuts[-1] == run.end():
            cuts.pop()
    return cuts


class ClinicalTokenizer(Tokenizer):
    """spaCy's tokenizer in linear time for any text."""

    def __call__(self, string: str) -> Doc:
        """Tokenize; the text of the doc is `string`, whatever it is."""
        cuts = run_cuts(string)
        if not cuts:
            return super().__call__(string)
        # Blanks in the cuts keep the pieces apart; the doc is then written without them.
        edges = [0, *cuts, len(string)]
        apart = super().__call__(" ".join(string[b:e] for b, e in pairwise(edges)))
        inserted = {cut + number for number, cut in enumerate(cuts)}
        words = [token.text for token in apart]
        spaces = [
            bool(token.whitespace_) and token.idx + len(token) not in inserted for token in apart
        ]
        return Doc(self.vocab, words=words, spaces=spaces)


def clinical_tokenizer(nlp: Language) -> Tokenizer:
    """A tokenizer that cuts at slashes, hyphens and between a number and its unit."""
    return ClinicalTokenizer(
        nlp.vocab,
        rules={},
        prefix_search=_PREFIX.search,
        suffix_search=_SUFFIX.search,
        infix_finditer=_INFIX.finditer,
    )


def blank() -> Language:
    """An empty pipeline over clinical English. Any length of text is taken: chunks bound it."""
    nlp = ClinicalEnglish(meta={"name": "chartlake_clinical"})
    nlp.vocab.lex_attr_getters[NORM] = clinical_norm  # type: ignore[attr-defined]
    nlp.tokenizer = clinical_tokenizer(nlp)
    nlp.max_length = 1 << 30
    return nlp
