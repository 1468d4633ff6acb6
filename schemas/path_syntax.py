"""From the text of a FHIRPath expression to its syntax tree: the subset that Chartlake evaluates.

http://hl7.org/fhirpath/N1/#expressions
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache


@dataclass(frozen=True)
class This:
    """`$this`, and what a path without a beginning starts from."""


@dataclass(frozen=True)
class Literal:
    """A string, number or boolean."""

    value: str | int | Decimal | bool


@dataclass(frozen=True)
class Member:
    """`of.name`."""

    of: Node
    name: str


@dataclass(frozen=True)
class Index:
    """`of[n]`."""

    of: Node
    n: int


@dataclass(frozen=True)
class Call:
    """`of.function(arguments)`."""

    of: Node
    function: str
    arguments: tuple[Node, ...]


@dataclass(frozen=True)
class Typed:
    """`of is type` or `of as type`."""

    of: Node
    operator: str
    type: str


@dataclass(frozen=True)
class Binary:
    """`left operator right`, the union `|` included."""

    operator: str
    left: Node
    right: Node


Node = This | Literal | Member | Index | Call | Typed | Binary

_TOKEN = re.compile(
    r"\s*(?:(?P<number>[0-9]+(?:\.[0-9]+)?)"
    r"|(?P<string>'(?:[^'\\]|\\.)*')"
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_]*|`[^`]+`)"
    r"|(?P<this>\$this)"
    r"|(?P<operator><=|>=|!=|[.\[\](),|&=<>+*/-]))"
)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "f": "\f"}

# Loosest first (http://hl7.org/fhirpath/N1/#operator-precedence); `is` and `as` bind between `|`
# and the arithmetic.
_LEVELS: tuple[tuple[str, ...], ...] = (
    ("or", "xor"),
    ("and",),
    ("=", "!="),
    ("<", ">", "<=", ">="),
    ("|",),
    ("is", "as"),
    ("+", "-", "&"),
    ("*", "/"),
)
_TYPE_FUNCTIONS = {"ofType": "as", "as": "as", "is": "is"}


@lru_cache(maxsize=4096)
def parse_path(text: str) -> Node:
    """The syntax tree. Raises ValueError, with the place, for what is not in the subset."""
    return _Parser(text).parse()


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens: list[tuple[str, str]] = []
        self.at = 0
        position = 0
        while text[position:].strip():
            found = _TOKEN.match(text, position)
            if found is None:
                raise ValueError(
                    f"FHIRPath {text!r}: nothing known begins at character {position}: "
                    f"{text[position : position + 10]!r}"
                )
            kind = str(found.lastgroup)
            self.tokens.append((kind, found[kind]))
            position = found.end()

    def parse(self) -> Node:
        node = self._level(0)
        if self.at < len(self.tokens):
            self.at += 1
            raise self._unexpected()
        return node

    def _level(self, level: int) -> Node:
        if level == len(_LEVELS):
            return self._path()
        node = self._level(level + 1)
        while (operator := self._peek()) in _LEVELS[level] and self.at < len(self.tokens):
            if self.tokens[self.at][0] == "string":
                break
            self.at += 1
            if operator in ("is", "as"):
                node = Typed(node, operator, self._type_name())
            else:
                node = Binary(operator, node, self._level(level + 1))
        return node

    def _path(self) -> Node:
        node = self._start()
        while self._peek() in (".", "["):
            if self._take() == "[":
                kind, value = self._next()
                if kind != "number" or "." in value:
                    raise self._unexpected()
                node = Index(node, int(value))
                self._expect("]")
            else:
                node = self._step(node)
        return node

    def _start(self) -> Node:
        kind, value = self._next()
        if kind == "number":
            return Literal(Decimal(value) if "." in value else int(value))
        if kind == "string":
            return Literal(_unescaped(value))
        if kind == "this":
            return This()
        if value == "(":
            node = self._level(0)
            self._expect(")")
            return node
        if kind == "name":
            if value in ("true", "false"):
                return Literal(value == "true")
            self.at -= 1
            return self._step(This())
        raise self._unexpected()

    def _step(self, of: Node) -> Node:
        kind, value = self._next()
        if kind != "name":
            raise self._unexpected()
        name = value.strip("`")
        if self._peek() != "(" or self._is_string():
            return Member(of, name)
        self.at += 1
        if name in _TYPE_FUNCTIONS:
            type_name = self._type_name()
            self._expect(")")
            return Typed(of, _TYPE_FUNCTIONS[name], type_name)
        arguments: list[Node] = []
        while self._peek() != ")":
            arguments.append(self._level(0))
            if self._peek() != ")":
                self._expect(",")
        self._expect(")")
        return Call(of, name, tuple(arguments))

    def _type_name(self) -> str:
        kind, value = self._next()
        if kind != "name":
            raise self._unexpected()
        if value in ("FHIR", "System") and self._peek() == ".":
            self.at += 1
            value = self._next()[1]
        return value

    def _peek(self) -> str:
        return self.tokens[self.at][1] if self.at < len(self.tokens) else ""

    def _is_string(self) -> bool:
        return self.at < len(self.tokens) and self.tokens[self.at][0] == "string"

    def _take(self) -> str:
        return self._next()[1]

    def _next(self) -> tuple[str, str]:
        if self.at >= len(self.tokens):
            raise ValueError(f"FHIRPath {self.text!r} ends too early")
        self.at += 1
        return self.tokens[self.at - 1]

    def _expect(self, value: str) -> None:
        if self._peek() != value:
            if self.at >= len(self.tokens):
                raise ValueError(f"FHIRPath {self.text!r} ends too early; {value!r} was expected")
            self.at += 1
            raise self._unexpected()
        self.at += 1

    def _unexpected(self) -> ValueError:
        at = min(self.at, len(self.tokens)) - 1 if self.at else 0
        value = self.tokens[at][1] if self.tokens else ""
        return ValueError(f"FHIRPath {self.text!r}: unexpected {value!r}")


def _unescaped(quoted: str) -> str:
    return re.sub(r"\\(.)", lambda m: _ESCAPES.get(m[1], m[1]), quoted[1:-1])
