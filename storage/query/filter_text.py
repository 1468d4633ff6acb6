"""The text of `_filter` as a tree of comparisons, before anything is known of their parameters.

https://hl7.org/fhir/R4/search_filter.html. `not` binds closest, then `and`, then `or`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypeAlias

from schemas.outcomes import FhirError, error

OPERATORS = frozenset(
    {"eq", "ne", "co", "sw", "ew", "gt", "lt", "ge", "le", "ap", "sa", "eb", "pr", "po"}
    | {"ss", "sb", "in", "ni", "re"}
)

# Parentheses within one another.
_MAX_DEPTH = 30

_TOKEN = re.compile(r'\s*(?:([()\[\]])|"((?:[^"\\]|\\.)*)"|([^\s()\[\]"]+))')
_ESCAPED = re.compile(r"\\(.)")


@dataclass(frozen=True, slots=True)
class Comparison:
    """`path operator value`; `quoted` when the value was written as a string."""

    path: str
    operator: str
    value: str
    quoted: bool


@dataclass(frozen=True, slots=True)
class Joined:
    """Parts under `and`, `or` or `not` (of one part)."""

    word: str
    parts: tuple[Filter, ...]


Filter: TypeAlias = Comparison | Joined


def read(text: str, max_terms: int) -> Filter:
    """The tree that a text says. Raises FhirError `value`, which names no value."""
    return _Reader(text, max_terms).whole()


def malformed(problem: str) -> FhirError:
    """The error for a filter that cannot be read."""
    return error("value", f"The value of '_filter' cannot be used: {problem}.", "_filter")


class _Reader:
    def __init__(self, text: str, max_terms: int) -> None:
        self._tokens: list[tuple[str, bool]] = []  # text, and whether it was quoted
        self._at = 0
        self._terms_left = max_terms
        self._max_terms = max_terms
        position = 0
        text = text.rstrip()
        while position < len(text):
            found = _TOKEN.match(text, position)
            if found is None:
                raise malformed(f"it cannot be read at character {position + 1}")
            if found[2] is not None:
                self._tokens.append((_ESCAPED.sub(r"\1", found[2]), True))
            else:
                self._tokens.append((found[1] or found[3], False))
            position = found.end()

    def whole(self) -> Filter:
        found = self._either(0)
        if self._at < len(self._tokens):
            raise malformed(f"{self._place()} does not belong there")
        return found

    def _either(self, depth: int) -> Filter:
        parts = [self._both(depth)]
        while self._takes("or"):
            parts.append(self._both(depth))
        return parts[0] if len(parts) == 1 else Joined("or", tuple(parts))

    def _both(self, depth: int) -> Filter:
        parts = [self._one(depth)]
        while self._takes("and"):
            parts.append(self._one(depth))
        return parts[0] if len(parts) == 1 else Joined("and", tuple(parts))

    def _one(self, depth: int) -> Filter:
        if depth > _MAX_DEPTH:
            raise malformed(f"its parentheses go deeper than {_MAX_DEPTH}")
        if self._takes("not"):
            return Joined("not", (self._one(depth + 1),))
        if self._takes("("):
            found = self._either(depth + 1)
            if not self._takes(")"):
                raise malformed(f"a closing parenthesis is missing before {self._place()}")
            return found
        return self._comparison()

    def _comparison(self) -> Comparison:
        self._terms_left -= 1
        if self._terms_left < 0:
            raise malformed(
                f"it has more than {self._max_terms} comparisons (setting search_max_filter_terms)"
            )
        path, quoted = self._next("a parameter")
        if self._peek() == ("[", False):
            raise malformed("conditions in brackets are not supported")
        if quoted or path in (")", "]", "[", "and", "or"):
            raise malformed(f"a parameter is needed as word {self._at}")
        operator, quoted = self._next("an operator")
        if quoted or operator not in OPERATORS:
            raise malformed(f"word {self._at} is not an operator of _filter")
        value, quoted = self._next("a value")
        if not quoted and value in ("(", ")", "[", "]"):
            raise malformed(f"a value is needed as word {self._at}")
        return Comparison(path, operator, value, quoted)

    def _peek(self) -> tuple[str, bool] | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def _takes(self, word: str) -> bool:
        if self._peek() == (word, False):
            self._at += 1
            return True
        return False

    def _next(self, what: str) -> tuple[str, bool]:
        found = self._peek()
        if found is None:
            raise malformed(f"it ends where {what} is needed")
        self._at += 1
        return found

    def _place(self) -> str:
        return f"word {self._at + 1}" if self._at < len(self._tokens) else "the end"
