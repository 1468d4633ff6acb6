"""Durations, phases of a course, counts, and the most that may be taken."""

from decimal import Decimal
from typing import Any

from nlp.dosage.amounts import amount_at, quantity
from nlp.dosage.frequencies import days_a_week_at
from nlp.dosage.numbers import number, number_range, positive_int
from nlp.dosage.parts import (
    DOSE,
    DURATION,
    FREQUENCY,
    INFUSED_OVER,
    MAX_DOSE,
    PHASE,
    RATE,
    Part,
    every,
)
from nlp.dosage.phrases import phrase_at
from nlp.dosage.tokens import Tokens, word_set
from nlp.dosage.units import UNITS, time_unit

Found = tuple[Part, int]
_LONG = frozenset(("h", "d", "wk", "mo", "a"))
_NO_DURATION = frozenset(("old", "ago", "prior", "before", "after", "on", "off"))
_SHARES = {"7": "d", "52": "wk", "12": "mo"}
_FILLERS = word_set("the next another a an total of additional approximately about up to full")


def _length(t: Tokens, i: int) -> tuple[dict[str, Any], int] | None:
    """`10 days`, `3-5 d`, `two weeks`, `a week`, `5/7`: value, high, unit."""
    if t.word(i) in ("a", "an", "one") and (unit := time_unit(t, i + 1)) is not None:
        return {"value": Decimal(1), "unit": unit[0]}, unit[1]
    share = _SHARES.get(t.word(i + 2)) if t.word(i + 1) == "/" and t.glued(i + 1) else None
    days = t.value(i)
    if share is not None and days is not None:
        return {"value": days, "unit": share}, i + 3
    amount = number_range(t, i)
    if amount is None:
        return None
    low, high, j = amount
    while t.word(j) in ("-", "more", "additional", "full", "consecutive", "total", "further"):
        j += 1
    unit = ("d", j + 1) if t.word(j) in ("night", "nights") else time_unit(t, j)
    if unit is None or low <= 0 or unit[0] == "s":
        return None
    found: dict[str, Any] = {"value": low, "unit": unit[0]}
    if high is not None:
        found["high"] = high
    return found, unit[1]


def duration_at(t: Tokens, i: int) -> Found | None:
    """`for 10 days`, `x3d`, `for up to 2 weeks`, `10-day course`; a count for `x 3 doses`."""
    word = t.word(i)
    if word in ("for", "x", "times", "during", "over", "por", "durante") or (
        word == "*" and t.value(i + 1)
    ):
        return _after_for(t, i)
    if word == "up" and t.word(i + 1) == "to":
        length = _length(t, i + 2)
        if length is not None and length[0]["unit"] in _LONG:
            value = {"high": length[0]["value"], "unit": length[0]["unit"]}
            return Part(DURATION, t.begins[i], t.ends[length[1] - 1], value), length[1]
        return _count_at_most(t, i)
    length = _length(t, i)
    if length is None:
        return None
    value, j = length
    if t.word(j) in (
        "course",
        "regimen",
        "taper",
        "total",
        "treatment",
        "duration",
        "burst",
        "pulse",
    ):
        return Part(DURATION, t.begins[i], t.ends[j], value), j + 1
    return None


def _count_at_most(t: Tokens, i: int) -> Found | None:
    """`up to 3 doses`."""
    amount = number(t, i + 2)
    most = positive_int(amount[0]) if amount is not None else None
    if amount is None or most is None or t.word(amount[1]) not in ("doses", "dose"):
        return None
    j = amount[1] + 1
    if _denominator(t, j) is not None:
        return None
    repeat = {"count": most} if most == 1 else {"count": 1, "countMax": most}
    return Part(FREQUENCY, t.begins[i], t.ends[j - 1], {"repeat": repeat}), j


def _after_for(t: Tokens, i: int) -> Found | None:
    j = i + 1
    at_most = False
    while t.word(j) in _FILLERS:
        if t.word(j) == "to" and t.word(j - 1) == "up":
            at_most = True
        if t.word(j) in ("a", "an") and time_unit(t, j + 1) is not None:
            break
        j += 1
    weekly = days_a_week_at(t, j)
    if weekly is not None:
        value: dict[str, Any] = {"repeat": weekly[0]}
        return Part(FREQUENCY, t.begins[i], t.ends[weekly[1] - 1], value), weekly[1]
    length = _length(t, j)
    if length is None:
        if j > i + 1 and time_unit(t, j) is not None and t.word(j - 1) in ("next", "another"):
            unit = time_unit(t, j)
            if unit is not None:
                value = {"value": Decimal(1), "unit": unit[0]}
                return Part(DURATION, t.begins[i], t.ends[unit[1] - 1], value), unit[1]
        return _count_after(t, i, j)
    value, j = length
    unit = value["unit"]
    if t.word(i) == "over" and (unit in ("min", "h")):
        return Part(INFUSED_OVER, t.begins[i], t.ends[j - 1], value), j
    if t.word(i) == "over" or unit not in _LONG or t.word(j) in _NO_DURATION:
        return None
    if at_most and "high" not in value:
        value = {"high": value["value"], "unit": unit}
    if t.word(j) in ("only", "total", "course"):
        j += 1
    return Part(DURATION, t.begins[i], t.ends[j - 1], value), j


def _count_after(t: Tokens, i: int, j: int) -> Found | None:
    """`x 3 doses`, `for 2 doses`, `x 3`: how often in all."""
    if t.word(i) in ("over", "during"):
        return None
    amount = number_range(t, j)
    if amount is None:
        return None
    low, high = positive_int(amount[0]), positive_int(amount[1])
    k = amount[2]
    if low is None:
        return None
    if t.word(k) in ("more", "additional", "total"):
        k += 1
    if t.word(k) in ("doses", "dose", "treatments", "applications", "infusions", "injections"):
        k += 1
    elif (
        t.word(i) != "x"
        or t.word(k) in ("times", "%", "/")
        or low > 10
        or (k < len(t) and (t.word(k) == "(" or not _may_follow_a_count(t, k)))
    ):
        return None
    repeat: dict[str, Any] = {"count": low}
    if high is not None:
        repeat["countMax"] = high
    return Part(FREQUENCY, t.begins[i], t.ends[k - 1], {"repeat": repeat}), k


def _may_follow_a_count(t: Tokens, k: int) -> bool:
    """Whether `x 3` is over at `k`: behind it stands a sign or a word that begins another part."""
    word = t.word(k)
    if not word.isalpha():
        return word in (",", ".", ";", ")", "/", "-")
    return phrase_at(t, k) is not None or word in ("and", "for", "q", "over", "max", "if", "at")


_BEHIND_A_COUNT = frozenset(("on", "x", "for", "at", "in", "daily", "bid", "tid", "po", "by", "qd"))
_PHASE_WORDS = {
    "day": "d", "days": "d", "week": "wk", "weeks": "wk", "wk": "wk", "wks": "wk",
    "month": "mo", "months": "mo",
}  # fmt: skip


def phase_at(t: Tokens, i: int) -> Found | None:
    """`on day 1`, `days 2-5`, `week 1`, `days 1, 8 and 15`, `for the first week`, `day 6 onward`.

    The value has `first` and `last` (None where it goes on) of `unit`, or the `listed` numbers.
    """
    j = i
    while t.word(j) in ("on", "for", "during", "the", "in", "over", "x", "at"):
        j += 1
    if t.word(j) == "first":
        return _first(t, i, j + 1)
    unit = _PHASE_WORDS.get(t.word(j))
    if unit is None or t.word(j - 1) in ("a", "per", "every", "each", "/"):
        return None
    j += 1
    while t.word(j) in ("#", "s", "."):
        j += 1
    first = number(t, j)
    if first is None or t.glued(j) is None or positive_int(first[0]) is None:
        return None
    numbers, j = [int(first[0])], first[1]
    last: int | None = numbers[0]
    if t.word(j) in ("-", "to", "through", "thru"):
        k = j + 1
        if t.word(k) in _PHASE_WORDS:
            k += 1
        top = number(t, k)
        if top is None or (upper := positive_int(top[0])) is None or upper <= numbers[0]:
            return None
        last, j = upper, top[1]
    else:
        while t.word(j) in (",", "and", "&", "+", "/"):
            k = j
            while t.word(k) in (",", "and", "&", "+", "/"):
                k += 1
            again = t.word(k) in _PHASE_WORDS
            k += again
            more = number(t, k)
            value = positive_int(more[0]) if more is not None else None
            if more is None or value is None or value <= numbers[-1]:
                break
            counts = _counts_something(t, more[1]) or t.word(more[1]) in _BEHIND_A_COUNT
            if counts and not again:
                break  # `on day 1, 5 on day 2`: the five are tablets.
            numbers.append(value)
            j = more[1]
    if t.word(j) in ("onward", "onwards", "on", "+") or t.words[j : j + 2] in (
        ["and", "beyond"], ["and", "onward"], ["and", "after"], ["and", "on"],
        ["and", "thereafter"], ["and", "onwards"],
    ):  # fmt: skip
        j += 2 if t.word(j) == "and" else 1
        last = None
    elif _counts_something(t, j) and len(numbers) == 1 and last == numbers[0]:
        return None
    value_of: dict[str, Any] = {"unit": unit, "first": numbers[0], "last": last}
    if len(numbers) > 1:
        value_of = {"unit": unit, "listed": numbers}
    cycle = _cycle(t, j)
    if cycle is not None:
        value_of["cycle"], j = cycle
    return Part(PHASE, t.begins[i], t.ends[j - 1], value_of), j


def _cycle(t: Tokens, j: int) -> tuple[dict[str, Any], int] | None:
    """`of a 21-day cycle` behind the days of it."""
    if t.word(j) not in ("of", "in", "each", "every"):
        return None
    while t.word(j) in ("of", "in", "a", "an", "each", "every", "the"):
        j += 1
    length = number(t, j)
    if length is None:
        return None
    j = length[1] + 1 if t.word(length[1]) == "-" else length[1]
    unit = time_unit(t, j)
    if unit is None or unit[0] not in ("d", "wk"):
        return None
    j = unit[1]
    if t.word(j) not in ("cycle", "cycles"):
        return None
    return every(length[0], unit[0]), j + 1


def _counts_something(t: Tokens, j: int) -> bool:
    """Whether the number before `j` is an amount: `day 2 tablets`."""
    return t.word(j) in UNITS and t.word(j) not in ("in", "d")


def _first(t: Tokens, i: int, j: int) -> Found | None:
    """`for the first week`, `first 3 days`, `on the first day`."""
    unit = time_unit(t, j)
    if unit is not None and unit[0] in ("d", "wk", "mo") and len(t.word(j)) > 1:
        value = {"unit": unit[0], "first": 1, "last": 1}
        return Part(PHASE, t.begins[i], t.ends[unit[1] - 1], value), unit[1]
    length = _length(t, j)
    if length is None or length[0]["unit"] not in ("d", "wk", "mo") or "high" in length[0]:
        return None
    last = positive_int(length[0]["value"])
    if last is None:
        return None
    value = {"unit": length[0]["unit"], "first": 1, "last": last}
    return Part(PHASE, t.begins[i], t.ends[length[1] - 1], value), length[1]


_TRIGGERS = tuple(
    tuple(words.split())
    for words in (
        "do not take more than", "do not use more than", "do not exceed", "don't exceed",
        "don't take more than", "not to exceed", "should not exceed", "must not exceed",
        "no more than", "not more than", "no greater than", "without exceeding", "not exceed",
        "never exceed", "do not give more than", "never more than", "maximum", "max", "mdd", "nte",
        "limit to", "limit", "up to a maximum", "up to a max", "up to maximum", "up to max",
        "to a maximum", "to a max", "up to a total", "dnes", "not exceeding", "to exceed",
    )
)  # fmt: skip
_TRIGGERS_BY_FIRST: dict[str, list[tuple[str, ...]]] = {}
for _words in sorted(_TRIGGERS, key=len, reverse=True):
    _TRIGGERS_BY_FIRST.setdefault(_words[0], []).append(_words)
_BEFORE_AMOUNT = word_set(
    "of is : = - a the total dose dosage daily recommended than . acetaminophen apap from all"
    " sources max maximum per day single amount 24 hour hr at no"
)


def _triggered(t: Tokens, i: int) -> int | None:
    for words in _TRIGGERS_BY_FIRST.get(t.word(i), ()):
        if tuple(t.words[i : i + len(words)]) == words:
            return i + len(words)
    return None


def _denominator(t: Tokens, j: int) -> tuple[Decimal, str, int] | None:
    """What the most is for: `per day`, `/24 h`, `in any 24 hour period`, `daily`, `per dose`."""
    if t.word(j) == "total" and t.word(j + 1) in ("per", "in", "daily", "/", "a"):
        j += 1
    if t.word(j) in ("daily", "qd"):
        return Decimal(1), "d", j + 1
    if t.word(j) in ("weekly",):
        return Decimal(1), "wk", j + 1
    if t.word(j) not in ("per", "/", "in", "a", "each", "every", "within", "q", "over", "during"):
        return None
    j += 1
    while t.word(j) in ("a", "any", "each", "the", "one", "single"):
        j += 1
    if t.word(j) in ("dose", "administration"):
        return Decimal(1), "dose", j + 1
    count = number(t, j)
    value = Decimal(1)
    if count is not None:
        value, j = count
        if t.word(j) == "-":
            j += 1
    unit = time_unit(t, j)
    if unit is None:
        return None
    j = unit[1]
    if t.word(j) in ("period", "periods"):
        j += 1
    return value, unit[0], j


def maximum_at(t: Tokens, i: int) -> tuple[Part | None, int] | None:
    """`max 4 g/day`, `no more than 8 tablets in 24 hours`, `not to exceed 3 doses per day`.

    The part is None where the words begin a limit that is not understood.
    """
    j = _triggered(t, i)
    if j is None:
        return _behind(t, i)
    daily = False
    while t.word(j) in _BEFORE_AMOUNT and number(t, j) is None:
        daily = daily or t.word(j) in ("daily", "day") or t.word(j) == "mdd"
        j += 1
    if t.word(j) == "24":
        while t.word(j) in _BEFORE_AMOUNT:
            j += 1
        daily = True
    daily = daily or t.word(i) == "mdd"
    found = _limit(t, j)
    if found is None:
        return None, i + 1
    value, j = found
    if t.word(j) in ("max", "maximum"):
        j += 1
    per = _denominator(t, j)
    if "per" in value:
        pass
    elif per is not None:
        value["per"], value["per_unit"], j = per
    elif value.pop("per_day", False) or daily:
        value["per"], value["per_unit"] = Decimal(1), "d"
    elif t.word(j - 1) == "dose" and t.word(j - 2) in ("/", "per"):
        value["per"], value["per_unit"] = Decimal(1), "dose"
    elif t.words[j : j + 3] == ["at", "a", "time"] or t.words[j : j + 2] == ["at", "once"]:
        value["per"], value["per_unit"] = Decimal(1), "dose"
        j += 3 if t.word(j + 1) == "a" else 2
    else:
        return None, i + 1
    value.pop("per_day", None)
    return Part(MAX_DOSE, t.begins[i], t.ends[j - 1], value), j


def _hourly(rate: dict[str, Any], k: int) -> tuple[dict[str, Any], int] | None:
    """`max 6 mg/hr`: a limit of an amount in a time."""
    unit, _, per = str(rate["unit"]).rpartition("/")
    if not unit:
        return None
    code = str(rate["code"]).rpartition("/")[0]
    limit = {"value": rate["value"], "unit": unit, "code": code}
    return limit | {"per": Decimal(1), "per_unit": per}, k


def _limit(t: Tokens, j: int) -> tuple[dict[str, Any], int] | None:
    amount = amount_at(t, j)
    if amount is not None:
        part, k = amount
        if part.kind not in (DOSE, RATE) or "high" in part.value or "value" not in part.value:
            return None
        if part.kind == RATE:
            return _hourly(part.value, k)
        return dict(part.value), k
    bare = number(t, j)
    if bare is None:
        return None
    value, k = bare
    if t.word(k) in ("times", "x"):
        return quantity(value, None, UNITS["dose"]), k + 1
    return {"value": value}, k


def _behind(t: Tokens, i: int) -> tuple[Part | None, int] | None:
    """`4 g max per day`, `8 tablets/day max`, `up to 6 tablets per day`."""
    upto = t.word(i) == "up" and t.word(i + 1) == "to"
    start = i + 2 if upto else i
    if number(t, start) is None:
        return None
    found = _limit(t, start)
    if found is None or "unit" not in found[0] or t.word(found[1] - 1) in ("times", "x"):
        return None
    value, j = found
    said = t.word(j) in ("max", "maximum")
    j += said
    per = _denominator(t, j) if t.word(j) not in ("every", "q", "each") else None
    if per is not None:
        value["per"], value["per_unit"], j = per
        if t.word(j) in ("max", "maximum"):
            said, j = True, j + 1
        value.pop("per_day", None)
    elif value.pop("per_day", False):
        value["per"], value["per_unit"] = Decimal(1), "d"
    else:
        return None
    if not (said or upto):
        return None
    return Part(MAX_DOSE, t.begins[i], t.ends[j - 1], value), j
