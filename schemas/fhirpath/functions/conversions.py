"""`toX()` and `convertsToX()`. http://hl7.org/fhirpath/N1/#conversion"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from schemas.fhirpath import quantities
from schemas.fhirpath.arithmetic import MAX_INTEGER
from schemas.fhirpath.functions.signature import Function
from schemas.fhirpath.quantities import CALENDAR_UNITS, Quantity
from schemas.fhirpath.run import Run, Step
from schemas.fhirpath.temporal import Temporal, read_temporal
from schemas.fhirpath.values import Items, single, text

_INTEGER = re.compile(r"[+-]?[0-9]{1,64}")
_DECIMAL = re.compile(r"[+-]?[0-9]{1,64}(?:\.[0-9]{1,64})?")
_QUANTITY = re.compile(
    r"(?P<value>[+-]?[0-9]{1,64}(?:\.[0-9]{1,64})?)\s*(?:'(?P<unit>[^']+)'|(?P<time>[A-Za-z]+))?"
)
_TRUE = frozenset({"true", "t", "yes", "y", "1", "1.0"})
_FALSE = frozenset({"false", "f", "no", "n", "0", "0.0"})


def _boolean(value: Any) -> bool | None:
    if type(value) is bool:
        return value
    if type(value) in (int, Decimal):
        return True if value == 1 else False if value == 0 else None
    if type(value) is str:
        folded = value.lower()
        return True if folded in _TRUE else False if folded in _FALSE else None
    return None


def _integer(value: Any) -> int | None:
    if type(value) in (bool, int):
        return int(value)
    if type(value) is str and _INTEGER.fullmatch(value):
        number = int(value)
        return number if -MAX_INTEGER - 1 <= number <= MAX_INTEGER else None
    return None


def _decimal(value: Any) -> Decimal | None:
    if type(value) is bool:
        return Decimal("1.0") if value else Decimal("0.0")
    if type(value) in (int, Decimal):
        return Decimal(value)
    return Decimal(value) if type(value) is str and _DECIMAL.fullmatch(value) else None


def _date(value: Any) -> Temporal | None:
    if isinstance(value, Temporal):
        if value.kind == "DateTime":
            return Temporal("Date", value.parts[:3])
        return value if value.kind == "Date" else None
    return read_temporal(value, "Date") if type(value) is str else None


def _date_time(value: Any) -> Temporal | None:
    if isinstance(value, Temporal):
        if value.kind == "Date":
            return Temporal("DateTime", value.parts)
        return value if value.kind == "DateTime" else None
    return read_temporal(value, "DateTime") if type(value) is str else None


def _time(value: Any) -> Temporal | None:
    if isinstance(value, Temporal):
        return value if value.kind == "Time" else None
    return read_temporal(value, "Time") if type(value) is str else None


def _string(value: Any) -> str | None:
    if type(value) is bool:
        return "true" if value else "false"
    if type(value) is Decimal:
        return f"{value:f}"
    if type(value) in (int, str):
        return str(value)
    return value.text if isinstance(value, (Temporal, Quantity)) else None


def _quantity(value: Any) -> Quantity | None:
    if isinstance(value, Quantity):
        return value
    if type(value) is str:
        match = _QUANTITY.fullmatch(value)
        if match is None or (match["time"] and match["time"] not in CALENDAR_UNITS):
            return None
        return Quantity.written(Decimal(match["value"]), match["unit"] or match["time"] or "1")
    number = _decimal(value)
    return None if number is None else Quantity(number, "1")


_CONVERSIONS: dict[str, Callable[[Any], Any]] = {
    "Boolean": _boolean,
    "Integer": _integer,
    "Decimal": _decimal,
    "Date": _date,
    "DateTime": _date_time,
    "Time": _time,
    "String": _string,
}


def _to(name: str, convert: Callable[[Any], Any]) -> Function:
    def apply(run: Run, items: Items, focus: Items) -> Items:
        value = single(items, name)
        found = None if value is None else convert(value)
        return [] if found is None else [found]

    return Function(apply)


def _converts(name: str, convert: Callable[[Any], Any]) -> Function:
    def apply(run: Run, items: Items, focus: Items) -> Items:
        value = single(items, name)
        return [] if value is None else [convert(value) is not None]

    return Function(apply)


def _to_quantity(run: Run, items: Items, focus: Items, unit: Step | None = None) -> Items:
    value = single(items, "toQuantity()")
    found = None if value is None else _quantity(value)
    wanted = None if unit is None else text(unit(run, focus), "toQuantity()")
    if found is not None and wanted is not None:
        found = quantities.convert(found, wanted)
    return [] if found is None else [found]


def _converts_to_quantity(run: Run, items: Items, focus: Items, unit: Step | None = None) -> Items:
    return [bool(_to_quantity(run, items, focus, unit))] if items else []


FUNCTIONS = {
    **{f"to{name}": _to(f"to{name}()", one) for name, one in _CONVERSIONS.items()},
    **{
        f"convertsTo{name}": _converts(f"convertsTo{name}()", one)
        for name, one in _CONVERSIONS.items()
    },
    "toQuantity": Function(_to_quantity, 0, 1),
    "convertsToQuantity": Function(_converts_to_quantity, 0, 1),
}
