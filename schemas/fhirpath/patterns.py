"""Regular expressions that cannot run away.

Expressions come from profiles and clients, and Python's matcher tries every way through a pattern
such as `(a+)+$` before it gives up. A pattern that could do so is matched by following all ways at
once instead: slower, but its time grows with the text alone.
http://hl7.org/fhirpath/N1/#matchesregex-string-boolean
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from re import _constants as op  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

from schemas.fhirpath.arithmetic import checked_text
from schemas.fhirpath.errors import FhirPathError

MAX_PATTERN_CHARACTERS = 2_000

# States of an automaton, and states times characters of a text.
MAX_STATES = 4_000
MAX_WORK = 20_000_000

# Ways that Python's matcher may have to try, at worst.
_MAX_TRIES = 2_000_000
_NAMED = re.compile(r"\(\?<(?![=!])")
_FLAGS = {"i": re.IGNORECASE, "m": re.MULTILINE, "s": re.DOTALL, "x": re.VERBOSE}
_REFERENCE = re.compile(r"\$(?:\{(\w+)\}|(\d+))|(\\)")


class Pattern:
    """A compiled pattern; `full` when it must match the whole text."""

    def __init__(self, source: str, flags: str, *, full: bool) -> None:
        if len(source) > MAX_PATTERN_CHARACTERS:
            raise FhirPathError("The regular expression is too long.", "limit")
        marks = re.DOTALL
        for flag in flags:
            if flag not in _FLAGS:
                raise FhirPathError(f"matches() knows the flags i and m, not {flag!r}.")
            marks |= _FLAGS[flag]
        source = _NAMED.sub("(?P<", source)
        self.full = full
        try:
            self.tree = parser.parse(source, marks)
            self.compiled = re.compile(source, marks)
        except (re.error, OverflowError, RecursionError):
            raise FhirPathError("The regular expression cannot be read.", "semantic") from None
        self.flags = int(self.tree.state.flags)
        self.wild, self.loops = _danger(self.tree, within=False)
        self.automaton: _Automaton | None = None

    def work(self, text: str) -> int:
        """What matching a text may cost, in steps of an evaluation."""
        if self.runs_natively(text):
            return int((len(text) + 1) ** max(1, self.loops)) >> 10
        if self.automaton is None:
            self.automaton = _Automaton(self.tree, self.flags)
        return len(text) * (4 + len(self.automaton.states))

    def runs_natively(self, text: str) -> bool:
        """Whether Python's matcher cannot take long over it."""
        return not self.wild and (len(text) + 1) ** max(1, self.loops) <= _MAX_TRIES

    def found(self, text: str) -> bool:
        """Whether the text matches. Raises FhirPathError of kind `limit` for too much work."""
        if self.runs_natively(text):
            return (self.compiled.fullmatch if self.full else self.compiled.search)(
                text
            ) is not None
        if self.automaton is None:
            self.automaton = _Automaton(self.tree, self.flags)
        return self.automaton.matches(text, full=self.full)

    def replaced(self, text: str, new: str) -> str:
        """Each match replaced. Raises FhirPathError of kind `limit` for a pattern and a text that
        could take too long."""
        if not self.runs_natively(text):
            raise FhirPathError(
                "replaceMatches() does not take this regular expression: repetitions inside "
                "repetitions could take forever.",
                "limit",
            )
        if len(text) * (len(new) + 1) > 2**24:
            checked_text(" " * (2**21))
        try:
            return checked_text(self.compiled.sub(new, text))
        except (re.error, IndexError):
            raise FhirPathError(
                "The substitution names a group that the regular expression lacks.", "semantic"
            ) from None


@lru_cache(maxsize=128)
def pattern(source: str, flags: str, *, full: bool) -> Pattern:
    """The compiled pattern. Raises FhirPathError for what is none, and for unknown flags."""
    return Pattern(source, flags, full=full)


def substitution(text: str) -> str:
    """`${name}` and `$1` as Python's templates have them."""

    def meant(match: re.Match[str]) -> str:
        return r"\\" if match[3] else rf"\g<{match[1] or match[2]}>"

    return _REFERENCE.sub(meant, text)


def _danger(tree: Any, *, within: bool) -> tuple[bool, int]:
    """Whether a choice or repetition is inside a repetition, and how many long repetitions are
    there."""
    wild, loops = False, 0
    for code, argument in tree:
        inner: list[Any] = []
        repeated = False
        if code in (op.MAX_REPEAT, op.MIN_REPEAT, op.POSSESSIVE_REPEAT):
            least, most, body = argument
            wild = wild or within
            repeated = most > 1
            loops += most > 32 or least > 32
            inner = [body]
        elif code is op.BRANCH:
            wild = wild or within
            inner = list(argument[1])
        elif code is op.SUBPATTERN:
            inner = [argument[3]]
        elif code in (op.ASSERT, op.ASSERT_NOT):
            inner = [argument[1]]
        elif code is op.ATOMIC_GROUP:
            inner = [argument]
        elif code in (op.GROUPREF, op.GROUPREF_EXISTS):
            wild = wild or within
        for part in inner:
            deeper, more = _danger(part, within=within or repeated)
            wild, loops = wild or deeper, loops + more
    return wild, loops


Test = Callable[[str], bool]


class _Automaton:
    """States `(kind, test, next, other)`: kind is char, split, assert or match."""

    def __init__(self, tree: Any, flags: int) -> None:
        self.flags = flags
        self.states: list[tuple[str, Any, int, int]] = []
        end = self._add("match", None, 0, 0)
        self.start = self._sequence(list(tree), end)

    def _add(self, kind: str, test: Any, after: int, other: int) -> int:
        if len(self.states) >= MAX_STATES:
            raise FhirPathError("The regular expression is too large.", "limit")
        self.states.append((kind, test, after, other))
        return len(self.states) - 1

    def _sequence(self, nodes: list[Any], after: int) -> int:
        for node in reversed(nodes):
            after = self._node(node, after)
        return after

    def _node(self, node: Any, after: int) -> int:
        code, argument = node
        if code in (op.LITERAL, op.NOT_LITERAL, op.ANY, op.IN):
            return self._add("char", self._test(code, argument), after, 0)
        if code is op.SUBPATTERN:
            return self._sequence(list(argument[3]), after)
        if code is op.BRANCH:
            starts = [self._sequence(list(branch), after) for branch in argument[1]]
            found = starts[-1]
            for start in reversed(starts[:-1]):
                found = self._add("split", None, start, found)
            return found
        if code in (op.MAX_REPEAT, op.MIN_REPEAT):
            least, most, body = argument
            return self._repeat(least, most, body, after)
        if code is op.AT:
            return self._add("assert", argument, after, 0)
        raise FhirPathError(
            "A regular expression with repetitions inside repetitions may not look around or "
            "refer back.",
            "limit",
        )

    def _repeat(self, least: int, most: int, body: Any, after: int) -> int:
        nodes = list(body)
        if most == parser.MAXREPEAT:
            loop = self._add("split", None, after, after)
            first = self._sequence(nodes, loop)
            self.states[loop] = ("split", None, first, after)
            found = loop
        else:
            found = after
            for _ in range(most - least):
                found = self._add("split", None, self._sequence(nodes, found), after)
        for _ in range(least):
            found = self._sequence(nodes, found)
        return found

    def _test(self, code: Any, argument: Any) -> Test:
        if code is op.ANY:
            return lambda char: True
        if code is op.LITERAL:
            base = _one(argument)
        elif code is op.NOT_LITERAL:
            inner = self._folding(_one(argument))
            return lambda char: not inner(char)
        else:
            negated = bool(argument) and argument[0][0] is op.NEGATE
            tests = [_member(kind, value) for kind, value in argument if kind is not op.NEGATE]
            inner = self._folding(lambda char: any(test(char) for test in tests))
            return (lambda char: not inner(char)) if negated else inner
        return self._folding(base)

    def _folding(self, test: Test) -> Test:
        if not self.flags & re.IGNORECASE:
            return test
        return lambda char: (
            test(char)
            or (len(char.lower()) == 1 and test(char.lower()))
            or (len(char.upper()) == 1 and test(char.upper()))
        )

    def matches(self, text: str, *, full: bool) -> bool:
        if len(text) * len(self.states) > MAX_WORK:
            raise FhirPathError("The text is too long for its regular expression.", "limit")
        states = self.states
        active: set[int] = set()
        for at in range(len(text) + 1):
            if at == 0 or not full:
                active.add(self.start)
            active = self._closure(active, text, at)
            done = any(states[state][0] == "match" for state in active)
            if done and (not full or at == len(text)):
                return True
            if at < len(text):
                char = text[at]
                active = {
                    states[state][2]
                    for state in active
                    if states[state][0] == "char" and states[state][1](char)
                }
        return False

    def _closure(self, active: set[int], text: str, at: int) -> set[int]:
        found: set[int] = set()
        waiting = list(active)
        while waiting:
            state = waiting.pop()
            if state in found:
                continue
            found.add(state)
            kind, test, after, other = self.states[state]
            if kind == "split":
                waiting += (after, other)
            elif kind == "assert" and _holds(test, text, at, bool(self.flags & re.MULTILINE)):
                waiting.append(after)
        return found


def _one(wanted: int) -> Test:
    letter = chr(wanted)
    return lambda char: char == letter


def _member(kind: Any, value: Any) -> Test:
    if kind is op.LITERAL:
        return _one(value)
    if kind is op.RANGE:
        low, high = value
        return lambda char: low <= ord(char) <= high
    tests: dict[Any, Test] = {
        op.CATEGORY_DIGIT: str.isdecimal,
        op.CATEGORY_NOT_DIGIT: lambda char: not char.isdecimal(),
        op.CATEGORY_SPACE: str.isspace,
        op.CATEGORY_NOT_SPACE: lambda char: not char.isspace(),
        op.CATEGORY_WORD: _word,
        op.CATEGORY_NOT_WORD: lambda char: not _word(char),
    }
    return tests[value]


def _word(char: str) -> bool:
    return char.isalnum() or char == "_"


def _holds(place: Any, text: str, at: int, lines: bool) -> bool:
    if place in (op.AT_BEGINNING, op.AT_BEGINNING_STRING):
        return at == 0 or (lines and place is op.AT_BEGINNING and text[at - 1] == "\n")
    if place is op.AT_END_STRING:
        return at == len(text)
    if place is op.AT_END:
        last = at == len(text) or (at == len(text) - 1 and text[at] == "\n")
        return last or (lines and text[at] == "\n")
    before = at > 0 and _word(text[at - 1])
    after = at < len(text) and _word(text[at])
    return (before != after) == (place is op.AT_BOUNDARY)
