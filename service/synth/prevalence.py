"""Which chronic diseases a person gets and when: cumulative incidence by age, sex and risk.

Each table gives the share of people of average risk who have had the diagnosis by an age. One
draw decides both whether and when: the age at which the curve, scaled by the person's risk,
passes the draw. Figures are rounded from US surveillance (CDC, NHANES, USRDS); they make a
plausible population, not an epidemiological source.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from service.synth.clock import DAYS_PER_YEAR
from service.synth.person import Person
from service.synth.tables import rows, steps

Curve = tuple[tuple[float, float], ...]
Risk = Callable[[Person, dict[str, int]], float]


def _bmi_steps(*steps: tuple[float, float]) -> Callable[[float], float]:
    return lambda bmi: next(factor for bound, factor in steps if bmi < bound)


_diabetes_bmi = _bmi_steps((25, 0.4), (30, 0.8), (35, 1.45), (99, 2.1))
_pressure_bmi = _bmi_steps((25, 0.72), (30, 0.95), (35, 1.2), (99, 1.35))
_SMOKING = {"never": 0.25, "former": 1.6, "current": 2.6}


def _sex(female: float, male: float) -> Risk:
    return lambda person, known: female if person.female else male


def _with(factors: dict[str, float], otherwise: float = 1.0) -> Risk:
    def risk(person: Person, known: dict[str, int]) -> float:
        total = otherwise
        for key, factor in factors.items():
            if key in known:
                total *= factor
        return total

    return risk


def _diabetes(person: Person, known: dict[str, int]) -> float:
    ethnic = 1.4 if person.hispanic or person.race_code in ("2054-5", "1002-5") else 1.03
    return _diabetes_bmi(person.adult_bmi) * ethnic


def _no_diabetes(person: Person, known: dict[str, int]) -> float:
    return 0.0 if "diabetes" in known else _diabetes_bmi(person.adult_bmi)


def _hypertension(person: Person, known: dict[str, int]) -> float:
    ethnic = 1.2 if person.race_code == "2054-5" else 1.0
    return _pressure_bmi(person.adult_bmi) * ethnic * (1.3 if "diabetes" in known else 0.92)


def _coronary(person: Person, known: dict[str, int]) -> float:
    smoking = {"never": 0.8, "former": 1.1, "current": 1.5}[person.smoking]
    sex = 0.7 if person.female else 1.3
    return sex * smoking * (1.6 if "diabetes" in known else 0.9)


def _knee(person: Person, known: dict[str, int]) -> float:
    return (1.2 if person.female else 0.8) * _pressure_bmi(person.adult_bmi)


_RISKS: dict[str, Risk] = {
    "diabetes": _diabetes,
    "no_diabetes": _no_diabetes,
    "hypertension": _hypertension,
    "coronary": _coronary,
    "knee": _knee,
    "smoking": lambda person, known: _SMOKING[person.smoking],
    "sleep_apnea": lambda person, known: (
        _diabetes_bmi(person.adult_bmi) * (0.7 if person.female else 1.3)
    ),
    "lipids": _with({"diabetes": 1.5, "hypertension": 1.15}, 0.9),
    "kidney": _with({"diabetes": 1.8, "hypertension": 1.4}, 0.75),
    "failure": _with({"cad": 2.8, "hypertension": 1.3}, 0.8),
    "fibrillation": _with({"heart_failure": 2.2, "hypertension": 1.2}, 0.9),
    "rhinitis": _with({"asthma": 2.0}, 0.95),
}


def _risk(cell: str) -> Risk:
    if cell.startswith("sex "):
        return _sex(*(float(part) for part in cell.split()[1:]))
    return _RISKS[cell]


CHRONIC: tuple[tuple[str, Curve, Risk], ...] = tuple(
    (row["key"], steps(row["curve"]), _risk(row["risk"])) for row in rows("prevalence")
)


def _age_at(curve: Curve, share: float) -> float | None:
    """The age at which the curve reaches `share`, or None if it never does."""
    low_age, low = curve[0]
    for age, level in curve[1:]:
        if share <= level:
            return low_age + (age - low_age) * (share - low) / (level - low)
        low_age, low = age, level
    return None


def chronic_onsets(person: Person, random: Random) -> dict[str, int]:
    """Diagnosis → day of onset for every chronic disease begun by the person's last day."""
    draw = random.random
    known: dict[str, int] = {}
    lived = (person.last_day - person.birth_day) / DAYS_PER_YEAR
    for key, curve, risk in CHRONIC:
        ticket = draw()
        if lived <= curve[0][0]:
            continue
        factor = risk(person, known)
        if factor <= 0 or ticket >= curve[-1][1] * factor:
            continue
        age = _age_at(curve, ticket / factor)
        if age is not None and age < lived:
            known[key] = person.birth_day + int(age * DAYS_PER_YEAR)
    if person.adult_bmi >= 30 and lived > 20:
        known["obesity"] = person.birth_day + int(
            (20 + draw() * min(25, lived - 20)) * DAYS_PER_YEAR
        )
    return known
