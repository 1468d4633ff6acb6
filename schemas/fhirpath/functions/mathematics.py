"""Functions of numbers, exact as far as Decimals are. http://hl7.org/fhirpath/N1/#math-1"""

from __future__ import annotations

from collections.abc import Callable
from decimal import (
    ROUND_CEILING,
    ROUND_DOWN,
    ROUND_FLOOR,
    ROUND_HALF_UP,
    Context,
    Decimal,
    DecimalException,
    InvalidOperation,
)

from schemas.fhirpath.arithmetic import bounded
from schemas.fhirpath.boundaries import MAX_PLACES
from schemas.fhirpath.errors import FhirPathError
from schemas.fhirpath.functions.signature import Function
from schemas.fhirpath.quantities import Quantity
from schemas.fhirpath.run import Run, Step
from schemas.fhirpath.values import Items, integer, number, wrong_type

# Results that are no short decimals are rounded to 28 digits, after computing with more.
_WIDE = Context(prec=50)
_ROUNDED = Context(prec=28)
_MAX_MAGNITUDE = 100


def _decimal(items: Items, name: str) -> Decimal | None:
    value = number(items, name)
    if isinstance(value, Quantity):
        raise wrong_type(name, "a number", items[0])
    return None if value is None else Decimal(value)


def _to_whole(name: str, rounding: str) -> Function:
    def apply(run: Run, items: Items, focus: Items) -> Items:
        value = number(items, name)
        if value is None:
            return []
        if isinstance(value, Quantity):
            whole = value.value.to_integral_value(rounding)
            return [Quantity(whole, value.unit, value.calendar)]
        return bounded(int(Decimal(value).to_integral_value(rounding)))

    return Function(apply)


def _abs(run: Run, items: Items, focus: Items) -> Items:
    value = number(items, "abs()")
    if value is None:
        return []
    if isinstance(value, Quantity):
        return [Quantity(value.value.copy_abs(), value.unit, value.calendar)]
    return bounded(abs(value) if isinstance(value, int) else value.copy_abs())


def _round(run: Run, items: Items, focus: Items, precision: Step | None = None) -> Items:
    value = number(items, "round()")
    places = 0 if precision is None else integer(precision(run, focus), "round()")
    if value is None:
        return []
    if places is None or not 0 <= places <= MAX_PLACES:
        raise FhirPathError(f"round() takes 0 to {MAX_PLACES} decimal places.")
    step = Decimal(1).scaleb(-places)
    wide = Context(prec=300)
    if isinstance(value, Quantity):
        rounded = value.value.quantize(step, ROUND_HALF_UP, wide)
        return [Quantity(rounded, value.unit, value.calendar)]
    return [Decimal(value).quantize(step, ROUND_HALF_UP, wide)]


def _of_decimal(name: str, compute: Callable[[Decimal], Decimal]) -> Function:
    def apply(run: Run, items: Items, focus: Items) -> Items:
        value = _decimal(items, name)
        return [] if value is None else _computed(lambda: compute(value))

    return Function(apply)


def _computed(compute: Callable[[], Decimal]) -> Items:
    """The result, rounded; empty for one that cannot be represented."""
    try:
        return bounded(_short(compute()))
    except DecimalException:
        return []


def _short(value: Decimal) -> Decimal:
    found = _ROUNDED.plus(value)
    trimmed = found.normalize(_ROUNDED)
    return trimmed.quantize(Decimal("0.1")) if trimmed == trimmed.to_integral_value() and abs(
        trimmed.adjusted()
    ) < 26 else trimmed  # fmt: skip


def _exp(value: Decimal) -> Decimal:
    if abs(value) > 1000:
        raise InvalidOperation
    return _WIDE.exp(value)


def _log(run: Run, items: Items, focus: Items, base: Step) -> Items:
    value, other = _decimal(items, "log()"), _decimal(base(run, focus), "log()")
    if value is None or other is None:
        return []
    if value <= 0 or other <= 0 or other == 1:
        return []
    return _computed(lambda: _WIDE.divide(_WIDE.ln(value), _WIDE.ln(other)))


def _power(run: Run, items: Items, focus: Items, exponent: Step) -> Items:
    value, power = number(items, "power()"), number(exponent(run, focus), "power()")
    if value is None or power is None:
        return []
    if isinstance(value, Quantity) or isinstance(power, Quantity):
        raise FhirPathError("power() takes numbers, not a System.Quantity.")
    base, times = Decimal(value), Decimal(power)
    if base and abs(times * max(1, abs(base.adjusted()) + 1)) > _MAX_MAGNITUDE * 10:
        return []  # An overflow, or nothing at all.
    if isinstance(value, int) and isinstance(power, int) and power >= 0:
        return bounded(value**power)
    try:
        exact = Context(prec=200).power(base, times) if times == int(times) else None
        return bounded(exact if exact is not None else _short(_WIDE.power(base, times)))
    except DecimalException:
        return []


FUNCTIONS = {
    "abs": Function(_abs),
    "ceiling": _to_whole("ceiling()", ROUND_CEILING),
    "floor": _to_whole("floor()", ROUND_FLOOR),
    "truncate": _to_whole("truncate()", ROUND_DOWN),
    "round": Function(_round, 0, 1),
    "exp": _of_decimal("exp()", _exp),
    "ln": _of_decimal("ln()", _WIDE.ln),
    "sqrt": _of_decimal("sqrt()", _WIDE.sqrt),
    "log": Function(_log, 1, 1),
    "power": Function(_power, 1, 1),
}
