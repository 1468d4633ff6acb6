"""The filters of a value set: which concepts of a code system have a property.

https://hl7.org/fhir/R4/valueset-filter-operator.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from functools import lru_cache
from typing import Any

from schemas.terminology.code_system import CodeSystem, Concept
from schemas.terminology.safe_regex import Regex, RegexError
from schemas.terminology.unknown import Unknown

# What every code system has, R4 codesystem.html#defined-props and the fields of a concept.
_CODE = frozenset({"concept", "code"})
_RELATED = frozenset({"parent", "child"})
_WORDS = frozenset({"display", "definition"})

_HIERARCHY = frozenset({"is-a", "descendent-of", "is-not-a", "generalizes"})


def selected(system: CodeSystem, filters: list[Any]) -> list[Concept]:
    """The concepts that meet every filter, in the code system's order.

    Raises `Unknown` for a filter that is not understood, or that the code system cannot answer.
    """
    tests = [_test(system, one) for one in filters]
    return [c for c in system.concepts.values() if all(test(c) for test in tests)]


def parts(one: Any) -> tuple[str, str, str]:
    """Property, operator and value of a filter. Raises `Unknown` where one is missing."""
    if isinstance(one, dict):
        name, operator, value = (one.get(part) for part in ("property", "op", "value"))
        if isinstance(name, str) and isinstance(operator, str) and isinstance(value, str):
            return name, operator, value
    raise Unknown("a filter lacks its property, op or value")


def _test(system: CodeSystem, one: Any) -> Callable[[Concept], bool]:
    name, operator, value = parts(one)
    if name in _CODE and operator in _HIERARCHY:
        return _by_hierarchy(system, operator, value)
    values = _values(system, name)
    if operator == "=":
        return lambda concept: value in values(concept)
    if operator in ("in", "not-in"):
        wanted = frozenset(part.strip() for part in value.split(","))
        if operator == "in":
            return lambda concept: not wanted.isdisjoint(values(concept))
        return lambda concept: wanted.isdisjoint(values(concept))
    if operator == "exists":
        if value not in ("true", "false"):
            raise Unknown("the value of a filter `exists` is true or false")
        exists = value == "true"
        return lambda concept: (next(iter(values(concept)), None) is not None) == exists
    if operator == "regex":
        pattern = _regex(value)
        return lambda concept: any(pattern.matches(text) for text in values(concept))
    raise Unknown(f"a filter with the op {operator[:32]!r} on {name[:64]!r} is not understood")


def _by_hierarchy(system: CodeSystem, operator: str, value: str) -> Callable[[Concept], bool]:
    if not system.is_a:
        raise Unknown(f"the hierarchy of {system.url[:200]} is no is-a (hierarchyMeaning)")
    root = system.find(value)
    if root is None:
        raise Unknown(f"{system.url[:200]} has no concept that a filter {operator} names")
    if operator == "generalizes":
        above = system.ancestors(root.code) | {root.code}
        return lambda concept: concept.code in above
    below = system.descendants(root.code)
    if operator == "descendent-of":
        return lambda concept: concept.code in below
    tree = below | {root.code}
    if operator == "is-a":
        return lambda concept: concept.code in tree
    return lambda concept: concept.code not in tree


def _values(system: CodeSystem, name: str) -> Callable[[Concept], list[str]]:
    """How the values of a property, as text, are got from a concept."""
    if name in _CODE:
        return lambda concept: [concept.code]
    if name == "parent":
        return lambda concept: concept.parents
    if name == "child":
        return lambda concept: concept.children
    if name in _WORDS:
        return lambda concept: list(_texts([concept.described.get(name)]))
    if name not in system.properties:
        raise Unknown(f"{system.url[:200]} has no property {name[:64]!r}")
    return lambda concept: list(_texts(system.values(concept, name)))


def _texts(values: list[Any]) -> Iterator[str]:
    for value in values:
        if isinstance(value, bool):
            yield "true" if value else "false"
        elif isinstance(value, str):
            yield value
        elif isinstance(value, int | float | Decimal):
            yield str(value)
        elif isinstance(value, dict) and isinstance(value.get("code"), str):
            yield value["code"]


@lru_cache(maxsize=256)
def _regex(pattern: str) -> Regex:
    try:
        return Regex(pattern)
    except RegexError as failure:
        raise Unknown(f"the regex of a filter is not understood: {failure}") from None
