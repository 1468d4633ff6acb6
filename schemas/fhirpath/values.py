"""From items to values: what FHIRPath converts by itself.

http://hl7.org/fhirpath/N1/#singleton-evaluation-of-collections,
https://hl7.org/fhir/R4/fhirpath.html#types
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from schemas.fhirpath.errors import FhirPathError
from schemas.fhirpath.nodes import Node
from schemas.fhirpath.quantities import CALENDAR_UNITS, Quantity
from schemas.fhirpath.temporal import Temporal, read_temporal
from schemas.fhirpath.types import supertypes, type_of

Items = list[Any]

MAX_MAGNITUDE = 150
"""Powers of ten, and digits, of a decimal that is computed with."""

_UCUM = "http://unitsofmeasure.org"
_CALENDAR = "http://hl7.org/fhirpath/CodeSystem/calendar-units"
_TEMPORAL = {"date": "Date", "dateTime": "DateTime", "instant": "DateTime", "time": "Time"}
_WHOLE = frozenset({"integer", "positiveInt", "unsignedInt"})
_QUANTITIES = frozenset({"Quantity", "Age", "Count", "Distance", "Duration"})


def system_value(item: Any) -> Any:
    """A node of a primitive type or a Quantity as its System value; else the item itself.

    None for a primitive without a value.
    """
    if type(item) is not Node:
        return item
    value, kind = item.value, item.type
    if type(value) is dict:
        return _quantity(item) if kind in _QUANTITIES else item
    if type(value) is str:
        wanted = _TEMPORAL.get(kind)
        if wanted is None:
            return value
        moment = read_temporal(value, wanted)
        return value if moment is None else moment
    if type(value) is int and kind not in _WHOLE:
        value = Decimal(value)
    return _sized(value) if type(value) is Decimal else value


def _quantity(node: Node) -> Any:
    """As System.Quantity. A comparator makes it no single amount: it stays what it is."""
    held = node.value
    value, code, unit = held.get("value"), held.get("code"), held.get("unit")
    if type(value) not in (int, Decimal) or "comparator" in held:
        return node
    value = _sized(Decimal(value))
    system = held.get("system")
    if isinstance(code, str) and system in (_UCUM, _CALENDAR):
        return Quantity(value, code, system == _CALENDAR and code in CALENDAR_UNITS)
    if isinstance(code, str):
        return Quantity(value, f"{system}|{code}")
    return Quantity(value, unit if isinstance(unit, str) else "1")


def _sized(value: Decimal) -> Decimal:
    """The decimal. Raises FhirPathError of kind `limit` for one that would fill the memory when
    written out."""
    if abs(value.adjusted()) > MAX_MAGNITUDE or len(value.as_tuple().digits) > MAX_MAGNITUDE:
        raise FhirPathError(f"A decimal beyond 10^±{MAX_MAGNITUDE} or as many digits.", "limit")
    return value


def boolean(items: Items) -> bool | None:
    """One item as a boolean; what is no boolean counts as true. None for no item.

    Raises FhirPathError for several items.
    """
    if not items:
        return None
    if len(items) > 1:
        raise FhirPathError(f"One boolean was expected, not {len(items)} items.")
    item = items[0]
    if type(item) is bool:
        return item
    if type(item) is Node and item.type == "boolean":
        return item.value if type(item.value) is bool else None
    return True


def single(items: Items, what: str) -> Any:
    """The System value of the only item, None for no item. Raises FhirPathError for several."""
    if not items:
        return None
    if len(items) > 1:
        raise FhirPathError(f"{what} takes one item, not {len(items)}.")
    return system_value(items[0])


def text(items: Items, what: str) -> str | None:
    """The only item as a String. Raises FhirPathError for several, or one of another type."""
    value = single(items, what)
    if value is None or type(value) is str:
        return value
    raise wrong_type(what, "a String", items[0])


def integer(items: Items, what: str) -> int | None:
    """The only item as an Integer. Raises FhirPathError for several, or one of another type."""
    value = single(items, what)
    if value is None or type(value) is int:
        return value
    raise wrong_type(what, "an Integer", items[0])


def number(items: Items, what: str) -> int | Decimal | Quantity | None:
    """The only item as a number or Quantity. Raises FhirPathError for anything else."""
    value = single(items, what)
    if value is None or type(value) in (int, Decimal) or isinstance(value, Quantity):
        return value
    raise wrong_type(what, "a number", items[0])


def wrong_type(what: str, wanted: str, item: Any) -> FhirPathError:
    """The failure of an item that is not of the type a function takes; it never names values."""
    found = type_of(item)
    return FhirPathError(f"{what} takes {wanted}, not a {found.namespace}.{found.name}.")


def plain(item: Any) -> Any:
    """An item as an ordinary Python value: JSON for elements, text for dates, a dict for a
    Quantity."""
    if type(item) is Node:
        return item.value if item.value is not None else item.extra
    if isinstance(item, Temporal):
        return item.text
    if isinstance(item, Quantity):
        system = _CALENDAR if item.calendar else _UCUM
        return {"value": item.value, "unit": item.unit, "system": system, "code": item.unit}
    return item


def is_a(item: Any, fhir_type: str) -> bool:
    """Whether an item is an element of a FHIR type, or one derived from it."""
    return type(item) is Node and fhir_type in supertypes(item.type)
