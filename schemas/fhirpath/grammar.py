"""From tokens to the syntax tree, by operator precedence.

http://hl7.org/fhirpath/N1/#operator-precedence, http://hl7.org/fhirpath/N1/grammar.html
"""

from __future__ import annotations

from decimal import Decimal

from schemas.fhirpath.errors import FhirPathError
from schemas.fhirpath.lexer import Token, tokens
from schemas.fhirpath.quantities import CALENDAR_UNITS, Quantity
from schemas.fhirpath.syntax import (
    Binary,
    Call,
    Empty,
    Expr,
    Index,
    Literal,
    Member,
    Ordered,
    Special,
    Typed,
    Unary,
    Variable,
    parts,
)
from schemas.fhirpath.temporal import literal_temporal

# Deep enough for any that is written by hand, and far from Python's limit on recursion.
MAX_NESTING = 60

# The longest chain of operators or `.` steps, and with all that is nested, the deepest tree: each
# level takes two or three frames of Python's thousand.
MAX_CHAIN = 120
MAX_DEPTH = 150

_PRECEDENCE = {
    "implies": 1,
    "or": 2, "xor": 2,
    "and": 3,
    "in": 4, "contains": 4,
    "=": 5, "~": 5, "!=": 5, "!~": 5,
    "<": 6, "<=": 6, ">": 6, ">=": 6,
    "|": 7,
    "is": 8, "as": 8,
    "+": 9, "-": 9, "&": 9,
    "*": 10, "/": 10, "div": 10, "mod": 10,
}  # fmt: skip
# Words of the grammar that may still name an element.
_NAMES_TOO = frozenset({"as", "contains", "in", "is"})
_SHOWN = {
    "end": "the end", "string": "a text", "number": "a number", "datetime": "a date",
    "time": "a time",
}  # fmt: skip
_RESERVED = frozenset({"div", "mod", "and", "or", "xor", "implies", "true", "false"})


def parse(text: str) -> Expr:
    """The syntax tree. Raises FhirPathError of kind `syntax` or `limit`, with the place."""
    parser = _Parser(tokens(text))
    node = parser.expression(0)
    if parser.now.kind != "end":
        raise parser.unexpected()
    _refuse_depth(node)
    return node


def _refuse_depth(node: Expr) -> None:
    level = [node]
    for _ in range(MAX_DEPTH):
        level = [part for one in level for part in parts(one)]
        if not level:
            return
    raise FhirPathError(f"The expression is a tree deeper than {MAX_DEPTH} levels.", "limit")


class _Parser:
    def __init__(self, found: list[Token]) -> None:
        self.tokens = found
        self.at = 0
        self.depth = 0

    @property
    def now(self) -> Token:
        return self.tokens[self.at]

    def is_(self, text: str) -> bool:
        token = self.now
        return token.kind in ("operator", "word") and token.text == text

    def take(self, text: str) -> None:
        if not self.is_(text):
            raise self.unexpected(text)
        self.at += 1

    def unexpected(self, wanted: str = "") -> FhirPathError:
        token = self.now
        # Names and signs are repeated; texts, numbers and dates may be a patient's.
        found = _SHOWN.get(token.kind) or repr(token.text[:40])
        expected = f"; {wanted!r} was expected" if wanted else ""
        return FhirPathError(
            f"FHIRPath: {found} at character {token.at} does not belong there{expected}.", "syntax"
        )

    def expression(self, least: int) -> Expr:
        self.depth += 1
        if self.depth > MAX_NESTING:
            raise FhirPathError(f"FHIRPath nested deeper than {MAX_NESTING} levels.", "limit")
        node = self.unary()
        steps = 0
        while (level := self.level()) > least:
            operator = self.now.text
            self.at += 1
            steps += 1
            if steps > MAX_CHAIN:
                raise FhirPathError(f"More than {MAX_CHAIN} operators in a row.", "limit")
            if operator in ("is", "as"):
                node = Typed(operator, node, self.type_name())
            else:
                node = Binary(operator, node, self.expression(level))
        self.depth -= 1
        return node

    def level(self) -> int:
        token = self.now
        return _PRECEDENCE.get(token.text, 0) if token.kind in ("operator", "word") else 0

    def unary(self) -> Expr:
        token = self.now
        if token.kind == "operator" and token.text in "+-":
            self.at += 1
            self.depth += 1
            if self.depth > MAX_NESTING:
                raise FhirPathError(f"FHIRPath nested deeper than {MAX_NESTING} levels.", "limit")
            operand = self.unary()
            self.depth -= 1
            return Unary(token.text, operand)
        return self.path()

    def path(self) -> Expr:
        node = self.term()
        steps = 0
        while True:
            if self.is_("."):
                self.at += 1
                node = self.invocation(node)
            elif self.is_("["):
                self.at += 1
                node = Index(node, self.expression(0))
                self.take("]")
            else:
                return node
            steps += 1
            if steps > MAX_CHAIN:
                raise FhirPathError(f"A path of more than {MAX_CHAIN} steps.", "limit")

    def term(self) -> Expr:
        token = self.now
        if token.kind == "number":
            return self.number()
        if token.kind == "string":
            self.at += 1
            return Literal(token.text)
        if token.kind in ("datetime", "time"):
            self.at += 1
            return Literal(literal_temporal(token.text))
        if token.kind == "special":
            self.at += 1
            return Special(token.text)
        if token.kind == "variable":
            self.at += 1
            return Variable(token.text)
        if token.kind == "word" and token.text in ("true", "false"):
            self.at += 1
            return Literal(token.text == "true")
        if self.is_("("):
            self.at += 1
            node = self.expression(0)
            self.take(")")
            return node
        if self.is_("{"):
            self.at += 1
            self.take("}")
            return Empty()
        return self.invocation(None)

    def number(self) -> Expr:
        text = self.now.text
        self.at += 1
        value = Decimal(text) if "." in text else int(text)
        unit = self.now
        if unit.kind == "string":
            self.at += 1
            return Literal(Quantity.written(Decimal(value), unit.text))
        if unit.kind == "word" and unit.text in CALENDAR_UNITS:
            self.at += 1
            return Literal(Quantity.written(Decimal(value), unit.text))
        return Literal(value)

    def name(self) -> str:
        token = self.now
        if token.kind == "name" or (token.kind == "word" and token.text not in _RESERVED):
            self.at += 1
            return token.text
        raise self.unexpected()

    def invocation(self, of: Expr | None) -> Expr:
        token = self.now
        if of is not None and token.kind == "special":
            self.at += 1
            return Special(token.text)
        if token.kind == "word" and token.text in _NAMES_TOO:
            self.at += 1
            name = token.text
        else:
            name = self.name()
        if not self.is_("("):
            return Member(of, name)
        self.at += 1
        arguments: list[Expr] = []
        while not self.is_(")"):
            if arguments:
                self.take(",")
            argument = self.expression(0)
            if name == "sort" and (self.is_("asc") or self.is_("desc")):
                argument = Ordered(argument, self.is_("desc"))
                self.at += 1
            arguments.append(argument)
        self.at += 1
        return Call(of, name, tuple(arguments))

    def type_name(self) -> str:
        found = self.name()
        while self.is_("."):
            self.at += 1
            found += "." + self.name()
        return found
