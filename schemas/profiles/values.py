"""Rules about one value: fixed and pattern values, bounds, length.

https://hl7.org/fhir/R4/elementdefinition-definitions.html#ElementDefinition.fixed_x_
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from schemas.dates import date_range

Test = Callable[[Any], bool]


def equals(value: Any, fixed: Any) -> bool:
    """`fixed[x]`: exactly the same content, numbers by value."""
    if isinstance(fixed, dict):
        return (
            isinstance(value, dict)
            and value.keys() == fixed.keys()
            and all(equals(value[key], one) for key, one in fixed.items())
        )
    if isinstance(fixed, list):
        return (
            isinstance(value, list)
            and len(value) == len(fixed)
            and all(equals(a, b) for a, b in zip(value, fixed, strict=True))
        )
    return bool(value == fixed) and (type(value) is bool) == (type(fixed) is bool)


def matches(value: Any, pattern: Any) -> bool:
    """`pattern[x]`: the value has at least what the pattern has; each item of an array once."""
    if isinstance(pattern, dict):
        return isinstance(value, dict) and all(
            key in value and matches(value[key], one) for key, one in pattern.items()
        )
    if isinstance(pattern, list):
        return isinstance(value, list) and all(
            any(matches(one, wanted) for one in value) for wanted in pattern
        )
    return equals(value, pattern)


def stated(definition: Mapping[str, Any], prefix: str) -> tuple[str, Any] | None:
    """`fixed[x]`, `pattern[x]`, `minValue[x]` … of an ElementDefinition: its type and value."""
    for key, value in definition.items():
        rest = key[len(prefix) :]
        if key.startswith(prefix) and rest[:1].isupper():
            return rest, value
    return None


def bound_test(bound: tuple[str, Any], *, lowest: bool) -> Test | None:
    """Whether a value is at least (`lowest`) or at most the bound; None for a bound of a type that
    is not compared here (a Quantity is, in the same unit)."""
    kind, limit = bound
    if kind in ("Integer", "Decimal", "PositiveInt", "UnsignedInt"):
        return _number_test(limit, lowest)
    if kind in ("Date", "DateTime", "Instant"):
        low, high = date_range(str(limit))
        return _date_test(low if lowest else high, lowest)
    if kind == "Time":
        return (lambda value: str(value) >= limit) if lowest else lambda value: str(value) <= limit
    if kind == "Quantity" and isinstance(limit, dict) and "value" in limit:
        inner = _number_test(limit["value"], lowest)
        unit = limit.get("code", limit.get("unit"))

        def of_quantity(value: Any) -> bool:
            if not isinstance(value, dict) or value.get("code", value.get("unit")) != unit:
                return False
            return inner(value.get("value"))

        return of_quantity
    return None


def _number_test(limit: Any, lowest: bool) -> Test:
    def test(value: Any) -> bool:
        if type(value) not in (int, Decimal):
            return False
        return bool(value >= limit if lowest else value <= limit)

    return test


def _date_test(limit_us: int, lowest: bool) -> Test:
    def test(value: Any) -> bool:
        try:
            low, high = date_range(str(value))
        except ValueError:
            return False
        return low >= limit_us if lowest else high <= limit_us

    return test
