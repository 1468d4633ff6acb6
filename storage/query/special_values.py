"""Values that R4 leaves to the server to understand: texts of `_text`, and `Patient?age`.

https://hl7.org/fhir/R4/search.html#content: `_text=(bone OR liver) and metastases`. A text is
words, `AND` (or nothing), `OR`, `NOT` and parentheses; a word matches a whole word, whatever its
case and accents.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime

from schemas.dates import date_range
from schemas.spoken_words import sounds, words
from storage.index.condition import All, Compare, Condition, Either
from storage.index.prefixes import split_prefix
from storage.index.probe import Probe
from storage.query.escapes import unescape

Clause = tuple[tuple[str, ...], bool]
"""Words of which one must be there; or (true) one word that must not be there."""

_TOKEN = re.compile(r"[()]|[^\s()]+")
_MAX_CLAUSES = 64
_MAX_DEPTH = 20

_Literal = tuple[str, bool]
_Cnf = list[frozenset[_Literal]]


def word_clauses(values: Sequence[str]) -> list[Clause]:
    """What a text must have to meet one of the values (still escaped). Raises ValueError."""
    found = _any(_Parser(unescape(value)).whole() for value in values)
    clauses: list[Clause] = []
    for literals in dict.fromkeys(found):
        wanted = tuple(sorted(word for word, negated in literals if not negated))
        unwanted = [word for word, negated in literals if negated]
        if set(wanted) & set(unwanted):
            continue
        if unwanted and (wanted or len(unwanted) > 1):
            raise ValueError("NOT cannot be combined with OR")
        clauses.append(((unwanted[0],), True) if unwanted else (wanted, False))
    return clauses


def sound_clauses(values: Sequence[str]) -> list[Clause]:
    """The sounds that a name must have to sound like one of the values. Raises ValueError."""
    heard = [sounds(unescape(value)) for value in values]
    if not all(heard):
        raise ValueError("a name is needed")
    found = _any([[frozenset({(one, False)}) for one in each] for each in heard])
    return [(tuple(sorted(one for one, _ in literals)), False) for literals in dict.fromkeys(found)]


class _Parser:
    """From a text to its conjunctive normal form."""

    def __init__(self, text: str) -> None:
        if '"' in text:
            raise ValueError("phrases in quotes are not supported; words are")
        self._tokens = _TOKEN.findall(text)
        self._at = 0

    def whole(self) -> _Cnf:
        found = self._either(0)
        if self._at < len(self._tokens):
            raise ValueError("a parenthesis is closed that was not opened")
        return found

    def _either(self, depth: int) -> _Cnf:
        parts = [self._all(depth)]
        while self._next_is("or"):
            self._at += 1
            parts.append(self._all(depth))
        return _any(parts)

    def _all(self, depth: int) -> _Cnf:
        found: _Cnf = self._one(depth)
        while self._at < len(self._tokens) and not self._next_is("or", ")"):
            if self._next_is("and"):
                self._at += 1
            found = found + self._one(depth)
        return _checked(found)

    def _one(self, depth: int) -> _Cnf:
        if depth > _MAX_DEPTH:
            raise ValueError(f"it has more than {_MAX_DEPTH} parentheses within one another")
        if self._at >= len(self._tokens) or self._next_is("and", "or", ")"):
            raise ValueError("a word is needed")
        word = self._tokens[self._at]
        self._at += 1
        if word.casefold() == "not":
            return _negated(self._one(depth + 1))
        if word == "(":
            found = self._either(depth + 1)
            if not self._next_is(")"):
                raise ValueError("a parenthesis is not closed")
            self._at += 1
            return found
        spoken = words(word)
        if not spoken:
            raise ValueError("a word has letters or digits")
        return [frozenset({(one, False)}) for one in spoken]

    def _next_is(self, *names: str) -> bool:
        return self._at < len(self._tokens) and self._tokens[self._at].casefold() in names


def _any(parts: Iterable[_Cnf]) -> _Cnf:
    """One of several: every choice of a clause of each."""
    found: _Cnf = []
    for place, part in enumerate(parts):
        found = part if not place else [a | b for a, b in itertools.product(found, part)]
        _checked(found)
    return found


def _negated(found: _Cnf) -> _Cnf:
    return _any([[frozenset({(word, not no)}) for word, no in clause] for clause in found])


def _checked(found: _Cnf) -> _Cnf:
    if len(found) > _MAX_CLAUSES:
        raise ValueError(f"it combines more than {_MAX_CLAUSES} conditions")
    return found


def age_condition(text: str, today: date | None = None) -> Condition:
    """Over the interval of a birth date: one of so many completed years. Raises ValueError.

    A birth date that is known to the month or year meets it when any of its days would.
    """
    prefix, digits = split_prefix(unescape(text))
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 3):
        raise ValueError("an age is a whole number of years, with an optional prefix")
    years = int(digits)
    today = today or datetime.now(UTC).date()
    # Born on the day `young` or later: not so old yet. Before `old`: older.
    young, old = _years_before(today, years), _years_before(today, years + 1)
    is_younger = Compare("high", ">", young)
    is_older = Compare("low", "<", old)
    is_so_old = All((Compare("low", "<", young), Compare("high", ">", old)))
    found: dict[str, Condition] = {
        "eq": is_so_old,
        "ne": Either((is_younger, is_older)),
        "gt": is_older,
        "sa": is_older,
        "lt": is_younger,
        "eb": is_younger,
        "ge": Compare("low", "<", young),
        "le": Compare("high", ">", old),
    }
    if prefix == "ap":
        slack = max(1, round(years / 10))
        oldest = _years_before(today, years + slack + 1)
        youngest = _years_before(today, max(0, years - slack))
        return All((Compare("low", "<", youngest), Compare("high", ">", oldest)))
    return found[prefix]


def _years_before(today: date, years: int) -> int:
    """The day after the one on which one who has completed so many years today was born at last."""
    year = today.year - years
    if year < 1:
        return date_range("0001")[0]
    try:
        born = today.replace(year=year)
    except ValueError:  # Born on a 29 February: older on 1 March.
        born = date(year, 2, 28)
    return date_range(born.isoformat())[1]


def deceased(p: int) -> Probe:
    """Patients who have died, by the parameter `deceased`."""
    return Probe("token", p, Compare("code", "=", "true"))
