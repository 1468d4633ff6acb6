"""`=`, `~`, `<` and their like, and what makes an item a duplicate of another.

http://hl7.org/fhirpath/N1/#equality, http://hl7.org/fhirpath/N1/#comparison
"""

from __future__ import annotations

from collections.abc import Hashable
from decimal import Decimal
from typing import Any

from schemas.fhirpath import quantities, temporal
from schemas.fhirpath.errors import FhirPathError
from schemas.fhirpath.nodes import Node
from schemas.fhirpath.quantities import Quantity
from schemas.fhirpath.temporal import Temporal
from schemas.fhirpath.types import TypeInfo
from schemas.fhirpath.values import Items, system_value, wrong_type

MAX_PAIRED = 1_000
"""Items that `~` compares in any order."""

_NUMBERS = (int, Decimal)


def equal_items(left: Items, right: Items) -> bool | None:
    """`=`: pair by pair, in order. None where one side is empty, or a pair leaves it open."""
    if not left or not right:
        return None
    if len(left) != len(right):
        return False
    unknown = False
    for a, b in zip(left, right, strict=True):
        same = equal(a, b)
        if same is False:
            return False
        unknown = unknown or same is None
    return None if unknown else True


def equal(left: Any, right: Any) -> bool | None:
    """Whether two items are equal; None where that cannot be told."""
    a, b = system_value(left), system_value(right)
    if a is None or b is None:
        return _same_json(left, right)
    kind, other = type(a), type(b)
    if kind is other:
        if kind is Node:
            return a is b or _same_json(a, b)
        if kind is Temporal:
            return _equal_moments(a, b)
        if kind is Quantity:
            order = quantities.compare(a, b)
            return None if order is None else order == 0
        return bool(a == b)
    if kind in _NUMBERS and other in _NUMBERS:
        return bool(a == b)
    if kind is Quantity and other in _NUMBERS:
        return equal(a, Quantity(Decimal(b), "1"))
    if other is Quantity and kind in _NUMBERS:
        return equal(Quantity(Decimal(a), "1"), b)
    return False


def _equal_moments(a: Temporal, b: Temporal) -> bool | None:
    if (a.kind == "Time") != (b.kind == "Time"):
        return False
    order = temporal.compare(a, b)
    return None if order is None else order == 0


def _same_json(left: Any, right: Any) -> bool:
    if type(left) is not Node or type(right) is not Node:
        return False
    return bool(left.value == right.value and left.extra == right.extra)


def equivalent_items(left: Items, right: Items) -> bool | None:
    """`~`: the same items in any order; nothing is equivalent to nothing."""
    if len(left) != len(right):
        return False
    if len(left) == 1:
        return equivalent(left[0], right[0])
    _refuse_pairing(left)
    rest = list(right)
    for a in left:
        found = next((at for at, b in enumerate(rest) if equivalent(a, b)), None)
        if found is None:
            return False
        del rest[found]
    return True


def equivalent(left: Any, right: Any) -> bool | None:
    """Whether two items are equivalent; None for quantities whose units are not comparable."""
    a, b = system_value(left), system_value(right)
    kind, other = type(a), type(b)
    if kind is str and other is str:
        return _folded(a) == _folded(b)
    if kind in _NUMBERS and other in _NUMBERS:
        return quantities.equivalent_decimals(Decimal(a), Decimal(b))
    if kind is Temporal and other is Temporal:
        return a.precision == b.precision and _equal_moments(a, b) is True
    if kind is Quantity and other in _NUMBERS:
        b, other = Quantity(Decimal(b), "1"), Quantity
    elif other is Quantity and kind in _NUMBERS:
        a, kind = Quantity(Decimal(a), "1"), Quantity
    if kind is Quantity and other is Quantity:
        return quantities.equivalent(a, b)
    if kind is Node and other is Node:
        return _equivalent_json(a.value, b.value) and _equivalent_json(a.extra, b.extra)
    return equal(left, right) is True


def _refuse_pairing(items: Items) -> None:
    """Each item is looked for among all others: time grows with the square of their number."""
    if len(items) > MAX_PAIRED:
        raise FhirPathError(f"'~' on more than {MAX_PAIRED:,} items.", "limit")


def _equivalent_json(a: Any, b: Any) -> bool:
    """Elements whose children are equivalent, whatever their order; ids do not count."""
    if isinstance(a, dict) and isinstance(b, dict):
        keys = {key for key in (*a, *b) if key != "id"}
        return all(key in a and key in b and _equivalent_json(a[key], b[key]) for key in keys)
    if isinstance(a, list) and isinstance(b, list):
        if len(a) != len(b):
            return False
        _refuse_pairing(a)
        rest = list(b)
        for one in a:
            at = next((i for i, other in enumerate(rest) if _equivalent_json(one, other)), None)
            if at is None:
                return False
            del rest[at]
        return True
    if isinstance(a, str) and isinstance(b, str):
        return _folded(a) == _folded(b)
    if type(a) in _NUMBERS and type(b) in _NUMBERS:
        return quantities.equivalent_decimals(Decimal(a), Decimal(b))
    return type(a) is type(b) and bool(a == b)


def _folded(value: str) -> str:
    return "".join(" " if char.isspace() else char for char in value).casefold()


def order(left: Any, right: Any, operator: str) -> int | None:
    """-1, 0 or 1 for two items; None where that cannot be told.

    Raises FhirPathError for types that have no order, or none with one another.
    """
    a, b = system_value(left), system_value(right)
    if a is None or b is None:
        return None
    kind, other = type(a), type(b)
    if kind in _NUMBERS and other in _NUMBERS:
        return (a > b) - (a < b)
    if kind is str and other is str:
        return (a > b) - (a < b)
    if kind is Temporal and other is Temporal:
        return temporal.compare(a, b)
    if kind is Quantity and other in _NUMBERS:
        b, other = Quantity(Decimal(b), "1"), Quantity
    elif other is Quantity and kind in _NUMBERS:
        a, kind = Quantity(Decimal(a), "1"), Quantity
    if kind is Quantity and other is Quantity:
        return quantities.compare(a, b)
    if kind is Node and other in (Node, Quantity) and a.type.endswith("Quantity"):
        return None  # A Quantity with a comparator, or without a value.
    raise wrong_type(f"{operator}", "two values of the same ordered type", left)


def identity(item: Any) -> Hashable:
    """A key that two items share exactly when `=` says true of them."""
    value = system_value(item)
    kind = type(value)
    if kind is str:
        return value
    if kind is bool:
        return ("bool", value)
    if kind in _NUMBERS:
        return ("number", Decimal(value))
    if kind is Temporal:
        low, high = value.interval
        return ("moment", value.kind == "Time", value.precision, value.offset is None, low, high)
    if kind is Quantity:
        return ("quantity", value.base() or (value.value, value.unit))
    if kind is TypeInfo:
        return ("type", value)
    if kind is Node:
        return ("json", _frozen(value.value), _frozen(value.extra))
    return ("json", None, _frozen(item.extra) if type(item) is Node else None)


def _frozen(value: Any) -> Hashable:
    if isinstance(value, dict):
        return frozenset((key, _frozen(one)) for key, one in value.items())
    if isinstance(value, list):
        return tuple(_frozen(one) for one in value)
    return ("bool", value) if isinstance(value, bool) else value


def distinct(items: Items) -> Items:
    """The items without duplicates, the first of each kept."""
    if len(items) < 2:
        return items
    seen: dict[Hashable, Any] = {}
    for item in items:
        seen.setdefault(identity(item), item)
    return list(seen.values())
