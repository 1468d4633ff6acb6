"""`+ - * / div mod &` and the signs. http://hl7.org/fhirpath/N1/#math"""

from __future__ import annotations

from decimal import ROUND_DOWN, Context, Decimal, InvalidOperation
from typing import Any

from schemas.fhirpath import quantities, temporal
from schemas.fhirpath.errors import FhirPathError
from schemas.fhirpath.quantities import CALENDAR_UNITS, Quantity
from schemas.fhirpath.temporal import Temporal
from schemas.fhirpath.values import Items, single, system_value, wrong_type

MAX_TEXT = 1024 * 1024
"""Characters of a String that an expression may make."""

MAX_INTEGER = 2**31 - 1

# Digits that a Decimal may have; more is an overflow, whose result is empty.
MAX_DIGITS = 100

_EXACT = Context(prec=200)
_DIVIDING = Context(prec=34)
# Units of UCUM that date arithmetic takes besides the calendar's own.
_CLOCK_UNITS = {
    "wk": "week", "d": "day", "h": "hour", "min": "minute", "s": "second", "ms": "millisecond",
}  # fmt: skip


def checked_text(value: str) -> str:
    """The text. Raises FhirPathError of kind `limit` when it is longer than `MAX_TEXT`."""
    if len(value) > MAX_TEXT:
        raise FhirPathError(f"A text of more than {MAX_TEXT:,} characters.", "limit")
    return value


def bounded(value: Any) -> Items:
    """The number as a collection; empty for an overflow."""
    if type(value) is int:
        return [value] if -MAX_INTEGER - 1 <= value <= MAX_INTEGER else []
    magnitude = value.value if isinstance(value, Quantity) else value
    if not magnitude.is_finite() or abs(magnitude.adjusted()) > MAX_DIGITS:
        return [] if magnitude else [value]
    return [value]


def binary(operator: str, left: Items, right: Items) -> Items:
    """Applies an arithmetic operator to two collections of one item at most."""
    if operator == "&":
        return [checked_text(_joined(left) + _joined(right))]
    a, b = single(left, repr(operator)), single(right, repr(operator))
    if a is None or b is None:
        return []
    kind, other = type(a), type(b)
    if kind is str and other is str and operator == "+":
        return [checked_text(a + b)]
    if kind is Temporal:
        return _moved(a, b, operator)
    if kind is Quantity or other is Quantity:
        return _quantities(operator, a, b)
    if kind not in (int, Decimal) or other not in (int, Decimal):
        wrong = left if kind not in (int, Decimal) else right
        raise wrong_type(repr(operator), "two numbers", wrong[0])
    return _numbers(operator, a, b)


def _joined(items: Items) -> str:
    value = single(items, "'&'")
    if value is None:
        return ""
    if type(value) is not str:
        raise wrong_type("'&'", "Strings", items[0])
    return value


def _numbers(operator: str, a: int | Decimal, b: int | Decimal) -> Items:
    whole = type(a) is int and type(b) is int
    if operator in ("/", "div", "mod") and not b:
        return []
    if operator == "/":
        return bounded(_DIVIDING.divide(Decimal(a), Decimal(b)))
    if operator == "div":
        return bounded(int(_truncated(a, b)))
    if whole:
        x, y = int(a), int(b)
        if operator == "mod":
            return [x - y * int(_truncated(x, y))]
        return bounded(x + y if operator == "+" else x - y if operator == "-" else x * y)
    p, q = Decimal(a), Decimal(b)
    if operator == "mod":
        return bounded(_EXACT.subtract(p, _EXACT.multiply(q, _truncated(p, q))))
    if operator == "*":
        return bounded(_EXACT.multiply(p, q))
    return bounded(_EXACT.add(p, q) if operator == "+" else _EXACT.subtract(p, q))


def _truncated(a: int | Decimal, b: int | Decimal) -> Decimal:
    try:
        return _EXACT.divide_int(Decimal(a), Decimal(b))
    except InvalidOperation:
        return _EXACT.divide(Decimal(a), Decimal(b)).to_integral_value(ROUND_DOWN)


def _quantities(operator: str, a: Any, b: Any) -> Items:
    for one in (a, b):
        if not isinstance(one, Quantity) and type(one) not in (int, Decimal):
            raise wrong_type(repr(operator), "two numbers or Quantities", one)
    left = a if isinstance(a, Quantity) else Quantity(Decimal(a), "1")
    right = b if isinstance(b, Quantity) else Quantity(Decimal(b), "1")
    if operator in "+-":
        found = quantities.total(left, right, 1 if operator == "+" else -1)
    elif operator in "*/":
        found = quantities.product(left, right, divide=operator == "/")
    else:
        raise FhirPathError(f"{operator!r} takes numbers, not a System.Quantity.")
    return [] if found is None else bounded(found)


def _moved(moment: Temporal, by: Any, operator: str) -> Items:
    if not isinstance(by, Quantity) or operator not in "+-":
        raise wrong_type(f"{operator!r} on a {moment.kind}", "a time-valued Quantity", by)
    unit = CALENDAR_UNITS[by.unit] if by.calendar else _CLOCK_UNITS.get(by.unit)
    if unit is None:
        raise FhirPathError(
            f"{operator!r} on a {moment.kind} takes a Quantity in calendar units (1 year, 3 days), "
            f"or in {', '.join(_CLOCK_UNITS)}."
        )
    return [temporal.add(moment, by.value if operator == "+" else -by.value, unit)]


def signed(operator: str, items: Items) -> Items:
    """`+x` and `-x`."""
    value = single(items, f"the sign {operator}")
    if value is None:
        return []
    if isinstance(value, Quantity):
        return [value if operator == "+" else Quantity(-value.value, value.unit, value.calendar)]
    if type(value) not in (int, Decimal):
        raise wrong_type(f"The sign {operator}", "a number", items[0])
    if operator == "+":
        return [system_value(items[0])]
    return bounded(-value if type(value) is int else _EXACT.minus(value))
