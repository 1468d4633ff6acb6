"""Plain JSON as FHIR Parameters, for operations whose result is not a resource.

R4 parameters.html. Objects become parts, arrays become repeated parameters, null is left out.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any


def as_parameters(members: dict[str, Any]) -> dict[str, Any]:
    """A Parameters resource with one parameter (or several, for a list) per member."""
    parameters = _parameters(members)
    resource: dict[str, Any] = {"resourceType": "Parameters"}
    if parameters:
        resource["parameter"] = parameters
    return resource


def _parameters(members: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for name, value in members.items():
        for item in value if isinstance(value, (list, tuple)) else (value,):
            parameter = _parameter(name, item)
            if parameter is not None:
                found.append(parameter)
    return found


def _parameter(name: str, value: Any) -> dict[str, Any] | None:
    if value is None or value == "":
        return None
    if isinstance(value, dict):
        if "resourceType" in value:
            return {"name": name, "resource": value}
        parts = _parameters(value)
        return {"name": name, "part": parts} if parts else None
    if isinstance(value, (list, tuple)):
        value = ", ".join(str(item) for item in value)
    if isinstance(value, bool):
        return {"name": name, "valueBoolean": value}
    if isinstance(value, int):
        return {"name": name, "valueInteger": value}
    if isinstance(value, (float, Decimal)):
        return {"name": name, "valueDecimal": Decimal(str(value))}
    return {"name": name, "valueString": str(value)}
