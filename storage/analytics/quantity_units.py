"""Units of measure as they are compared: equal only when they are the same UCUM unit.

Nothing is converted silently. Different spellings of one unit are equal, and haemoglobin A1c is
brought from mmol/mol (IFCC) to % (NGSP), because laboratories report the one test in both.
https://ucum.org/ucum  https://ngsp.org/ifcc.asp
"""

from __future__ import annotations

# UCUM code → other spellings found in records. UCUM is case-sensitive, so these are too.
_SPELLINGS: dict[str, tuple[str, ...]] = {
    "%": ("percent", "Percent", "pct"),
    "1": ("", "{score}", "{#}", "{ratio}", "{index}", "{count}", "{number}"),
    "mg/dL": ("mg/dl", "MG/DL", "mg/100mL", "mg/100 mL"),
    "g/dL": ("g/dl", "G/DL", "gm/dL", "gm/dl", "g/100mL"),
    "g/L": ("g/l",),
    "ug/dL": ("ug/dl", "mcg/dL", "µg/dL", "μg/dL"),
    "ug/L": ("ug/l", "mcg/L", "µg/L", "μg/L"),
    "ng/mL": ("ng/ml", "NG/ML"),
    "ng/dL": ("ng/dl",),
    "pg/mL": ("pg/ml", "PG/ML"),
    "mmol/L": ("mmol/l", "MMOL/L", "mM"),
    "umol/L": ("umol/l", "µmol/L", "μmol/L", "micromol/L"),
    "mmol/mol": ("mmol/mol{Hb}", "mmol/mol Hb"),
    "meq/L": ("mEq/L", "meq/l", "MEQ/L"),
    "U/L": ("u/L", "u/l", "units/L"),
    "[IU]/L": ("IU/L", "iU/L", "[iU]/L"),
    "m[IU]/L": ("mIU/L", "m[iU]/L"),
    "u[IU]/mL": ("uIU/mL", "u[iU]/mL", "µIU/mL"),
    "mm[Hg]": ("mmHg", "mm Hg", "MMHG", "mmhg", "torr"),
    "kg": ("KG", "Kg", "kilogram", "kilograms"),
    "g": ("gram", "grams"),
    "[lb_av]": ("lb", "lbs", "[lb_us]", "pounds"),
    "[oz_av]": ("oz",),
    "cm": ("CM", "centimeter", "centimeters"),
    "m": ("meter", "meters"),
    "[in_i]": ("in", "inch", "inches", "[in_us]"),
    "kg/m2": ("kg/m^2", "kg/m²", "kg/(m2)", "kg/m*2"),
    "Cel": ("C", "°C", "degC", "Celsius"),
    "[degF]": ("F", "°F", "degF", "Fahrenheit"),
    "/min": ("{beats}/min", "{Beats}/min", "beats/min", "bpm", "{breaths}/min", "breaths/min",
             "{H.B}/min", "/minute", "1/min"),
    "10*3/uL": ("10^3/uL", "10*3/ul", "10^3/µL", "K/uL", "K/µL", "x10E3/uL", "10*9/L", "10^9/L",
                "thou/uL", "Thousand/uL"),
    "10*6/uL": ("10^6/uL", "10*6/ul", "M/uL", "x10E6/uL", "10*12/L", "10^12/L", "Million/uL"),
    "fL": ("fl", "FL", "um3"),
    "pg": ("PG",),
    "s": ("sec", "seconds"),
    "h": ("hr", "hours"),
    "d": ("day", "days"),
    "a": ("year", "years", "yr"),
    "mL/min": ("ml/min",),
    "mL/min/{1.73_m2}": ("mL/min/1.73m2", "mL/min/1.73 m2", "mL/min/{1.73m2}", "mL/min/1.73m^2",
                         "mL/min/1.73.m2", "mL/min/(173.10*-2.m2)", "mL/min/1.73_m2",
                         "mL/min/1.73 m²", "mL/min/{1.73 m2}"),
}  # fmt: skip

_CANONICAL = {spelling: code for code, others in _SPELLINGS.items() for spelling in (code, *others)}

# Haemoglobin A1c / total haemoglobin in blood: NGSP-aligned, by HPLC, by electrophoresis, by IFCC.
HBA1C_LOINC = frozenset({"4548-4", "17856-6", "4549-2", "59261-8", "71875-9", "62388-4"})

NGSP_UNIT, IFCC_UNIT = "%", "mmol/mol"


def canonical_unit(unit: str | None) -> str:
    """The UCUM code that a spelling stands for; an unknown spelling stands for itself."""
    text = (unit or "").strip()
    return _CANONICAL.get(text, text)


def spellings_of(unit: str) -> list[str]:
    """Every spelling that is equal to `unit`, itself and its canonical code included."""
    code = canonical_unit(unit)
    return sorted({unit, code, *_SPELLINGS.get(code, ())})


def ngsp_percent(ifcc_mmol_mol: float) -> float:
    """HbA1c in % (NGSP) from mmol/mol (IFCC), to one decimal as it is reported.

    The master equation NGSP = 0.09148 × IFCC + 2.152: 48 mmol/mol is 6.5 %.
    """
    return round(NGSP_SLOPE * ifcc_mmol_mol + NGSP_INTERCEPT, 1)


def ifcc_mmol_mol(ngsp: float) -> float:
    """HbA1c in mmol/mol (IFCC) from % (NGSP), to a whole number as it is reported."""
    return float(round((ngsp - NGSP_INTERCEPT) / NGSP_SLOPE))


NGSP_SLOPE, NGSP_INTERCEPT = 0.09148, 2.152
