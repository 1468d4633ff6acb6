"""Is a resource in memory what a parser would give?

Then what is taken from it is what would be taken from its bytes, and they need not be read back.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

_FRACTION = frozenset(".E")

# Far from the depth at which a parser refuses, so that this need not be told exactly.
_LEVELS = 50

# What any JSON parser keeps as an integer.
_GREATEST = 2**63 - 1


def is_as_parsed(value: Any, levels: int = _LEVELS) -> bool:
    """Whether `parse_json(canonical_bytes(value))` surely is `value` again, with the same types.

    False for what is not known to be: floats, tuples, subclasses, whole numbers as decimals, and
    what has more than so many `levels`.
    """
    kind = type(value)
    if kind is dict:
        for key, one in value.items():
            if type(key) is not str:
                return False
            if type(one) is not str and not (levels and is_as_parsed(one, levels - 1)):
                return False
        return True
    if kind is list:
        for one in value:
            if type(one) is not str and not (levels and is_as_parsed(one, levels - 1)):
                return False
        return True
    if kind is str or kind is bool or value is None:
        return True
    if kind is int:
        return bool(-_GREATEST <= value <= _GREATEST)
    # A decimal without a point or an exponent is read as an integer, or is no number.
    return kind is Decimal and not _FRACTION.isdisjoint(str(value)) and bool(value.is_finite())
