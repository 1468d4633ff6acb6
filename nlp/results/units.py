"""Units as notes write them, their UCUM codes, and which unit a bare number has.

A value without a unit gets one only if it is plausible in exactly one of the units that its test
is reported in (units of equal amount count as one). A written unit is never exchanged for another.
UCUM: https://ucum.org/ucum.
"""

import re
from dataclasses import dataclass
from decimal import Decimal

from nlp.terminology import Term, UnitRange
from schemas.ucum import convert

# Written unit (lower case, no blanks, `u` for micro, `ul` for mm³) → UCUM.
UNITS = {
    "%": "%", "percent": "%", "mg/dl": "mg/dL", "mgs/dl": "mg/dL", "mg/100ml": "mg/dL",
    "mg%": "mg/dL", "mgm/dl": "mg/dL", "g/dl": "g/dL", "gm/dl": "g/dL", "gms/dl": "g/dL",
    "gm%": "g/dL", "g%": "g/dL", "gm": "g/dL", "g/l": "g/L", "gm/l": "g/L", "mg/l": "mg/L",
    "mg/ml": "mg/mL", "ug/l": "ug/L", "ug/dl": "ug/dL", "ug/ml": "ug/mL", "ng/ml": "ng/mL",
    "ng/l": "ng/L", "ng/dl": "ng/dL", "ng%": "ng/dL", "pg/ml": "pg/mL", "pg/dl": "pg/dL",
    "pg/l": "pg/L", "pg": "pg", "mg/lfeu": "mg/L{FEU}", "ug/mlfeu": "ug/mL{FEU}",
    "ng/mlfeu": "ng/mL{FEU}", "ng/mlddu": "ng/mL{DDU}", "mg/lddu": "mg/L{DDU}",
    "mmol/l": "mmol/L", "mmols/l": "mmol/L", "mmol": "mmol/L", "meq/l": "meq/L", "meq": "meq/L",
    "meqs/l": "meq/L", "umol/l": "umol/L", "nmol/l": "nmol/L", "pmol/l": "pmol/L",
    "mmol/mol": "mmol/mol", "mg/g": "mg/g", "ug/mg": "ug/mg", "mg/mmol": "mg/mmol",
    "mosm/kg": "mosm/kg", "mosm/l": "mosm/L", "mosmol/kg": "mosm/kg",
    "k/ul": "10*3/uL", "k": "10*3/uL", "thou/ul": "10*3/uL", "thousand/ul": "10*3/uL",
    "thousand": "10*3/uL", "th/ul": "10*3/uL", "10^3/ul": "10*3/uL", "10^9/l": "10*9/L",
    "g/l(10^9)": "10*9/L", "m/ul": "10*6/uL", "mil/ul": "10*6/uL", "million/ul": "10*6/uL",
    "mill/ul": "10*6/uL", "10^6/ul": "10*6/uL", "10^12/l": "10*12/L",
    "/ul": "/uL", "cells/ul": "/uL", "cell/ul": "/uL", "/hpf": "/[HPF]", "perhpf": "/[HPF]",
    "/lpf": "/[LPF]", "cells/hpf": "/[HPF]", "wbc/hpf": "/[HPF]", "rbc/hpf": "/[HPF]",
    "copies/ml": "{copies}/mL", "cfu/ml": "{CFU}/mL",
    "u/l": "U/L", "units/l": "U/L", "unit/l": "U/L", "iu/l": "[IU]/L", "u/ml": "U/mL",
    "units/ml": "U/mL", "iu/ml": "[IU]/mL", "miu/l": "m[IU]/L", "miu/ml": "m[IU]/mL",
    "uiu/ml": "u[IU]/mL", "uu/ml": "u[IU]/mL", "mu/l": "m[IU]/L", "ku/l": "kU/L",
    "mm/hr": "mm/h", "mm/h": "mm/h", "mm/hour": "mm/h", "mm/1hr": "mm/h", "mmperhour": "mm/h",
    "mmhg": "mm[Hg]", "mmofhg": "mm[Hg]", "torr": "mm[Hg]", "kpa": "kPa",
    "bpm": "/min", "beats/min": "/min", "beats/minute": "/min", "beatsperminute": "/min",
    "/min": "/min", "perminute": "/min", "/minute": "/min", "breaths/min": "/min",
    "breaths/minute": "/min", "breathsperminute": "/min", "rpm": "/min",
    "f": "[degF]", "°f": "[degF]", "degf": "[degF]", "degreesf": "[degF]", "ºf": "[degF]",
    "degreef": "[degF]", "degreesfahrenheit": "[degF]", "degreefahrenheit": "[degF]",
    "fahrenheit": "[degF]", "c": "Cel", "°c": "Cel", "ºc": "Cel", "degc": "Cel",
    "degreesc": "Cel", "degreec": "Cel", "degreescelsius": "Cel", "degreecelsius": "Cel",
    "degreescentigrade": "Cel", "celsius": "Cel", "centigrade": "Cel",
    "kg": "kg", "kgs": "kg", "kilo": "kg", "kilos": "kg", "kilogram": "kg", "kilograms": "kg",
    "lb": "[lb_av]", "lbs": "[lb_av]", "pound": "[lb_av]", "pounds": "[lb_av]", "#": "[lb_av]",
    "grams": "g", "g": "g", "oz": "[oz_av]",
    "cm": "cm", "cms": "cm", "centimeters": "cm", "inches": "[in_i]", "inch": "[in_i]",
    "in": "[in_i]", "kg/m2": "kg/m2", "kg/m^2": "kg/m2", "kgm2": "kg/m2",
    "ml/min": "mL/min", "ml/min/1.73m2": "mL/min/{1.73_m2}", "ml/min/1.73": "mL/min/{1.73_m2}",
    "ml/min/1.73m^2": "mL/min/{1.73_m2}", "ml/minper1.73m2": "mL/min/{1.73_m2}",
    "ml/min/1.73sqm": "mL/min/{1.73_m2}",
    "fl": "fL", "sec": "s", "secs": "s", "second": "s", "seconds": "s", "s": "s", "ms": "ms",
    "msec": "ms", "l/min": "L/min", "lpm": "L/min", "l": "L", "liters": "L",
    "g/24h": "g/(24.h)", "g/24hr": "g/(24.h)", "mg/24h": "mg/(24.h)", "mg/24hr": "mg/(24.h)",
}  # fmt: skip

# Units of equal number: either is taken for the other where a unit is assumed.
_EQUAL = (
    {"10*3/uL", "10*9/L"},
    {"10*6/uL", "10*12/L"},
    {"m[IU]/L", "u[IU]/mL"},
    {"U/L", "[IU]/L"},
    {"U/mL", "[IU]/mL", "kU/L"},
    {"ng/mL", "ug/L"},
    {"mL/min/{1.73_m2}", "mL/min"},
    {"ng/L", "pg/mL"},
    {"mg/L", "ug/mL"},
    {"mg/g", "ug/mg"},
    {"mmol/L", "meq/L"},
    {"mosm/kg", "mosm/L"},
    {"mg/L{FEU}", "ug/mL{FEU}", "ug/mL", "mg/L"},
    {"ng/mL{FEU}", "ng/mL{DDU}", "ng/mL"},
)
# Written units that are also a word or an initial: taken only where the test has that unit.
_DOUBTFUL = frozenset(("f", "c", "k", "s", "in", "l", "g", "#", "m", "gm", "pg", "thousand", "ms"))
_MICRO = str.maketrans({"µ": "u", "μ": "u", "×": "x", "²": "2", "³": "3", "⁶": "6", "⁹": "9"})
_POWER_OF_TEN = re.compile(r"^x?10(?:\^|\*{1,2}|e|\()?(3|6|9|12)\)?/")
_PER_MICROLITRE = re.compile(r"/(?:mcl|mm\^?3|cumm|cu\.?mm|microliter|microl)$")
_POWER_PATTERN = (
    r"[x×]?\s*10\s*(?:\^|\*{1,2}|e|\()?\s*(?:3|6|9|12|³|⁶|⁹|¹²)\)?\s*/\s*"
    r"(?:[uµμ]l|mcl|mm\^?3|mm³|l)"
)
_PER_VOLUME = r"\s*/\s*(?:[uµμ]l|mcl|mm\^?3|mm³|cu\.?\s?mm|microliter)"


def _spelled(unit: str) -> str:
    pattern = re.escape(unit).replace("/", r"\s*/\s*").replace(r"\^", r"\s*\^?\s*")
    pattern = re.sub(r"(?<![a-z])u(?=[gl\d]|mol|iu|u)", "(?:[uµμ]|mc)", pattern)
    return pattern.replace("per", r"\s*per\s*").replace("of", r"\s*of\s*")


_WORDY = (
    r"degrees?\s*(?:fahrenheit|celsius|centigrade|f|c)\b|°\s*[fc]\b|º\s*[fc]\b"
    r"|mm\s*hg|mm\s*/\s*1\s*hr|m?g\s*/\s*24\s*h(?:r|ours?)?"
    r"|ml\s*/\s*min\s*/\s*1\.73\s*m(?:\^?2|²)?|ml\s*/\s*min\s+per\s+1\.73\s*m(?:\^?2|²)"
    r"|kg\s*/\s*m(?:\^?2|²)|mg\s*/\s*100\s*ml|(?:mg|[uµμ]g|mcg|ng)\s*/\s*m?l\s*(?:feu|ddu)"
    r"|(?:k|thou|thousand|th|m|mil|mill|million|cells?)" + _PER_VOLUME + "|" + _PER_VOLUME.lstrip()
)
UNIT = (
    _POWER_PATTERN
    + "|"
    + _WORDY
    + "|"
    + "|".join(_spelled(unit) for unit in sorted(UNITS, key=len, reverse=True))
)
"""A regular expression (any case) of every unit that `unit_code` knows."""


@dataclass(frozen=True, slots=True)
class Fit:
    """Whether a value can be its test's; `code` is its UCUM unit, None where that is not known."""

    fits: bool
    code: str | None = None
    written: bool = False


def unit_code(written: str) -> str | None:
    """The UCUM code of a unit as written, None when it is not known."""
    compact = re.sub(r"\s+", "", written.lower().translate(_MICRO))
    compact = _PER_MICROLITRE.sub("/ul", compact).replace("mcg", "ug").replace("mcmol", "umol")
    compact = _POWER_OF_TEN.sub(r"10^\1/", compact).replace("hours", "h").replace("¹2", "12")
    return UNITS.get(compact)


def is_doubtful(written: str) -> bool:
    """Whether the unit as written may as well be a word or an initial."""
    return written.strip().lower() in _DOUBTFUL


def equal_amounts(one: str, other: str) -> bool:
    """Whether the same number in either unit is the same amount."""
    return one == other or any(one in equal and other in equal for equal in _EQUAL)


def _inside(unit: UnitRange, value: Decimal) -> bool:
    if unit.low is None or unit.high is None:
        return True
    return unit.low <= value <= unit.high


def written_unit(term: Term | None, value: Decimal, code: str) -> bool:
    """Whether `value` in the unit that is written can be this test's.

    A test measured as a mass is not refused its other mass units: they are converted, and the
    amount must be plausible.
    """
    if term is None:
        # A test that the dictionary does not know: `revealed a 9 cm mass` is no concentration.
        return "/" in code
    for unit in term.units:
        if equal_amounts(unit.ucum, code):
            if _inside(unit, value):
                return True
            continue
        converted = convert(value, code, unit.ucum)
        if converted is not None and _inside(unit, converted):
            return True
    return False


def assumed_unit(term: Term | None, value: Decimal) -> Fit:
    """The unit of a bare number, by the rule at the head of this file."""
    if term is None:
        return Fit(False)
    ranged = [unit for unit in term.units if unit.low is not None]
    if not ranged:
        # Without a plausible range nothing says what was measured how: the number alone.
        return Fit(term.type != "VITAL" and "{class}" not in {unit.ucum for unit in term.units})
    fitting = [unit.ucum for unit in ranged if _inside(unit, value)]
    if not fitting:
        return Fit(False)
    if all(equal_amounts(fitting[0], other) for other in fitting[1:]):
        return Fit(True, fitting[0])
    return Fit(True)


def fitting_unit(term: Term | None, value: Decimal, written: str | None) -> Fit:
    """Whether `value` can be this test's, and its UCUM unit."""
    if written is None:
        return assumed_unit(term, value)
    code = unit_code(written)
    if code is None:
        return Fit(False)
    return Fit(True, code, True) if written_unit(term, value, code) else Fit(False)
