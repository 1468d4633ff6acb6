"""The syntax tree of an expression. http://hl7.org/fhirpath/N1/#expressions"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Literal:
    """One value of a System type."""

    value: Any


@dataclass(frozen=True)
class Empty:
    """`{}`."""


@dataclass(frozen=True)
class Member:
    """`of.name`; at the beginning of a path (`of` None) also a type's name."""

    of: Expr | None
    name: str


@dataclass(frozen=True)
class Index:
    """`of[at]`."""

    of: Expr
    at: Expr


@dataclass(frozen=True)
class Call:
    """`of.name(arguments)`; `of` is None at the beginning of a path."""

    of: Expr | None
    name: str
    arguments: tuple[Expr, ...]


@dataclass(frozen=True)
class Special:
    """`$this`, `$index` or `$total`, by its name without `$`."""

    name: str


@dataclass(frozen=True)
class Variable:
    """`%name`."""

    name: str


@dataclass(frozen=True)
class Unary:
    """`+` or `-` before an operand."""

    operator: str
    operand: Expr


@dataclass(frozen=True)
class Binary:
    """Two operands; `operator` as it is written."""

    operator: str
    left: Expr
    right: Expr


@dataclass(frozen=True)
class Typed:
    """`of is type` or `of as type`; `type` may have a namespace (`System.String`)."""

    operator: str
    of: Expr
    type: str


@dataclass(frozen=True)
class Ordered:
    """A key of `sort()`: with `desc`, or ascending."""

    key: Expr
    descending: bool


Expr = (
    Literal | Empty | Member | Index | Call | Special | Variable | Unary | Binary | Typed | Ordered
)


def parts(node: Expr) -> tuple[Expr, ...]:
    """The expressions directly inside one."""
    if isinstance(node, Member):
        return () if node.of is None else (node.of,)
    if isinstance(node, Call):
        return node.arguments if node.of is None else (node.of, *node.arguments)
    if isinstance(node, Index):
        return (node.of, node.at)
    if isinstance(node, Binary):
        return (node.left, node.right)
    if isinstance(node, Unary):
        return (node.operand,)
    if isinstance(node, Typed):
        return (node.of,)
    return (node.key,) if isinstance(node, Ordered) else ()
