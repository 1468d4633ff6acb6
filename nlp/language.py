"""Clinical English for spaCy: a tokenizer for `120/80mmHg` and norms that join spelling variants.

The norm of a word is what the dictionary matches on: lower case, singular, American spelling. It
is a lexical attribute of the vocabulary, so each distinct word is normalised once, not once a use.
"""

import re
from collections.abc import Callable
from typing import Any

from spacy.attrs import NORM
from spacy.lang.en import English
from spacy.language import Language
from spacy.tokenizer import Tokenizer

# Written directly behind a number: `500mg`. Longest first.
_UNITS = (
    r"units|puffs|mmol|mmHg|mmhg|unit|tabs|caps|days|mcg|lbs|meq|mEq|tab|cap|hrs|min|day"
    r"|wks|yrs|bpm|gtt|mg|µg|μg|ug|gm|kg|lb|oz|ml|mL|dl|dL|cc|mm|cm|iu|IU|hr|wk|mo|yo|yr|g"
    r"|l|L|u|h|d|y|F|C"
)

_PREFIX = re.compile(r"""^(?:[^\w\s]|_+)""")
_SUFFIX = re.compile(r"""(?:['’]s|[^\w\s]|_+)$""", re.IGNORECASE)
_INFIX = re.compile(
    rf"(?<=\d)(?=(?:{_UNITS})(?![A-Za-z]))"
    r"|[/\-‐‑‒–—−~+:;=<>()\[\]{}\"“”*|&→?!%^#@\\]"
    r"|,(?=[^\d])|(?<=[^\d]),"
    r"|(?<=[a-z])\.(?=[A-Z])"
    r"|\.{2,}|…"
)

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


def clinical_tokenizer(nlp: Language) -> Tokenizer:
    """A tokenizer that cuts at slashes, hyphens and between a number and its unit."""
    return Tokenizer(
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
