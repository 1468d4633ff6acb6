"""Comparison prefixes. https://hl7.org/fhir/R4/search.html#prefix

With the search value as an interval `[low, high)`, a stored interval matches

| prefix | when |
|---|---|
| eq | it lies within the search interval |
| ne | it does not lie within it |
| gt, lt | a part of it is beyond `high`, before `low` |
| ge, le | a part of it is at or beyond `low`, before `high` |
| sa, eb | all of it is beyond `high`, before `low` |
| ap | it overlaps the search interval, widened by a tenth |

For ge and le the specification has "gt, or eq", which would miss a stay that ended at noon of the
day asked for; a part in common is enough here, as in other servers.

A number is such an interval for eq and ne only (`5.4` is 5.35 to 5.45); for the other prefixes it
is exact, as the specification has it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal

from storage.index.condition import All, Compare, Condition, Either

PREFIXES = frozenset({"eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"})

_COMPARISON = {
    "gt": ("high", ">"),
    "lt": ("low", "<"),
    "ge": ("high", ">="),
    "le": ("low", "<="),
    "sa": ("low", ">"),
    "eb": ("high", "<"),
}

_NUMBER = re.compile(r"[+-]?[0-9]{1,40}(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,3})?")


# As clients write them that began before FHIR had letters for them.
_SIGNS = {">=": "ge", "<=": "le", ">": "gt", "<": "lt"}


def split_prefix(text: str) -> tuple[str, str]:
    """The comparison prefix (`eq` when there is none) and the rest."""
    if text[:2] in PREFIXES:
        return text[:2], text[2:]
    for sign, prefix in _SIGNS.items():
        if text.startswith(sign):
            return prefix, text[len(sign) :]
    return "eq", text


def number_condition(text: str, convert: Callable[[Decimal], Decimal] = Decimal) -> Condition:
    """Over stored `low` and `high` (both included) for a number. Raises ValueError.

    `convert` gives the bounds in the units of what is stored.
    """
    prefix, digits = split_prefix(text)
    found = _NUMBER.fullmatch(digits)
    if found is None:
        raise ValueError("a number is needed (an optional prefix, digits, decimals, exponent)")
    number = Decimal(digits)
    if prefix in ("eq", "ne"):
        interval = _implied_interval(number, with_exponent=found[2] is not None)
        low, high = (float(convert(end)) for end in interval)
        if prefix == "ne":
            return Either((Compare("low", "<", low), Compare("high", ">=", high)))
        begins = (Compare("low", ">=", low), Compare("low", "<", high))
        return All((*begins, Compare("high", "<", high)))
    if prefix == "ap":
        slack = abs(number) / 10
        low, high = float(convert(number - slack)), float(convert(number + slack))
        return All((Compare("low", "<=", high), Compare("high", ">=", low)))
    column, operator = _COMPARISON[prefix]
    return Compare(column, operator, float(convert(number)))


def _implied_interval(number: Decimal, *, with_exponent: bool) -> tuple[Decimal, Decimal]:
    """Half a unit of the last digit to each side: `100` is 99.5 to 100.5, `1e2` is 95 to 105."""
    exponent = number.as_tuple().exponent
    assert isinstance(exponent, int)
    # The specification's own example has 1e2 as [95, 105): half a unit of the digit after the last.
    half = Decimal(5).scaleb(exponent - (2 if with_exponent else 1))
    if with_exponent:
        half *= 10 if exponent < 0 else 1
    return number - half, number + half
