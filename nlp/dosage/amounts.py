"""Amounts: doses, strengths, rates; `1-2 tablets`, `250 mg/5 mL`, `5 mcg/kg/min`."""

from decimal import Decimal
from typing import Any

from nlp.dosage.numbers import number, number_range
from nlp.dosage.parts import DOSE, RATE, STRENGTH, Part
from nlp.dosage.tokens import Tokens
from nlp.dosage.units import COUNTED, MASS, PERCENT, UNITS, VOLUME, Unit, time_unit, unit_at

_BODY = {"kg": "kg", "m2": "m2", "m²": "m2", "sqm": "m2"}
_MAX_SPREAD = 10
_STRENGTH_DIGITS = 3
LAB = "lab"

Amount = tuple[Part, int]


def quantity(low: Decimal | None, high: Decimal | None, unit: Unit | None) -> dict[str, Any]:
    """The value of a DOSE part: `value`, `high`, `unit`, `code`."""
    found: dict[str, Any] = {}
    scale = unit.scale if unit is not None else Decimal(1)
    if low is not None:
        found["value"] = low * scale
    if high is not None:
        found["high"] = high * scale
    if unit is not None:
        found |= {"unit": unit.word, "code": unit.code}
    return found


def _body_size(t: Tokens, i: int) -> tuple[str, int] | None:
    word = t.word(i)
    if word in _BODY:
        return _BODY[word], i + 1
    if word == "m" and t.word(i + 1) in ("2", "²") and t.glued(i + 1):
        return "m2", i + 2
    if word == "m" and t.words[i + 1 : i + 4] == ["(", "2", ")"]:
        return "m2", i + 4
    if word == "square" and t.word(i + 1) in ("meter", "metre"):
        return "m2", i + 2
    if word == "kilogram":
        return "kg", i + 1
    return None


def _per(t: Tokens, i: int) -> int | None:
    """The place behind a `/`, `per`, `a`."""
    if t.word(i) == "/":
        return i + 1
    if t.word(i) == "per":
        return i + 1
    return None


def _concentration(t: Tokens, i: int) -> tuple[str, int] | None:
    """What a strength is in: `5 mL`, `actuation`, `tablet`."""
    amount = number(t, i)
    j = amount[1] if amount is not None else i
    unit = unit_at(t, j)
    if unit is None or unit[0].measure not in (VOLUME, COUNTED) or unit[0].word == "dose":
        return None
    return t.written(i, unit[1]), unit[1]


class _Denominators:
    """What follows the unit of an amount: `/kg`, `/day`, `/5 mL`."""

    __slots__ = ("body", "concentration", "dose", "j", "lab", "time")

    def __init__(self, t: Tokens, j: int) -> None:
        self.j = j
        self.body = ""
        self.time = ""
        self.concentration = ""
        self.dose = self.lab = False
        while True:
            k = _per(t, self.j)
            if k is None:
                break
            body = _body_size(t, k)
            if body is not None and not self.body:
                self.body, self.j = body
                continue
            if t.word(k) in ("dose", "doses"):
                self.dose, self.j = True, k + 1
                continue
            if t.word(k) in ("dl", "l", "liter"):
                self.lab, self.j = True, k + 1
                break
            concentration = _concentration(t, k)
            if concentration is not None and not self.body:
                self.concentration, self.j = concentration
                break
            unit = time_unit(t, k)
            if unit is not None and not self.time and unit[0] in ("min", "h", "d", "wk"):
                self.time, self.j = unit
                continue
            if number(t, k) is not None and t.value(k) == 24:
                hours = time_unit(t, k + 1)
                if hours is not None and hours[0] == "h":
                    self.time, self.j = "d", hours[1]
                    continue
            break


def amount_at(t: Tokens, i: int) -> Amount | None:
    """The amount with a unit at token `i`: a DOSE, STRENGTH, RATE, or a LAB value to leave out.

    A DOSE whose value has `per_day` is what is taken in a whole day: `30 mg/kg/day`.
    """
    j, at_most = i, False
    if t.word(i) == "up" and t.word(i + 1) == "to":
        j, at_most = i + 2, True
    numbers = _amount_numbers(t, j)
    if numbers is None:
        return None
    low, high, unit, j, combined = numbers
    if low <= 0:
        return None
    kind = DOSE
    if combined or unit.measure == PERCENT:
        kind = STRENGTH
    rest = _Denominators(t, j)
    value = quantity(low, high, unit)
    if combined:
        value = {"text": t.written(i, j)}
    if unit.word == "ng" or (rest.lab and unit.measure not in (VOLUME,)):
        return Part(LAB, t.begins[i], t.ends[rest.j - 1]), rest.j
    if rest.concentration:
        if not (unit.measure == COUNTED and kind == DOSE):
            kind, value = STRENGTH, value | {"per": rest.concentration}
        else:
            rest.j = j
    if rest.body:
        _divide(value, rest.body)
    if rest.time in ("min", "h") and kind == DOSE:
        kind = RATE
        _divide(value, rest.time)
    elif rest.time == "d" and kind == DOSE and (rest.body or t.word(rest.j - 2) == "/"):
        value["per_day"] = True
    elif rest.time:
        # `2 tablets per day`: the frequency is read by itself.
        rest.j = j
    if at_most and kind == DOSE and high is None:
        value["high"] = value.pop("value")
    return Part(kind, t.begins[i], t.ends[rest.j - 1], value), rest.j


def _divide(value: dict[str, Any], by: str) -> None:
    """Put a denominator to unit and code, where there are any: a combination has words alone."""
    for name in ("unit", "code"):
        if value.get(name):
            value[name] += f"/{by}"


def _amount_numbers(t: Tokens, i: int) -> tuple[Decimal, Decimal | None, Unit, int, bool] | None:
    """Low, high, unit, place behind, and whether it is the strength of a combination."""
    amount = number_range(t, i)
    if amount is None:
        if t.word(i) in ("a", "an") and (unit := unit_at(t, i + 1)) is not None:
            counted = unit[0].measure == COUNTED or unit[0].word in ("teaspoon", "tablespoon")
            follows = t.word(i + 1) not in ("dose", "treatment", "d")
            return (Decimal(1), None, unit[0], unit[1], False) if counted and follows else None
        return None
    low, high, j = amount
    combined = _combination(t, i)
    if combined is not None:
        return combined
    if t.word(j) == "-" and high is None:
        j += 1
    if t.word(j) == "x":
        # `2 x 500 mg tablets`
        j += 1
    unit = unit_at(t, j)
    if unit is None:
        return _of_tablets(t, low, high, j)
    if unit[0].measure == MASS and high is None:
        # `1 mg to 2 mg`, `1 tab - 2 tabs`: the unit on both sides.
        pass
    repeated = _repeated_unit(t, low, high, unit)
    if repeated is not None:
        return repeated
    if high is not None and unit[0].measure == MASS and low * _MAX_SPREAD < high:
        return low, None, unit[0], unit[1], True
    return low, high, unit[0], unit[1], False


def _repeated_unit(
    t: Tokens, low: Decimal, high: Decimal | None, unit: tuple[Unit, int]
) -> tuple[Decimal, Decimal | None, Unit, int, bool] | None:
    """`1 tablet to 2 tablets`, `5 mg - 10 mg`, `5 mg/325 mg`."""
    j = unit[1]
    if high is not None or t.word(j) not in ("-", "to", "or", "/"):
        return None
    further = number(t, j + 1)
    if further is None:
        return None
    second = unit_at(t, further[1])
    if second is None or second[0].word != unit[0].word:
        return None
    if t.word(j) == "/":
        if unit[0].measure != MASS:
            return None
        return low, None, unit[0], second[1], True
    if further[0] <= low:
        if t.word(j) == "-" and unit[0].measure == MASS:
            return low, None, unit[0], second[1], True
        return None
    if unit[0].measure == MASS and low * _MAX_SPREAD < further[0]:
        return low, None, unit[0], second[1], True
    return low, further[0], unit[0], second[1], False


def _combination(t: Tokens, i: int) -> tuple[Decimal, Decimal | None, Unit, int, bool] | None:
    """`5/325 mg`, `800-160 mg`, `20-12.5 mg`: several substances in one form."""
    first, second = t.value(i), t.value(i + 2)
    if first is None or second is None or t.word(i + 1) not in ("/", "-"):
        return None
    if first < second and t.word(i + 1) == "-":
        return None
    if first < second and t.word(i + 1) == "/" and second <= 8 and first == 1:
        return None
    j = i + 3
    if t.word(j) in ("/", "-") and t.value(j + 1) is not None:
        j += 2
    if t.word(j) == "-":
        j += 1
    unit = UNITS.get(t.word(j))
    if unit is None or unit.measure != MASS:
        return None
    return first, None, unit, j + 1, True


def _of_tablets(
    t: Tokens, low: Decimal, high: Decimal | None, j: int
) -> tuple[Decimal, Decimal | None, Unit, int, bool] | None:
    """`two 20 mg tablets`, `1 (5 mg) tablet`, `2 x 500 mg tabs`: the number is of tablets."""
    k = j + 1 if t.word(j) == "(" else j
    mass = number(t, k)
    if mass is None or low >= 10:
        return None
    k = mass[1] + 1 if t.word(mass[1]) == "-" else mass[1]
    unit = UNITS.get(t.word(k))
    if unit is None or unit.measure != MASS:
        return None
    k += 1
    if t.word(j) == "(":
        if t.word(k) != ")":
            return None
        k += 1
    counted = unit_at(t, k)
    if counted is None or counted[0].measure != COUNTED:
        return None
    return low, high, counted[0], counted[1], False


def combined_strength_at(t: Tokens, i: int) -> Amount | None:
    """`5/325`, `70/30`, `800-160` without a unit: the strength of a combination."""
    first, second = t.value(i), t.value(i + 2)
    if first is None or second is None or t.word(i + 1) not in ("/", "-") or not t.glued(i + 2):
        return None
    slash = t.word(i + 1) == "/"
    if t.word(i + 3) == "/" or t.word(i - 1) == "/":
        return None
    percents = slash and first + second == 100
    long = slash and len(t.word(i + 2)) == _STRENGTH_DIGITS and first < 100
    if not (percents or long):
        return None
    return Part(STRENGTH, t.begins[i], t.ends[i + 2], {"text": t.written(i, i + 3)}), i + 3
