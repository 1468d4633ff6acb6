"""Occasions of the day: meals with their offsets, parts of the day, hours of the clock.

Codes of v3 TimingEvent as FHIR's `Timing.repeat.when` has them.
https://hl7.org/fhir/R4/valueset-event-timing.html
"""

from decimal import Decimal
from typing import Any

from nlp.dosage.numbers import number_range, positive_int
from nlp.dosage.parts import daily_at, every
from nlp.dosage.tokens import Tokens, word_set
from nlp.dosage.units import time_unit

_MEALS = {
    "breakfast": "M", "lunch": "D", "dinner": "V", "supper": "V", "lunchtime": "D",
    "meal": "", "meals": "", "mealtime": "", "mealtimes": "", "eating": "", "food": "",
}  # fmt: skip
_WHICH_MEAL = {"morning": "M", "evening": "V", "noon": "D", "midday": "D", "first": "M"}
_PREPOSITIONS = {
    "before": "A", "ac": "A", "prior": "A", "preceding": "A", "with": "", "w": "", "at": "",
    "during": "", "after": "P", "pc": "P", "following": "P", "without": None,
}  # fmt: skip
_FILLERS = word_set("each every all the your a any his her any full main largest big")
_GENERIC_TIMES = 3
_MINUTES = {"min": 1, "h": 60}
_ALONE = {"ac": "AC", "qac": "AC", "pc": "PC", "qpc": "PC", "tidac": "AC", "cc": "C"}

Occasion = tuple[dict[str, Any], int]


def _code(prefix: str, meal: str) -> str:
    return f"{prefix}C{meal}"


def _meal(t: Tokens, i: int) -> tuple[str, str, int] | None:
    """The meal at `i`: its letter, the word, the place behind."""
    j = i
    while t.word(j) in _FILLERS or t.words[j : j + 3] == ["first", "bite", "of"]:
        j += 3 if t.word(j) == "first" else 1
    if t.word(j) in _WHICH_MEAL and t.word(j + 1) == "meal":
        letter, j = _WHICH_MEAL[t.word(j)], j + 2
        if t.words[j : j + 3] == ["of", "the", "day"]:
            j += 3
        return letter, "breakfast", j
    word = t.word(j)
    letter_of = _MEALS.get(word)
    return (letter_of, word, j + 1) if letter_of is not None else None


def _named_meals(t: Tokens, j: int, prefix: str) -> tuple[list[str], int] | None:
    """`(with) the morning and evening meals`: their codes."""
    if t.word(j) in ("the", "your"):
        j += 1
    codes: list[str] = []
    while t.word(j) in _WHICH_MEAL:
        codes.append(_code(prefix, _WHICH_MEAL[t.word(j)]))
        j += 1
        while codes and t.word(j) in ("and", "&", ","):
            j += 1
    return (codes, j + 1) if len(codes) > 1 and t.word(j) in ("meal", "meals") else None


def meal_at(t: Tokens, i: int, offset: int | None = None) -> Occasion | None:
    """`with meals`, `before breakfast and dinner`, `AC`: once at each, three times at all meals.

    `offset` is in minutes. The pseudo-element `food` says that only food, no meal, is named.
    """
    word = t.word(i)
    j = i + 1
    if (word == "prior" and t.word(j) == "to") or (word == "w" and t.word(j) == "/"):
        j += 1
    prefix = _PREPOSITIONS.get(word)
    if prefix is None:
        alone = _ALONE.get(word)
        return (_occasions([alone], offset), j) if alone else None
    named = _named_meals(t, j, prefix)
    if named is not None:
        return _occasions(named[0], offset), named[1]
    single = t.word(j) == "a" or t.word(j + 1) in ("largest", "main", "biggest")
    meal = _meal(t, j)
    if meal is None:
        alone = _ALONE.get(word)
        return (_occasions([alone], offset), j) if alone else None
    letter, name, j = meal
    if name == "food" or single:
        if prefix or offset:
            return (_occasions([_code(prefix, letter)], offset, generic=False), j)
        return {"when": ["C"], "food": True}, j
    codes = [_code(prefix, letter)]
    while letter:
        k = j
        while t.word(k) in (",", "and", "&", "/", "+"):
            k += 1
        if k > j and t.word(k) == word:
            k += 1
        further = _meal(t, k) if k > j else None
        if further is None or not further[0]:
            break
        codes.append(_code(prefix, further[0]))
        j = further[2]
    return _occasions(codes, offset), j


def _occasions(codes: list[str], offset: int | None, generic: bool = True) -> dict[str, Any]:
    if codes[0] in ("C", "AC", "PC"):
        repeat: dict[str, Any] = {"when": codes}
        if generic:
            repeat = every(1, "d", times=_GENERIC_TIMES) | repeat
    else:
        repeat = daily_at(*dict.fromkeys(codes))
    # FHIR's tim-9: no offset from a meal itself, only from before or after it.
    if offset and all(code[0] in "AP" for code in codes):
        repeat["offset"] = offset
    return repeat


def offset_at(t: Tokens, i: int) -> Occasion | None:
    """`30 minutes before breakfast`, `1 hour after meals`, `2 hours before bedtime`."""
    amount = number_range(t, i)
    if amount is None and t.word(i) in ("an", "a") and t.word(i + 1) == "hour":
        amount = (Decimal(1), None, i + 1)
    if amount is None:
        return None
    low, high, j = amount
    if t.word(j) == "-":
        j += 1
    unit = time_unit(t, j)
    if unit is None or unit[0] not in _MINUTES:
        return None
    minutes = positive_int(low * _MINUTES[unit[0]]) if high is None else None
    j = unit[1]
    if t.word(j) not in ("before", "after", "prior", "ac", "pc", "following"):
        return None
    meal = meal_at(t, j, minutes)
    if meal is not None:
        return meal
    if t.word(j) in ("before", "prior"):
        k = j + 2 if t.word(j + 1) in ("to", "going") else j + 1
        if t.word(k) == "to":
            k += 1
        if t.word(k) in ("bedtime", "bed", "sleep", "hs"):
            repeat = daily_at("HS")
            if minutes:
                repeat["offset"] = minutes
            return repeat, k + 1
    return None


_NOON, _HOURS, _MINUTES_OF_HOUR = 12, 24, 60
_FOUR_DIGITS = 4


def _clock(t: Tokens, i: int, stated: bool) -> tuple[str, int] | None:
    """`8 am`, `8:30pm`, `0800`, `20:00` at `i`; `stated` by an `at` before it."""
    hour = t.value(i)
    digits = t.word(i)
    if hour is None or not digits.isdigit():
        return None
    j, minute, told = i + 1, 0, stated
    colon = t.word(j) == ":" and t.glued(j) and t.glued(j + 1) and len(t.word(j + 1)) == 2
    if colon and t.word(j + 1).isdigit():
        minute, j, told = int(t.word(j + 1)), j + 2, True
    elif len(digits) == _FOUR_DIGITS and (stated or t.word(j) in ("hrs", "hours", "h")):
        hour, minute = Decimal(digits[:2]), int(digits[2:])
        if t.word(j) in ("hrs", "hours", "h"):
            j += 1
        return _time(int(hour), minute, j)
    half = t.word(j)
    if half in ("am", "pm") and (told or t.glued(j)):
        if not 1 <= hour <= _NOON:
            return None
        return _time(int(hour) % _NOON + (_NOON if half == "pm" else 0), minute, j + 1)
    return _time(int(hour), minute, j) if colon else None


def _time(hour: int, minute: int, j: int) -> tuple[str, int] | None:
    if hour >= _HOURS or minute >= _MINUTES_OF_HOUR:
        return None
    return f"{hour:02d}:{minute:02d}:00", j


def clock_at(t: Tokens, i: int) -> Occasion | None:
    """`at 8 am and 8 pm`, `0800 & 2000`: hours of the clock, once a day at each."""
    stated = t.word(i) in ("at", "@")
    found = _clock(t, i + 1 if stated else i, stated)
    if found is None:
        return None
    times, j = [found[0]], found[1]
    while True:
        k = j
        while t.word(k) in (",", "and", "&", "at", "/", "+"):
            k += 1
        further = _clock(t, k, stated) if k > j else None
        if further is None:
            break
        times.append(further[0])
        j = further[1]
    return every(1, "d", times=len(times)) | {"timeOfDay": list(dict.fromkeys(times))}, j
