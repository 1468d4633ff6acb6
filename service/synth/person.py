"""Who a patient is before any record of them: birth, death, background, build and habits.

Age follows the US age pyramid, with somewhat more old people, as those who see a doctor are.
"""

from __future__ import annotations

from random import Random

from service.synth.clock import DAYS_PER_YEAR, age_on
from service.synth.names import choose_name
from service.synth.places import City

# Share of the population in each five-year band from birth up (per mille).
_PYRAMID = (48, 50, 54, 56, 58, 62, 66, 66, 64, 62, 64, 66, 68, 64, 56, 42, 28, 16, 8, 2)
_PYRAMID_SUM = sum(_PYRAMID)

# Yearly risk of death at ages up to the bound.
_MORTALITY = ((40, 0.001), (60, 0.005), (70, 0.014), (80, 0.034), (90, 0.09), (130, 0.2))

_Background = tuple[float, str, str, str, bool]

# (share, tradition of names, OMB race code, OMB race, Hispanic)
_BACKGROUNDS: tuple[_Background, ...] = (
    (0.50, "english", "2106-3", "White", False),
    (0.08, "european", "2106-3", "White", False),
    (0.13, "african_american", "2054-5", "Black or African American", False),
    (0.17, "hispanic", "2106-3", "White", True),
    (0.02, "hispanic", "2054-5", "Black or African American", True),
    (0.045, "east_asian", "2028-9", "Asian", False),
    (0.035, "south_asian", "2028-9", "Asian", False),
    (0.02, "native", "1002-5", "American Indian or Alaska Native", False),
)

LOOK_BACK_DAYS = round(4 * DAYS_PER_YEAR)  # deaths lie at most this long before the end


def _row(table: tuple[_Background, ...], ticket: float) -> _Background:
    """The row on which a draw between 0 and 1 falls; the first column holds the shares."""
    for row in table:
        ticket -= row[0]
        if ticket < 0:
            return row
    return table[-1]


def _mortality(age: int) -> float:
    return next(risk for bound, risk in _MORTALITY if age < bound)


class Person:
    """A person's fixed traits. Days are ordinals; `last_day` is death or the end of time."""

    __slots__ = (
        "adult_bmi",
        "adult_height_cm",
        "birth_day",
        "city",
        "death_day",
        "family_name",
        "female",
        "given_names",
        "growth",
        "hispanic",
        "last_day",
        "married",
        "race",
        "race_code",
        "smoking",
        "tradition",
    )

    def __init__(self, random: Random, cities: tuple[City, ...], end_day: int) -> None:
        draw, gauss = random.random, random.gauss
        band, ticket = 0, draw() * _PYRAMID_SUM
        while ticket >= _PYRAMID[band]:
            ticket -= _PYRAMID[band]
            band += 1
        days_old = int((band + draw()) * 5 * DAYS_PER_YEAR)
        self.birth_day = end_day - max(days_old, 35)
        self.female = draw() < 0.5 + 0.004 * max(0, band - 8)
        self.city = cities[int(draw() * len(cities))]

        background = _row(_BACKGROUNDS, draw())
        _, self.tradition, self.race_code, self.race, self.hispanic = background
        self.family_name, self.given_names = choose_name(random, self.tradition, self.female)

        self.death_day: int | None = None
        age = age_on(self.birth_day, end_day)
        if draw() < 1 - (1 - _mortality(age)) ** 4:
            earliest = max(self.birth_day + 400, end_day - LOOK_BACK_DAYS)
            if earliest < end_day - 30:
                self.death_day = earliest + int(draw() * (end_day - 30 - earliest))
        self.last_day = self.death_day if self.death_day is not None else end_day

        self.adult_height_cm = min(
            205.0, max(142.0, gauss(162.0, 6.5) if self.female else gauss(176.0, 7.0))
        )
        self.adult_bmi = min(52.0, max(17.5, gauss(28.0, 5.6) + (1.2 if draw() < 0.2 else 0)))
        self.growth = max(-2.0, min(2.0, gauss(0, 0.9)))
        habit = draw()
        self.smoking = "current" if habit < 0.13 else "former" if habit < 0.36 else "never"
        if age < 16:
            self.smoking = "never"
        self.married = age >= 22 and draw() < 0.52

    def age(self, day: int) -> int:
        """Completed years on a day."""
        return age_on(self.birth_day, day)

    def height_cm(self, day: int) -> float:
        """Height on a day; children grow to their adult height at 18, boys a little later."""
        months = (day - self.birth_day) / 30.4375
        if months >= 216:
            return self.adult_height_cm
        adult = self.adult_height_cm
        share = _interpolate(_STATURE_GIRL if self.female else _STATURE_BOY, months)
        return max(46.0, adult * share)

    def bmi(self, day: int) -> float:
        """Body mass index on a day."""
        years = (day - self.birth_day) / DAYS_PER_YEAR
        if years >= 20:
            drift = (min(years, 62.0) - 45.0) * 0.07 - max(0.0, years - 72.0) * 0.1
            return max(16.5, self.adult_bmi + drift)
        child = _interpolate(_CHILD_BMI, years * 12) * (1 + 0.09 * self.growth)
        if years > 12:
            share = (years - 12) / 8
            child = child * (1 - share) + self.adult_bmi * share
        return max(12.0, child)


def _interpolate(table: tuple[tuple[float, float], ...], x: float) -> float:
    low_x, low_y = table[0]
    for high_x, high_y in table:
        if x <= high_x:
            if high_x == low_x:
                return high_y
            return low_y + (high_y - low_y) * (x - low_x) / (high_x - low_x)
        low_x, low_y = high_x, high_y
    return low_y


# Median stature as a share of adult height, by months of age.
_STATURE_GIRL = (
    (0.0, 0.305),
    (3, 0.37),
    (6, 0.405),
    (12, 0.455),
    (24, 0.53),
    (36, 0.583),
    (60, 0.665),
    (96, 0.782),
    (132, 0.885),
    (156, 0.965),
    (180, 0.99),
    (216, 1.0),
)
_STATURE_BOY = (
    (0.0, 0.285),
    (3, 0.35),
    (6, 0.385),
    (12, 0.43),
    (24, 0.497),
    (36, 0.545),
    (60, 0.62),
    (96, 0.725),
    (132, 0.815),
    (156, 0.885),
    (180, 0.96),
    (216, 1.0),
)
_CHILD_BMI = (
    (0.0, 13.4),
    (3, 16.2),
    (6, 17.3),
    (12, 17.0),
    (24, 16.5),
    (60, 15.4),
    (96, 16.0),
    (132, 17.5),
    (168, 19.6),
    (240, 23.0),
)
