"""From the text of a UCUM unit to its factor and its dimensions.

The grammar of https://ucum.org/ucum (case-sensitive codes, sections 6 to 12), and what the official
table of example units adds to it: an annotation after a number (`/100{WBCs}`) or a parenthesis
(`g/(8.h){shift}`). Numbers are exact fractions all the way.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from schemas.ucum_atoms import Atom, table

MAX_LENGTH = 200
"""Characters of a unit. The longest of the official examples has 44."""

_MAX_DEPTH = 16
_MAX_EXPONENT = 200
# Bits of a factor's numerator or denominator: far more than any quantity has, little to compute.
_MAX_BITS = 4096

_ANNOTATION = re.compile(r"\{[!-z|~]*\}")
_DIGITS = re.compile(r"[0-9]+")
_SYMBOL = re.compile(r"(?:\[[!-Z\\^-~]*\]|[!-'*,0-Z\\^-z|~+-])+")
_EXPONENT = re.compile(r"(.*?)([+-]?[0-9]+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Term:
    """What one of a unit is: `factor` times base units with their exponents, above `offset`.

    `offset`, in base units, is that of a temperature scale. `special` says that it can be no part
    of another term.
    """

    factor: Fraction
    dimensions: tuple[tuple[str, int], ...]
    offset: Fraction = Fraction(0)
    special: bool = False


_ONE = Term(Fraction(1), ())


class UnitError(ValueError):
    """A text that is no UCUM unit, or that is beyond the limits here; its text says why."""


def parse(text: str) -> Term:
    """The term that a unit text stands for. Raises `UnitError`."""
    if not text or len(text) > MAX_LENGTH:
        raise UnitError(f"a unit has 1 to {MAX_LENGTH} characters")
    return _Parser(text).whole()


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._position = 0

    def whole(self) -> Term:
        """The text as a main term: a term, or `/` before one."""
        if self._take("/"):
            found = self._term(_power(self._component(0), -1), 0)
        else:
            found = self._term(self._component(0), 0)
        if self._position < len(self._text):
            raise UnitError("there is something after the end of the unit")
        return found

    def _term(self, found: Term, depth: int) -> Term:
        """Components after the first, from left to right: `a/b.c` is `(a/b).c`."""
        while True:
            if self._take("."):
                found = _product(found, self._component(depth))
            elif self._take("/"):
                found = _product(found, _power(self._component(depth), -1))
            else:
                return found

    def _component(self, depth: int) -> Term:
        if depth > _MAX_DEPTH:
            raise UnitError("its parentheses are too deep")
        if self._take("("):
            found = self._term(self._component(depth + 1), depth + 1)
            if not self._take(")"):
                raise UnitError("a parenthesis is not closed")
            self._match(_ANNOTATION)
            return found
        if self._match(_ANNOTATION):
            return _ONE
        text = self._match(_SYMBOL)
        if text is None:
            raise UnitError("a unit is missing")
        found = _factor(text) if _DIGITS.fullmatch(text) else _simple(text)
        self._match(_ANNOTATION)
        return found

    def _take(self, character: str) -> bool:
        if self._text.startswith(character, self._position):
            self._position += 1
            return True
        return False

    def _match(self, pattern: re.Pattern[str]) -> str | None:
        found = pattern.match(self._text, self._position)
        if found is None:
            return None
        self._position = found.end()
        return found.group()


def _factor(digits: str) -> Term:
    number = int(digits)
    if not number:
        raise UnitError("a factor is a number from 1 on")
    return Term(Fraction(number), ())


def _simple(text: str) -> Term:
    """A symbol, with its exponent where there is one."""
    found = _symbol(text)
    if found is not None:
        return found
    parts = _EXPONENT.fullmatch(text)
    if parts is not None:
        found = _symbol(parts.group(1))
    if parts is None or found is None:
        raise UnitError("it has a symbol that is not of UCUM")
    return _power(found, int(parts.group(2)))


@lru_cache(maxsize=4_096)
def _symbol(text: str) -> Term | None:
    """An atom, or a prefix and a metric atom; None when it is neither."""
    atoms, prefixes = table().atoms, table().prefixes
    atom = atoms.get(text)
    if atom is not None:
        return _of_atom(atom, Fraction(1))
    for length in (1, 2):
        atom = atoms.get(text[length:])
        if atom is not None and atom.metric and text[:length] in prefixes:
            return _of_atom(atom, prefixes[text[:length]])
    return None


def _of_atom(atom: Atom, prefix: Fraction) -> Term:
    if atom.base:
        return Term(prefix, ((atom.code, 1),), special=atom.special)
    defined = parse(atom.definition)
    factor = prefix * atom.value * defined.factor
    return Term(factor, defined.dimensions, atom.offset, atom.special)


def _power(term: Term, exponent: int) -> Term:
    if exponent == 1:
        return term
    _refuse_special(term)
    if not 0 < abs(exponent) <= _MAX_EXPONENT:
        raise UnitError(f"an exponent is from 1 to {_MAX_EXPONENT}, or negative")
    # Before it is computed: a power of a large factor may be huge.
    if _bits(term.factor) * abs(exponent) > _MAX_BITS:
        raise UnitError("it is too large a power")
    dimensions = tuple((name, power * exponent) for name, power in term.dimensions)
    return Term(term.factor**exponent, _checked(dimensions))


def _product(left: Term, right: Term) -> Term:
    _refuse_special(left)
    _refuse_special(right)
    factor = left.factor * right.factor
    if _bits(factor) > _MAX_BITS:
        raise UnitError("its factor is too large")
    powers = dict(left.dimensions)
    for name, power in right.dimensions:
        powers[name] = powers.get(name, 0) + power
    return Term(factor, _checked(tuple(sorted((n, p) for n, p in powers.items() if p))))


def _checked(dimensions: tuple[tuple[str, int], ...]) -> tuple[tuple[str, int], ...]:
    if any(abs(power) > _MAX_EXPONENT for _, power in dimensions):
        raise UnitError(f"an exponent is from 1 to {_MAX_EXPONENT}, or negative")
    return dimensions


def _refuse_special(term: Term) -> None:
    if term.special:
        raise UnitError("a unit whose scale has no zero, or is no straight line, stands alone")


def _bits(factor: Fraction) -> int:
    return max(factor.numerator.bit_length(), factor.denominator.bit_length())
