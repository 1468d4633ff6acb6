"""`aggregate` and the aggregates of trial use. http://hl7.org/fhirpath/N1/#aggregates"""

from __future__ import annotations

from decimal import Decimal

from schemas.fhirpath import arithmetic
from schemas.fhirpath.equality import order
from schemas.fhirpath.functions.signature import Function
from schemas.fhirpath.run import Run, Step, checked
from schemas.fhirpath.values import Items


def _aggregate(
    run: Run, items: Items, focus: Items, aggregator: Step, initial: Step | None = None
) -> Items:
    outer_total = run.total
    total: Items = [] if initial is None else initial(run, focus)
    outer = run.enter(len(items))
    try:
        for at, item in enumerate(items):
            one = [item]
            run.this, run.index, run.total = one, at, total
            total = checked(aggregator(run, one))
        return total
    finally:
        run.leave(outer)
        run.total = outer_total


def _sum(run: Run, items: Items, focus: Items) -> Items:
    total = items[:1]
    for item in items[1:]:
        total = arithmetic.binary("+", total, [item])
    return total if len(items) != 1 else arithmetic.signed("+", items)


def _extreme(wanted: int) -> Function:
    def apply(run: Run, items: Items, focus: Items) -> Items:
        found = items[:1]
        for item in items[1:]:
            compared = order(item, found[0], "min() and max()")
            if compared is None:
                return []
            if compared == wanted:
                found = [item]
        return found

    return Function(apply)


def _average(run: Run, items: Items, focus: Items) -> Items:
    return arithmetic.binary("/", _sum(run, items, focus), [Decimal(len(items))] if items else [])


FUNCTIONS = {
    "aggregate": Function(_aggregate, 1, 2),
    "sum": Function(_sum),
    "min": _extreme(-1),
    "max": _extreme(1),
    "avg": Function(_average),
}
