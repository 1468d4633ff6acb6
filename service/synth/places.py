"""Cities with a plausible ZIP prefix, telephone area and time zone. Street addresses are invented;
telephone numbers use the exchange 555-01xx, which is reserved for fiction."""

from __future__ import annotations

from random import Random
from typing import NamedTuple


class City(NamedTuple):
    """A city; `zip_base` is its lowest ZIP code used here."""

    name: str
    state: str
    zip_base: int
    area_code: str
    zone: str


CITIES: tuple[City, ...] = tuple(
    City(name, state, zip_base, area, zone)
    for name, state, zip_base, area, zone in (
        ("Boston", "MA", 2108, "617", "eastern"),
        ("Worcester", "MA", 1602, "508", "eastern"),
        ("Springfield", "MA", 1103, "413", "eastern"),
        ("Providence", "RI", 2903, "401", "eastern"),
        ("Hartford", "CT", 6103, "860", "eastern"),
        ("Burlington", "VT", 5401, "802", "eastern"),
        ("Albany", "NY", 12203, "518", "eastern"),
        ("Brooklyn", "NY", 11215, "718", "eastern"),
        ("Rochester", "NY", 14607, "585", "eastern"),
        ("Newark", "NJ", 7102, "973", "eastern"),
        ("Philadelphia", "PA", 19103, "215", "eastern"),
        ("Pittsburgh", "PA", 15213, "412", "eastern"),
        ("Baltimore", "MD", 21201, "410", "eastern"),
        ("Richmond", "VA", 23220, "804", "eastern"),
        ("Durham", "NC", 27701, "919", "eastern"),
        ("Atlanta", "GA", 30307, "404", "eastern"),
        ("Savannah", "GA", 31401, "912", "eastern"),
        ("Tampa", "FL", 33606, "813", "eastern"),
        ("Miami", "FL", 33125, "305", "eastern"),
        ("Cleveland", "OH", 44106, "216", "eastern"),
        ("Detroit", "MI", 48201, "313", "eastern"),
        ("Grand Rapids", "MI", 49503, "616", "eastern"),
        ("Chicago", "IL", 60614, "312", "central"),
        ("Milwaukee", "WI", 53202, "414", "central"),
        ("Minneapolis", "MN", 55404, "612", "central"),
        ("Des Moines", "IA", 50309, "515", "central"),
        ("St. Louis", "MO", 63110, "314", "central"),
        ("Memphis", "TN", 38104, "901", "central"),
        ("New Orleans", "LA", 70115, "504", "central"),
        ("Houston", "TX", 77004, "713", "central"),
        ("San Antonio", "TX", 78205, "210", "central"),
        ("Omaha", "NE", 68102, "402", "central"),
        ("Denver", "CO", 80203, "303", "mountain"),
        ("Albuquerque", "NM", 87102, "505", "mountain"),
        ("Salt Lake City", "UT", 84102, "801", "mountain"),
        ("Phoenix", "AZ", 85004, "602", "arizona"),
        ("Tucson", "AZ", 85719, "520", "arizona"),
        ("Los Angeles", "CA", 90012, "213", "pacific"),
        ("Fresno", "CA", 93721, "559", "pacific"),
        ("Sacramento", "CA", 95814, "916", "pacific"),
        ("Portland", "OR", 97209, "503", "pacific"),
        ("Seattle", "WA", 98103, "206", "pacific"),
        ("Honolulu", "HI", 96814, "808", "hawaii"),
    )
)

_STREETS = [
    "Maple",
    "Oak",
    "Cedar",
    "Pine",
    "Elm",
    "Walnut",
    "Chestnut",
    "Birch",
    "Willow",
    "Spruce",
    "Main",
    "Church",
    "Mill",
    "River",
    "Lake",
    "Hill",
    "Park",
    "Prospect",
    "Highland",
    "Washington",
    "Lincoln",
    "Franklin",
    "Jefferson",
    "Adams",
    "Madison",
    "Monroe",
    "School",
    "Spring",
    "Summer",
    "Winter",
    "Garden",
    "Orchard",
    "Meadow",
    "Sunset",
    "Canal",
    "Harbor",
]
_KINDS = ("St", "Ave", "Rd", "Ln", "Dr", "Ct", "Blvd", "Pl")


def street_address(random: Random) -> str:
    """One line such as `212 Maple Ave Apt 4`."""
    draw = random.random
    street = _STREETS[int(draw() * len(_STREETS))]
    line = f"{1 + int(draw() * 1400)} {street} {_KINDS[int(draw() * len(_KINDS))]}"
    return f"{line} Apt {1 + int(draw() * 40)}" if draw() < 0.3 else line


def phone(random: Random, area_code: str) -> str:
    """A telephone number that cannot reach anyone."""
    return f"({area_code}) 555-{100 + int(random.random() * 100):04d}"
