"""What the compiled steps of `schemas.element_path` do, on lists of values.

http://hl7.org/fhirpath/N1/#functions
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from schemas.ids import parse_reference

Items = list[Any]
Step = Callable[[Items], Items]


@dataclass(frozen=True)
class Nth:
    """One of the items; -1 is the last."""

    n: int

    def __call__(self, items: Items) -> Items:
        return [items[self.n]] if -len(items) <= self.n < len(items) else []


FIRST = Nth(0)
LAST = Nth(-1)


@dataclass(frozen=True)
class Constant:
    """A literal."""

    value: str | int | Decimal | bool

    def __call__(self, items: Items) -> Items:
        return [self.value]


@dataclass(frozen=True)
class Computed:
    """A value computed from all that several branches find, each from where the step began."""

    branches: tuple[Step, ...]
    function: Step

    def __call__(self, items: Items) -> Items:
        found: Items = []
        for branch in self.branches:
            found += branch(items)
        return self.function(found)


@dataclass(frozen=True)
class Where:
    """The items for which the criterion is true."""

    criterion: Step

    def __call__(self, items: Items) -> Items:
        return [item for item in items if self.criterion(item) == [True]]


@dataclass(frozen=True)
class Select:
    """What the projection finds in each item."""

    projection: Step

    def __call__(self, items: Items) -> Items:
        return [value for item in items for value in self.projection(item)]


@dataclass(frozen=True)
class Conditional:
    """One of two results for each item: the first when the criterion is true of it."""

    criterion: Step
    when_true: Step
    otherwise: Step

    def __call__(self, items: Items) -> Items:
        out: Items = []
        for item in items:
            true = self.criterion(item) == [True]
            out += self.when_true(item) if true else self.otherwise(item)
        return out


@dataclass(frozen=True)
class WithUrl:
    """Extensions of one URL."""

    url: str

    def __call__(self, items: Items) -> Items:
        return [item for item in items if type(item) is dict and item.get("url") == self.url]


@dataclass(frozen=True)
class OfResourceType:
    """Resources (of a Bundle's entries, contained ones) of some types."""

    types: frozenset[str]

    def __call__(self, items: Items) -> Items:
        return [item for item in items if type(item) is dict and self._is_one(item)]

    def _is_one(self, resource: dict[str, Any]) -> bool:
        kind = resource.get("resourceType")
        return type(kind) is str and kind in self.types


@dataclass(frozen=True)
class Refers:
    """Whether a reference is to a type, by its text or its `type`: nothing is fetched."""

    type: str

    def __call__(self, items: Items) -> Items:
        if not items or type(items[0]) is not dict:
            return []
        return [reference_type(items[0]) == self.type]


def reference_type(reference: dict[str, Any]) -> str | None:
    """The resource type that a Reference names, if it names one."""
    text = reference.get("reference")
    if isinstance(text, str):
        found = parse_reference(text).resource_type
        if found is not None:
            return found
    kind = reference.get("type")
    return kind if isinstance(kind, str) else None


@dataclass(frozen=True)
class Join:
    """The strings as one."""

    separator: str

    def __call__(self, items: Items) -> Items:
        texts = [item for item in items if isinstance(item, str)]
        return [self.separator.join(texts)] if texts else []


def exists(items: Items) -> Items:
    """Whether there is anything."""
    return [bool(items)]


def negated(items: Items) -> Items:
    return [not items[0]] if len(items) == 1 and isinstance(items[0], bool) else []


AGGREGATES: dict[str, tuple[Step, str]] = {
    "exists": (exists, "boolean"),
    "hasExtension": (exists, "boolean"),
    "hasValue": (exists, "boolean"),
    "empty": (lambda items: [not items], "boolean"),
    "not": (negated, "boolean"),
    "count": (lambda items: [len(items)], "integer"),
}


@dataclass(frozen=True)
class Operation:
    """A binary operator, for each item."""

    left: Step
    right: Step
    function: Callable[[Items, Items], Items]

    def __call__(self, items: Items) -> Items:
        out: Items = []
        for item in items:
            out += self.function(self.left(item), self.right(item))
        return out


def equal(left: Items, right: Items) -> Items:
    return [left == right] if left and right else []


def different(left: Items, right: Items) -> Items:
    return [left != right] if left and right else []


def both(left: Items, right: Items) -> Items:
    if left == [False] or right == [False]:
        return [False]
    return [True] if left and right else []


def either(left: Items, right: Items) -> Items:
    if left == [True] or right == [True]:
        return [True]
    return [False] if left and right else []


def _xor(left: Items, right: Items) -> Items:
    return [left != right] if left and right else []


def concatenated(left: Items, right: Items) -> Items:
    parts = [str(side[0]) if side else "" for side in (left, right)]
    return ["".join(parts)]


def _compared(compare: Callable[[Any, Any], bool]) -> Callable[[Items, Items], Items]:
    def function(left: Items, right: Items) -> Items:
        if len(left) != 1 or len(right) != 1:
            return []
        a, b = left[0], right[0]
        if isinstance(a, str) != isinstance(b, str) or isinstance(a, (dict, list)):
            return []
        return [compare(a, b)] if not isinstance(b, (dict, list)) else []

    return function


@dataclass(frozen=True)
class Arithmetic:
    """One number from two, in decimals."""

    compute: Callable[[Any, Any], Any]

    def __call__(self, left: Items, right: Items) -> Items:
        if len(left) != 1 or len(right) != 1:
            return []
        a, b = left[0], right[0]
        if not _is_number(a) or not _is_number(b):
            return []
        try:
            return [self.compute(Decimal(a), Decimal(b))]
        except ArithmeticError:
            return []


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, Decimal)) and not isinstance(value, bool)


OPERATORS: dict[str, tuple[Callable[[Items, Items], Items], str]] = {
    "=": (equal, "boolean"),
    "!=": (different, "boolean"),
    "and": (both, "boolean"),
    "or": (either, "boolean"),
    "xor": (_xor, "boolean"),
    "<": (_compared(operator.lt), "boolean"),
    "<=": (_compared(operator.le), "boolean"),
    ">": (_compared(operator.gt), "boolean"),
    ">=": (_compared(operator.ge), "boolean"),
    "&": (concatenated, "string"),
    "+": (Arithmetic(operator.add), "decimal"),
    "-": (Arithmetic(operator.sub), "decimal"),
    "*": (Arithmetic(operator.mul), "decimal"),
    "/": (Arithmetic(operator.truediv), "decimal"),
}
