"""Positions on the Earth: `Location?near=latitude|longitude|distance|units`.

https://hl7.org/fhir/R4/location.html#positional. Distances are those on a sphere of the Earth's
mean radius (half a percent off at most).
"""

from __future__ import annotations

import math
import re

from schemas.search_values import PositionValue
from storage.index.condition import ANY_VALUE, All, Compare, Condition, Either, WithinDistance
from storage.index.probe import Find, Intern, Probe
from storage.query.escapes import split, unescape

NAME = "position_index"
DDL = """
CREATE TABLE position_index (
  p INTEGER NOT NULL, latitude REAL NOT NULL, v INTEGER NOT NULL, longitude REAL NOT NULL,
  PRIMARY KEY (p, latitude, v, longitude)
) WITHOUT ROWID
"""
INSERT = "INSERT INTO position_index (v, p, latitude, longitude) VALUES (?, ?, ?, ?)"
COLUMNS = "v, p, latitude, longitude"
VALUES = {"latitude": float, "longitude": float}

NEAR_KM = 50.0
"""What is near when no distance is given."""

EARTH_KM = 6371.0088

# Kilometres of a unit; UCUM's codes and the names that are in use beside them.
_UNITS = {
    "": 1.0,
    "km": 1.0,
    "kms": 1.0,
    "m": 0.001,
    "[mi_i]": 1.609344,
    "[mi_us]": 1.609347218694,
    "mi": 1.609344,
    "miles": 1.609344,
    "[nmi_i]": 1.852,
    "[ft_i]": 0.0003048,
}
_DECIMAL = re.compile(r"[+-]?[0-9]{1,20}(\.[0-9]{1,20})?")
_FORM = "a place is latitude|longitude|distance|units, in degrees, the last two optional"


def row(p: int, value: PositionValue, intern: Intern) -> tuple[int, float, float]:
    """The row of a value, without `v`."""
    return p, value.latitude, value.longitude


def probes(p: int, text: str, find: Find) -> list[Probe]:
    """Rows within the distance of a place. Raises ValueError."""
    parts = [unescape(part) for part in split(text, "|")]
    if not 2 <= len(parts) <= 4:
        raise ValueError(_FORM)
    latitude, longitude = _number(parts[0]), _number(parts[1])
    if abs(latitude) > 90 or abs(longitude) > 180:
        raise ValueError("a latitude is within 90 degrees, a longitude within 180")
    distance = NEAR_KM
    if len(parts) > 2 and parts[2]:
        unit = _UNITS.get(parts[3] if len(parts) > 3 else "")
        if unit is None:
            raise ValueError(
                "the units of a distance are km, m, [mi_i], [mi_us], [nmi_i] or [ft_i]"
            )
        distance = _number(parts[2]) * unit
    if distance < 0:
        raise ValueError("a distance is not negative")
    return [Probe("position", p, within(latitude, longitude, distance), by_version=False)]


def within(latitude: float, longitude: float, distance_km: float) -> Condition:
    """Over `latitude` and `longitude`: at most so far from a place."""
    angle = min(distance_km / EARTH_KM, math.pi)
    # A little wider than the circle, for rounding; what is exact follows.
    reach = math.degrees(angle) * 1.000001 + 1e-9
    box: list[Condition] = [
        Compare("latitude", ">=", latitude - reach),
        Compare("latitude", "<=", latitude + reach),
    ]
    if abs(latitude) + reach < 90:
        wide = math.degrees(math.asin(min(1.0, math.sin(angle) / math.cos(math.radians(latitude)))))
        box.append(_between(longitude, wide * 1.000001 + 1e-9))
    return All((*box, WithinDistance("latitude", "longitude", latitude, longitude, angle)))


def _between(longitude: float, reach: float) -> Condition:
    """Longitudes so near, across the date line too."""
    west, east = longitude - reach, longitude + reach
    ranges = [(west, east), (west + 360, 180.0), (-180.0, east - 360)]
    parts = tuple(
        All((Compare("longitude", ">=", low), Compare("longitude", "<=", high)))
        for low, high in ranges
        if low <= high
    )
    return Either(parts)


def _number(text: str) -> float:
    if _DECIMAL.fullmatch(text) is None:
        raise ValueError(_FORM)
    return float(text)


def present(p: int) -> Probe:
    """Rows of any value, for `:missing`."""
    return Probe("position", p, ANY_VALUE, by_version=False, seekable=False)
