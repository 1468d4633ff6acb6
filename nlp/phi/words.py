"""Which words are names, which are not: lists, and the shape of a name."""

import gzip
from functools import cache
from importlib.resources import files

from nlp.terminology import knowledge_base

_UPPER = "A-ZÀ-ÖØ-ÞĀĂĄĆČĎĐĒĖĘĚĞĢĪĮİĶĹĻĽŁŃŅŇŌŐŒŔŘŚŞŠŢŤŪŮŰŲŹŻŽ"
# A word of a name: `Smith`, `O'Brien`, `Garcia-Lopez`, `McDonald`, `SMITH`, `José`.
CAPITAL = (
    rf"(?:(?:al|el|ad|as|ash|abd|ben|d['’]|l['’])-?(?=[{_UPPER}]))?"
    rf"[{_UPPER}][\w'’]{{0,40}}(?:-[\w'’]{{1,40}}){{0,3}}(?![\w])"
)
INITIAL = rf"[{_UPPER}]\.?(?![\w'’])"
PARTICLE = (
    r"(?:de|da|do|dos|das|del|della|di|du|la|le|van|von|vom|zu|der|den|ter|ten|bin|bint|ibn|al|el"
    r"|abu|st\.|san|y|e)"
)


def _lines(name: str) -> str:
    return files("nlp.phi").joinpath("tables", name).read_text(encoding="utf-8")


@cache
def not_names() -> frozenset[str]:
    """Words of notes that look like names (`tables/not_names.txt`), lower case."""
    lines = (line for line in _lines("not_names.txt").splitlines() if not line.startswith("#"))
    return frozenset(word for line in lines for word in line.split())


def _gzipped(name: str) -> frozenset[str]:
    body = files("nlp.phi").joinpath("tables", name).read_bytes()
    return frozenset(gzip.decompress(body).decode("ascii").split())


@cache
def first_names() -> frozenset[str]:
    """First names, lower case."""
    return _gzipped("first_names.txt.gz")


@cache
def surnames() -> frozenset[str]:
    """Surnames, lower case."""
    return _gzipped("surnames.txt.gz")


@cache
def clinical_words() -> frozenset[str]:
    """Every word of the names of diseases, drugs, tests, procedures and body sites, lower case."""
    words: set[str] = set()
    for term in knowledge_base().terms.values():
        for alias in (term.name, *term.aliases, *term.exact):
            words.update(alias.lower().replace("-", " ").split())
    return frozenset(words)


def is_ordinary(word: str) -> bool:
    """Whether the word is one of medicine or of ordinary language, as far as the lists know."""
    lower = word.lower().strip(".,'’").removesuffix("'s").removesuffix("’s")
    if lower in not_names():
        return True
    return lower in clinical_words() and lower not in first_names()


def is_first_name(word: str) -> bool:
    """Whether the word is in the list of first names and no ordinary word besides."""
    lower = word.lower()
    return lower in first_names() and lower not in not_names()


def is_surname(word: str) -> bool:
    """Whether the word is in the list of surnames and no ordinary word besides."""
    lower = word.lower()
    return lower in surnames() and lower not in not_names() and lower not in clinical_words()
