"""What an invariant says by presence alone.

Most of R4's invariants speak of which elements are there (`value.empty() or system.exists()`). From
the elements that are there, `verdict` tells whether one holds, is broken, or has to be evaluated;
`needed` names an element without which it always holds, so that a resource without that element
never looks at it.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from schemas.fhirpath.syntax import (
    Binary,
    Call,
    Empty,
    Expr,
    Index,
    Literal,
    Member,
    Special,
    Typed,
    Unary,
    parts,
)


class Known(Enum):
    """What is known of an expression's result; UNKNOWN may be anything, SOME is not empty."""

    TRUE = 1
    FALSE = 2
    EMPTY = 3
    SOME = 4
    UNKNOWN = 5


_HOLDS = frozenset({Known.TRUE, Known.EMPTY})
_LOGICAL = frozenset({Known.TRUE, Known.FALSE, Known.EMPTY})
_NOT_EMPTY = frozenset({Known.TRUE, Known.FALSE, Known.SOME})
# Functions that give nothing when they are given nothing.
_PASS_EMPTY = frozenset(
    """where select first last tail skip take single distinct extension resolve trace matches
    startsWith endsWith contains substring length toInteger toDecimal toString replaceMatches ofType
    as is not children descendants iterate lowBoundary highBoundary
    """.split()  # noqa: SIM905
)
_TRUE_OF_EMPTY = frozenset({"empty", "all", "isDistinct", "allTrue"})
_FALSE_OF_EMPTY = frozenset({"exists", "hasValue", "anyTrue"})


def names(tree: Expr, type_name: str) -> frozenset[str]:
    """The elements of the context whose presence an expression may depend on."""
    found: set[str] = set()
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, Member) and _of_context(node, type_name):
            found.add(node.name)
        elif isinstance(node, Call):
            # Arguments speak of other elements than the context's own.
            waiting += () if node.of is None else (node.of,)
        else:
            waiting += parts(node)
    return frozenset(found)


def needed(tree: Expr, type_name: str) -> frozenset[str]:
    """The elements without which the invariant holds, whatever else is there."""
    return frozenset(
        name for name in names(tree, type_name) if _known(tree, {name: False}, type_name) in _HOLDS
    )


def verdict(tree: Expr, present: Mapping[str, bool], type_name: str) -> bool | None:
    """True when the invariant holds, False when it is broken, None when it has to be evaluated;
    `present` says of elements of the context whether they are there."""
    found = _known(tree, present, type_name)
    return True if found in _HOLDS else False if found is Known.FALSE else None


def _of_context(node: Member, type_name: str) -> bool:
    of = node.of
    if of is None:
        return node.name != type_name
    if isinstance(of, Special):
        return of.name == "this"
    return isinstance(of, Member) and of.of is None and of.name == type_name


def _known(node: Expr, present: Mapping[str, bool], type_name: str) -> Known:
    if isinstance(node, Literal):
        if isinstance(node.value, bool):
            return Known.TRUE if node.value else Known.FALSE
        return Known.SOME
    if isinstance(node, Empty):
        return Known.EMPTY
    if isinstance(node, Special):
        return Known.SOME if node.name == "this" else Known.UNKNOWN
    if isinstance(node, Member):
        if _of_context(node, type_name):
            there = present.get(node.name)
            return Known.UNKNOWN if there is None else Known.SOME if there else Known.EMPTY
        if node.of is None:
            return Known.SOME  # The type's own name: the context.
        return _empty_stays(_known(node.of, present, type_name))
    if isinstance(node, Call):
        return _call(node, present, type_name)
    if isinstance(node, Binary):
        return _binary(node, present, type_name)
    if isinstance(node, (Unary, Typed, Index)):
        return _empty_stays(_known(parts(node)[0], present, type_name))
    return Known.UNKNOWN


def _empty_stays(of: Known) -> Known:
    return Known.EMPTY if of is Known.EMPTY else Known.UNKNOWN


def _call(node: Call, present: Mapping[str, bool], type_name: str) -> Known:
    name = node.name
    of = Known.SOME if node.of is None else _known(node.of, present, type_name)
    if of is Known.EMPTY:
        if name in _TRUE_OF_EMPTY:
            return Known.TRUE
        if name in _FALSE_OF_EMPTY:
            return Known.FALSE
        return Known.EMPTY if name in _PASS_EMPTY else Known.UNKNOWN
    if node.arguments:
        return of if name == "trace" else Known.UNKNOWN
    if name in ("exists", "empty") and of in _NOT_EMPTY:
        return Known.TRUE if name == "exists" else Known.FALSE
    if name == "not" and of in _LOGICAL:
        return Known.FALSE if of is Known.TRUE else Known.TRUE
    return Known.UNKNOWN


def _binary(node: Binary, present: Mapping[str, bool], type_name: str) -> Known:
    left = _known(node.left, present, type_name)
    right = _known(node.right, present, type_name)
    operator = node.operator
    if operator in ("and", "or", "xor", "implies"):
        return _logical(operator, left, right)
    if operator == "|":
        if left in _NOT_EMPTY or right in _NOT_EMPTY:
            return Known.SOME
        return Known.EMPTY if left is right is Known.EMPTY else Known.UNKNOWN
    if operator in ("&", "~", "!~"):
        return Known.UNKNOWN
    if operator == "in":
        return _empty_stays(left)
    if operator == "contains":
        return _empty_stays(right)
    if Known.EMPTY in (left, right):
        return Known.EMPTY
    if operator in ("=", "!=") and left in _LOGICAL and right in _LOGICAL:
        return Known.TRUE if (left is right) is (operator == "=") else Known.FALSE
    return Known.UNKNOWN


def _logical(operator: str, left: Known, right: Known) -> Known:
    if operator == "implies":
        if left is Known.FALSE or right is Known.TRUE:
            return Known.TRUE
        if left is Known.TRUE:
            return right if right in _LOGICAL else Known.UNKNOWN
        empty = left is Known.EMPTY and right in _LOGICAL
        return Known.EMPTY if empty else Known.UNKNOWN
    if operator == "xor":
        if Known.EMPTY in (left, right):
            return Known.EMPTY
        if left in _LOGICAL and right in _LOGICAL:
            return Known.FALSE if left is right else Known.TRUE
        return Known.UNKNOWN
    decides = Known.FALSE if operator == "and" else Known.TRUE
    if decides in (left, right):
        return decides
    if left not in _LOGICAL or right not in _LOGICAL:
        return Known.UNKNOWN
    if Known.EMPTY in (left, right):
        return Known.EMPTY
    return Known.TRUE if operator == "and" else Known.FALSE
