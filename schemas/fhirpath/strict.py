"""Strict evaluation: finding names that a type does not have before anything is evaluated.

http://hl7.org/fhirpath/N1/#type-safety-and-strict-evaluation
"""

from __future__ import annotations

from schemas.fhirpath.errors import FhirPathError
from schemas.fhirpath.expression import Expression
from schemas.fhirpath.nodes import slots_of
from schemas.fhirpath.syntax import (
    Binary,
    Call,
    Expr,
    Index,
    Member,
    Ordered,
    Special,
    Typed,
    Unary,
    Variable,
    parts,
)
from schemas.fhirpath.types import supertypes
from schemas.structure import RESOURCE_TYPES, TYPES

Kinds = frozenset[str] | None
"""FHIR types that an expression may have; None where they are not known (System types, too)."""

_SAME = frozenset({
    "where", "first", "last", "tail", "skip", "take", "single", "distinct", "trace", "exclude",
    "intersect", "sort", "defineVariable",
})  # fmt: skip
_SCOPED = frozenset({
    "where", "exists", "all", "select", "repeat", "repeatAll", "iif", "trace", "aggregate", "sort",
})  # fmt: skip
_ORDERED = frozenset({"first", "last", "tail", "skip", "take"})
_UNORDERED = frozenset({"children", "descendants"})
_ANY_RESOURCE = frozenset({"Resource", "DomainResource"})


def check_strictly(expression: Expression, type_name: str, *, ordered: bool = False) -> Kinds:
    """The types of what an expression finds, None where they cannot be known.

    Raises FhirPathError (semantic) for an element that no type at its place has, with `ordered`
    also for what depends on the order of a collection that has none. `type_name` is the type that
    the expression is meant for. Where types cannot be known (`children()`, `resolve()`, variables)
    nothing is refused.
    """
    return _Check(ordered).kinds(expression.tree, frozenset({type_name}))


class _Check:
    def __init__(self, ordered: bool) -> None:
        self.ordered = ordered

    def kinds(self, node: Expr, this: Kinds) -> Kinds:
        """The types of an expression whose path starts at `this`."""
        if isinstance(node, Member):
            return self._member(node, this)
        if isinstance(node, Call):
            return self._call(node, this)
        if isinstance(node, Special):
            return this if node.name == "this" else None
        if isinstance(node, Variable):
            return this if node.name == "context" else None
        if isinstance(node, Index):
            self.kinds(node.at, this)
            found = self.kinds(node.of, this)
            self._needs_order(node.of, "[ ]")
            return found
        if isinstance(node, Typed):
            found = self.kinds(node.of, this)
            return None if node.operator == "is" else _narrowed(found, node.type)
        if isinstance(node, Binary):
            left, right = self.kinds(node.left, this), self.kinds(node.right, this)
            both = node.operator == "|" and left is not None and right is not None
            return (left or frozenset()) | (right or frozenset()) if both else None
        if isinstance(node, (Unary, Ordered)):
            for part in parts(node):
                self.kinds(part, this)
        return None

    def _member(self, node: Member, this: Kinds) -> Kinds:
        name = node.name
        if node.of is None:
            if this is not None and any(name in supertypes(kind) for kind in this):
                return this
            if name in RESOURCE_TYPES and this is not None and not this & _ANY_RESOURCE:
                raise FhirPathError(
                    f"The expression begins with {name}, and is evaluated on {_named(this)}.",
                    "semantic",
                )
        of = this if node.of is None else self.kinds(node.of, this)
        if of is None or of & _ANY_RESOURCE:
            return None
        found = {kind for one in of for _, kind, _ in slots_of(one).get(name, ())}
        if not found:
            if name == "value" and all(TYPES[one].kind == "primitive-type" for one in of):
                return None
            raise FhirPathError(f"{_named(of)} has no element {name[:64]!r}.", "semantic")
        return frozenset(found)

    def _call(self, node: Call, this: Kinds) -> Kinds:
        of = this if node.of is None else self.kinds(node.of, this)
        name = node.name
        if name in ("is", "as", "ofType"):
            named = node.arguments[0] if node.arguments else None
            if name != "is" and isinstance(named, Member) and named.of is None:
                return _narrowed(of, named.name)
            return None
        inner = of if name in _SCOPED else this
        found = [self.kinds(argument, inner) for argument in node.arguments]
        if name in _ORDERED and node.of is not None:
            self._needs_order(node.of, f"{name}()")
        if name in _SAME:
            return of
        if name == "select" and found:
            return found[0]
        if name == "extension":
            return frozenset({"Extension"})
        return None

    def _needs_order(self, node: Expr, what: str) -> None:
        if self.ordered and isinstance(node, Call) and node.name in _UNORDERED:
            raise FhirPathError(f"{what} on {node.name}(), which has no order.", "semantic")


def _narrowed(of: Kinds, specifier: str) -> Kinds:
    name = specifier.removeprefix("FHIR.")
    if name not in TYPES:
        return None
    if of is not None and not of & _ANY_RESOURCE:
        below = frozenset(kind for kind in of if name in supertypes(kind))
        if not below:
            raise FhirPathError(f"{_named(of)} can never be {name}.", "semantic")
        return below
    return frozenset({name})


def _named(kinds: frozenset[str]) -> str:
    return " or ".join(sorted(kinds)[:4])
