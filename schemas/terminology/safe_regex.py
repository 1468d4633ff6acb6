"""Regular expressions of strangers, matched in time that grows with the text alone.

A value set's filter may carry one (https://hl7.org/fhir/R4/valueset.html, `regex`). Python's own
matcher goes back over the text, which a few characters can make take for ever; this one follows
all ways at once. It knows what both XML Schema and others have: characters, classes, groups,
alternatives, `* + ? {n,m}`. Anything else is refused, and so is what is too large. The whole text
must match, as in XML Schema; `^` at the beginning and `$` at the end may be written.
"""

from __future__ import annotations

from collections.abc import Callable

_MAX_LENGTH = 1_000
_MAX_STATES = 2_000
_MAX_REPEATS = 200
_MAX_DEPTH = 50

# Sets of states that are remembered with where each character leads; then it begins anew.
_MAX_KNOWN = 2_000

Test = Callable[[str], bool]

_DIGITS: Test = lambda c: "0" <= c <= "9"  # noqa: E731 - a table of tests
_WORD: Test = lambda c: c.isalnum() or c == "_"  # noqa: E731
_SPACE: Test = lambda c: c in " \t\n\r\f\v"  # noqa: E731
_ANY: Test = lambda c: c not in "\n\r"  # noqa: E731
_CLASSES = {"d": _DIGITS, "w": _WORD, "s": _SPACE}
_CONTROLS = {"n": "\n", "r": "\r", "t": "\t"}
_SPECIAL = frozenset("\\|.?*+(){}[]^$-/,:;<>=!#&~@%_ \"'")


class RegexError(ValueError):
    """A pattern that is malformed, too large or beyond what is understood here."""


class Regex:
    """A compiled pattern. Raises `RegexError`."""

    def __init__(self, pattern: str) -> None:
        if len(pattern) > _MAX_LENGTH:
            raise RegexError(f"it is longer than {_MAX_LENGTH:,} characters")
        # A state is its tests with where they lead, and where it leads without a character.
        self._tests: list[tuple[Test, int] | None] = []
        self._free: list[list[int]] = []
        self._start, self._end = _Parser(pattern, self).whole()
        self._known: dict[frozenset[int], dict[str, frozenset[int]]] = {}
        self._first = self._closed({self._start})

    def matches(self, text: str) -> bool:
        """Whether the whole text matches."""
        states = self._first
        for character in text:
            if not states:
                return False
            if len(self._known) > _MAX_KNOWN:
                self._known = {}
            leads = self._known.setdefault(states, {})
            following = leads.get(character)
            if following is None:
                following = leads[character] = self._step(states, character)
            states = following
        return self._end in states

    def add_state(self) -> int:
        """A new state that leads nowhere."""
        if len(self._tests) >= _MAX_STATES:
            raise RegexError("it is too large")
        self._tests.append(None)
        self._free.append([])
        return len(self._tests) - 1

    def lead(self, state: int, to: int, test: Test | None = None) -> None:
        """Lead from one state to another, by a character that passes the test, or by none."""
        if test is None:
            self._free[state].append(to)
        else:
            self._tests[state] = (test, to)

    def _step(self, states: frozenset[int], character: str) -> frozenset[int]:
        found = set()
        for state in states:
            lead = self._tests[state]
            if lead is not None and lead[0](character):
                found.add(lead[1])
        return self._closed(found)

    def _closed(self, states: set[int]) -> frozenset[int]:
        waiting = list(states)
        while waiting:
            for state in self._free[waiting.pop()]:
                if state not in states:
                    states.add(state)
                    waiting.append(state)
        return frozenset(states)


Part = tuple[int, int]
"""The states where a part of the pattern begins and ends."""


class _Parser:
    def __init__(self, pattern: str, regex: Regex) -> None:
        text = pattern.removeprefix("^")
        if text.endswith("$") and not text.endswith("\\$"):
            text = text[:-1]
        self._text = text
        self._at = 0
        self._regex = regex

    def whole(self) -> Part:
        found = self._alternatives(0)
        if self._at < len(self._text):
            raise RegexError("a parenthesis is closed that was not opened")
        return found

    def _alternatives(self, depth: int) -> Part:
        if depth > _MAX_DEPTH:
            raise RegexError("its groups are too deep")
        begin, end = self._regex.add_state(), self._regex.add_state()
        while True:
            first, last = self._sequence(depth)
            self._regex.lead(begin, first)
            self._regex.lead(last, end)
            if not self._take("|"):
                return begin, end

    def _sequence(self, depth: int) -> Part:
        begin = end = self._regex.add_state()
        while self._at < len(self._text) and self._text[self._at] not in "|)":
            start = self._at
            part = self._one(depth)
            least, most = self._quantifier()
            after = self._at
            # A part that is repeated is read again for each of its copies.
            for count in range(max(least, 1) if most is None else most):
                if count:
                    self._at = start
                    part = self._one(depth)
                first, last = part
                self._regex.lead(end, first)
                if count >= least:
                    self._regex.lead(first, last)
                end = self._regex.add_state()
                self._regex.lead(last, end)
            if most is None:
                self._regex.lead(last, first)
            self._at = after
        return begin, end

    def _one(self, depth: int) -> Part:
        if self._take("("):
            if self._take("?") and not self._take(":"):
                raise RegexError("of groups with a `?` only `(?:` is understood")
            found = self._alternatives(depth + 1)
            if not self._take(")"):
                raise RegexError("a parenthesis is not closed")
            # Of its own beginning and end: what repeats it must not lead into its midst.
            begin, end = self._regex.add_state(), self._regex.add_state()
            self._regex.lead(begin, found[0])
            self._regex.lead(found[1], end)
            return begin, end
        begin, middle, end = (self._regex.add_state() for _ in range(3))
        self._regex.lead(begin, middle)
        self._regex.lead(middle, end, self._test())
        return begin, end

    def _test(self) -> Test:
        character = self._next()
        if character == "[":
            return self._class()
        if character == ".":
            return _ANY
        if character == "\\":
            return self._escape()
        if character in "*+?{}]^$)":
            raise RegexError(f"{character!r} stands where it means nothing")
        return lambda c: c == character

    def _class(self) -> Test:
        negated = self._take("^")
        tests: list[Test] = []
        first = True
        while first or not self._take("]"):
            first = False
            character = self._next()
            if character == "[":
                raise RegexError("a class within a class is not understood")
            if character == "\\":
                following = self._text[self._at : self._at + 1]
                if following in _CLASSES or following.lower() in _CLASSES:
                    tests.append(self._escape())
                    continue
                character = self._escaped()
            high = character
            if self._text[self._at : self._at + 1] == "-" and not self._text.startswith(
                "]", self._at + 1
            ):
                self._at += 1
                high = self._next()
                if high == "\\":
                    high = self._escaped()
                if high < character or high == "[":
                    raise RegexError("a range of characters is upside down")
            tests.append(_between(character, high))
        if negated:
            return lambda c: not any(test(c) for test in tests)
        return lambda c: any(test(c) for test in tests)

    def _escape(self) -> Test:
        following = self._text[self._at : self._at + 1]
        if following and following.lower() in _CLASSES:
            self._at += 1
            test = _CLASSES[following.lower()]
            return test if following.islower() else (lambda c: not test(c))
        character = self._escaped()
        return lambda c: c == character

    def _escaped(self) -> str:
        character = self._next()
        if character in _CONTROLS:
            return _CONTROLS[character]
        if character not in _SPECIAL:
            raise RegexError("an escape is not understood")
        return character

    def _quantifier(self) -> tuple[int, int | None]:
        """The least and greatest number of times; None: no limit."""
        least: int
        most: int | None
        if self._take("*"):
            least, most = 0, None
        elif self._take("+"):
            least, most = 1, None
        elif self._take("?"):
            least, most = 0, 1
        elif self._take("{"):
            least, most = self._bounds()
        else:
            return 1, 1
        if self._text[self._at : self._at + 1] in ("?", "+", "*", "{"):
            raise RegexError("a quantifier of a quantifier is not understood")
        return least, most

    def _bounds(self) -> tuple[int, int | None]:
        closing = self._text.find("}", self._at)
        if closing < 0:
            raise RegexError("a brace is not closed")
        low, comma, high = self._text[self._at : closing].partition(",")
        self._at = closing + 1
        for part in (low, high or "0"):
            if not (part.isascii() and part.isdigit() and len(part) <= 4):
                raise RegexError("a quantifier in braces is {n}, {n,} or {n,m}")
        least = int(low)
        most = int(high) if high else None if comma else least
        if max(least, most or 0) > _MAX_REPEATS:
            raise RegexError(f"it repeats something more than {_MAX_REPEATS} times")
        if most is not None and most < least:
            raise RegexError("a quantifier is upside down")
        return least, most

    def _next(self) -> str:
        if self._at >= len(self._text):
            raise RegexError("it ends too early")
        self._at += 1
        return self._text[self._at - 1]

    def _take(self, character: str) -> bool:
        if self._text.startswith(character, self._at):
            self._at += 1
            return True
        return False


def _between(low: str, high: str) -> Test:
    return lambda c: low <= c <= high
