"""Existence, subsetting and combining. http://hl7.org/fhirpath/N1/#existence"""

from __future__ import annotations

from schemas.fhirpath.equality import distinct, identity
from schemas.fhirpath.errors import FhirPathError
from schemas.fhirpath.functions.signature import Function
from schemas.fhirpath.run import Run, Step, checked
from schemas.fhirpath.values import Items, boolean, integer, system_value, wrong_type


def _empty(run: Run, items: Items, focus: Items) -> Items:
    return [not items]


def _not(run: Run, items: Items, focus: Items) -> Items:
    value = boolean(items)
    return [] if value is None else [not value]


def _count(run: Run, items: Items, focus: Items) -> Items:
    return [len(items)]


def _booleans(items: Items, name: str) -> list[bool | None]:
    """Items that have to be booleans, each of them; None for one without a value."""
    found = [system_value(item) for item in items]
    for item, value in zip(items, found, strict=True):
        if value is not None and type(value) is not bool:
            raise wrong_type(name, "booleans", item)
    return found


def _all_are(name: str, wanted: bool) -> Function:
    def apply(run: Run, items: Items, focus: Items) -> Items:
        return [all(value is wanted for value in _booleans(items, name))]

    return Function(apply)


def _any_is(name: str, wanted: bool) -> Function:
    def apply(run: Run, items: Items, focus: Items) -> Items:
        return [any(value is wanted for value in _booleans(items, name))]

    return Function(apply)


def _subset_of(run: Run, items: Items, focus: Items, other: Step) -> Items:
    run.spend(len(items))
    return [_within(items, other(run, focus))]


def _superset_of(run: Run, items: Items, focus: Items, other: Step) -> Items:
    run.spend(len(items))
    return [_within(other(run, focus), items)]


def _within(items: Items, others: Items) -> bool:
    known = {identity(item) for item in others}
    return all(identity(item) in known for item in items)


def _distinct(run: Run, items: Items, focus: Items) -> Items:
    run.spend(len(items))
    return distinct(items)


def _is_distinct(run: Run, items: Items, focus: Items) -> Items:
    run.spend(len(items))
    return [len(distinct(items)) == len(items)]


def _single(run: Run, items: Items, focus: Items) -> Items:
    if len(items) > 1:
        raise FhirPathError(f"single() found {len(items)} items.")
    return items


def _first(run: Run, items: Items, focus: Items) -> Items:
    return items[:1]


def _last(run: Run, items: Items, focus: Items) -> Items:
    return items[-1:]


def _tail(run: Run, items: Items, focus: Items) -> Items:
    return items[1:]


def _skip(run: Run, items: Items, focus: Items, number: Step) -> Items:
    n = integer(number(run, focus), "skip()")
    return [] if n is None else items[max(0, n) :]


def _take(run: Run, items: Items, focus: Items, number: Step) -> Items:
    n = integer(number(run, focus), "take()")
    return [] if n is None else items[: max(0, n)]


def _intersect(run: Run, items: Items, focus: Items, other: Step) -> Items:
    run.spend(len(items))
    known = {identity(item) for item in other(run, focus)}
    return distinct([item for item in items if identity(item) in known])


def _exclude(run: Run, items: Items, focus: Items, other: Step) -> Items:
    run.spend(len(items))
    known = {identity(item) for item in other(run, focus)}
    return [item for item in items if identity(item) not in known]


def _union(run: Run, items: Items, focus: Items, other: Step) -> Items:
    run.spend(len(items))
    return checked(distinct([*items, *other(run, focus)]))


def _combine(
    run: Run, items: Items, focus: Items, other: Step, preserve_order: Step | None = None
) -> Items:
    run.spend(len(items))
    return checked([*items, *other(run, focus)])


FUNCTIONS = {
    "empty": Function(_empty),
    "not": Function(_not),
    "count": Function(_count),
    "allTrue": _all_are("allTrue()", True),
    "allFalse": _all_are("allFalse()", False),
    "anyTrue": _any_is("anyTrue()", True),
    "anyFalse": _any_is("anyFalse()", False),
    "subsetOf": Function(_subset_of, 1, 1),
    "supersetOf": Function(_superset_of, 1, 1),
    "distinct": Function(_distinct),
    "isDistinct": Function(_is_distinct),
    "single": Function(_single),
    "first": Function(_first),
    "last": Function(_last),
    "tail": Function(_tail),
    "skip": Function(_skip, 1, 1),
    "take": Function(_take, 1, 1),
    "intersect": Function(_intersect, 1, 1),
    "exclude": Function(_exclude, 1, 1),
    "union": Function(_union, 1, 1),
    "combine": Function(_combine, 1, 2),
}
