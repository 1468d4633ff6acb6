"""Functions that evaluate an argument for each item, with `$this` and `$index`.

http://hl7.org/fhirpath/N1/#filtering-and-projection
"""

from __future__ import annotations

from functools import cmp_to_key

from schemas.fhirpath.equality import equal, identity, order
from schemas.fhirpath.errors import FhirPathError
from schemas.fhirpath.functions.signature import Function
from schemas.fhirpath.nodes import Node, children, descendants
from schemas.fhirpath.run import MAX_ITEMS, Run, Step, checked
from schemas.fhirpath.values import Items, boolean, single, text

# Rounds of repeat(): each goes a level deeper, and resources have a hundred levels.
MAX_ROUNDS = 1_000

SortKey = tuple[Step, bool, bool]


def _each(run: Run, items: Items, step: Step) -> list[Items]:
    """The argument's result for each item."""
    outer = run.enter(len(items))
    try:
        found = []
        for at, item in enumerate(items):
            run.this = one = [item]
            run.index = at
            found.append(step(run, one))
        return found
    finally:
        run.leave(outer)


def _where(run: Run, items: Items, focus: Items, criteria: Step) -> Items:
    out: Items = []
    outer = run.enter(len(items))
    try:
        for at, item in enumerate(items):
            run.this = one = [item]
            run.index = at
            if boolean(criteria(run, one)):
                out.append(item)
    finally:
        run.leave(outer)
    return out


def _exists(run: Run, items: Items, focus: Items, criteria: Step | None = None) -> Items:
    if criteria is None:
        return [bool(items)]
    return [_find(run, items, criteria, wanted=True)]


def _all(run: Run, items: Items, focus: Items, criteria: Step) -> Items:
    return [not _find(run, items, criteria, wanted=False)]


def _find(run: Run, items: Items, criteria: Step, *, wanted: bool) -> bool:
    """Whether the criteria are true (or: are not true) of any item."""
    outer = run.enter(len(items))
    try:
        for at, item in enumerate(items):
            run.this = one = [item]
            run.index = at
            if (boolean(criteria(run, one)) is True) is wanted:
                return True
    finally:
        run.leave(outer)
    return False


def _select(run: Run, items: Items, focus: Items, projection: Step) -> Items:
    out: Items = []
    outer = run.enter(len(items))
    try:
        for at, item in enumerate(items):
            run.this = one = [item]
            run.index = at
            out += projection(run, one)
            checked(out)
    finally:
        run.leave(outer)
    return out


def _repeat(run: Run, items: Items, focus: Items, projection: Step) -> Items:
    out: Items = []
    seen = set()
    waiting = items
    rounds = 0
    while waiting:
        rounds = _counted(rounds)
        fresh: Items = []
        for found in _each(run, waiting, projection):
            for item in found:
                key = identity(item)
                if key not in seen:
                    seen.add(key)
                    fresh.append(item)
            checked(fresh)
        out = checked([*out, *fresh])
        waiting = fresh
    return out


def _counted(rounds: int) -> int:
    if rounds >= MAX_ROUNDS:
        raise FhirPathError(f"repeat() goes on after {MAX_ROUNDS:,} rounds.", "limit")
    return rounds + 1


def _repeat_all(run: Run, items: Items, focus: Items, projection: Step) -> Items:
    out: Items = []
    waiting = items
    rounds = 0
    while waiting:
        rounds = _counted(rounds)
        waiting = [item for found in _each(run, waiting, projection) for item in found]
        out = checked([*out, *waiting])
    return out


def _children(run: Run, items: Items, focus: Items) -> Items:
    out: Items = []
    for item in items:
        if isinstance(item, Node):
            out += children(item)
    return checked(out)


def _descendants(run: Run, items: Items, focus: Items) -> Items:
    out: Items = []
    for item in items:
        if isinstance(item, Node):
            for one in descendants(item):
                out.append(one)
                if len(out) > MAX_ITEMS:
                    checked(out)
    run.spend(len(out))
    return out


def _iif(
    run: Run,
    items: Items,
    focus: Items,
    criterion: Step,
    result: Step,
    otherwise: Step | None = None,
) -> Items:
    if len(items) > 1:
        raise FhirPathError(f"iif() takes one item, not {len(items)}.")
    outer = run.this
    run.this = items
    try:
        found = single(criterion(run, items), "The criterion of iif()")
        if found is not None and type(found) is not bool:
            raise FhirPathError("The criterion of iif() must be a boolean.", "semantic")
        if found:
            return result(run, items)
        return [] if otherwise is None else otherwise(run, items)
    finally:
        run.this = outer


def _trace(
    run: Run, items: Items, focus: Items, name: Step, projection: Step | None = None
) -> Items:
    # Values go to the hook alone: never to a log.
    label = text(name(run, focus), "The name of trace()") or ""
    shown = items if projection is None else _select(run, items, focus, projection)
    if run.environment.trace is not None:
        run.environment.trace(label, shown)
    return items


def _coalesce(run: Run, items: Items, focus: Items, *choices: Step) -> Items:
    for choice in choices:
        found = choice(run, focus)
        if found:
            return found
    return []


def _define(run: Run, items: Items, focus: Items, name: Step, value: Step | None = None) -> Items:
    label = text(name(run, focus), "defineVariable()")
    if label is None:
        raise FhirPathError("defineVariable() takes a name.")
    if label in run.variables or label in ("context", "resource", "rootResource", "ucum"):
        raise FhirPathError("defineVariable() defines a variable a second time.", "semantic")
    found = items if value is None else value(run, items or focus)
    run.variables = {**run.variables, label: found}
    return items


def _sort(run: Run, items: Items, focus: Items, *keys: SortKey) -> Items:
    columns = [_each(run, items, step) for step, _, _ in keys] or [[[item] for item in items]]
    directions = [(descending, first) for _, descending, first in keys] or [(False, True)]
    run.spend(len(items) * len(columns) * len(items).bit_length())

    def compared(left: int, right: int) -> int:
        for column, (descending, empty_first) in zip(columns, directions, strict=True):
            a, b = column[left], column[right]
            if len(a) > 1 or len(b) > 1:
                raise FhirPathError("A key of sort() has several values.")
            if not a or not b:
                found = (bool(a) - bool(b)) * (1 if empty_first else -1)
            elif equal(a[0], b[0]):
                found = 0
            else:
                known = order(a[0], b[0], "sort()")
                found = 0 if known is None else -known if descending else known
            if found:
                return found
        return 0

    return [items[at] for at in sorted(range(len(items)), key=cmp_to_key(compared))]


FUNCTIONS = {
    "where": Function(_where, 1, 1),
    "exists": Function(_exists, 0, 1),
    "all": Function(_all, 1, 1),
    "select": Function(_select, 1, 1),
    "repeat": Function(_repeat, 1, 1),
    "repeatAll": Function(_repeat_all, 1, 1),
    "children": Function(_children),
    "descendants": Function(_descendants),
    "iif": Function(_iif, 2, 3),
    "trace": Function(_trace, 1, 2),
    "coalesce": Function(_coalesce, 1, 64),
    "defineVariable": Function(_define, 1, 2),
    "sort": Function(_sort, 0, 16, sorts=True),
}
