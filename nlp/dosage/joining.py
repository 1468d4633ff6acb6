"""Two frequencies said of one dose: `twice daily with meals`, `every night at bedtime`."""

from decimal import Decimal
from typing import Any

_GENERIC = frozenset(("C", "AC", "PC"))
_MEALS = 3
# The same moment said twice: the second, finer code stands.
_FINER = {
    "NIGHT": frozenset(("HS",)),
    "HS": frozenset(("NIGHT",)),
    "MORN": frozenset(("CM", "ACM", "PCM", "WAKE")),
    "EVE": frozenset(("CV", "ACV", "PCV", "HS", "NIGHT")),
    "NOON": frozenset(("CD", "ACD", "PCD")),
    "WAKE": frozenset(("ACM",)),
}

Repeat = dict[str, Any]


def is_daily(repeat: Repeat) -> bool:
    """Whether it is so many times a day, at whatever occasions."""
    return repeat.get("period") == Decimal(1) and repeat.get("periodUnit") == "d"


def is_long(repeat: Repeat) -> bool:
    """Whether it recurs after several days or more, as a cycle of chemotherapy does."""
    unit, period = repeat.get("periodUnit"), repeat.get("period", Decimal(1))
    return (unit == "d" and period > 1) or unit in ("wk", "mo", "a")


def _plain(repeat: Repeat) -> bool:
    return not {"when", "timeOfDay", "dayOfWeek", "offset"} & set(repeat)


def join(first: Repeat, second: Repeat, *, together: bool) -> Repeat | None:
    """Both as one frequency, or None where they contradict.

    `together` says that an `and` or comma stands between them: `every morning and at bedtime` is
    twice a day, `every night at bedtime` once.
    """
    for read in (_counted, _days_a_week, _days, _food, _clock, _meals, _occasions, _same):
        joined = read(dict(first), dict(second), together)
        if joined is not None:
            return joined
    return None


def _counted(first: Repeat, second: Repeat, together: bool) -> Repeat | None:
    if "count" in second and len(second) <= 2 and "count" not in first:
        return first | second
    if "count" in first and len(first) <= 2:
        return second | first
    return None


def _days_a_week(first: Repeat, second: Repeat, together: bool) -> Repeat | None:
    """`once daily 5 days a week`, either way round."""
    for daily, weekly in ((first, second), (second, first)):
        once = is_daily(daily) and daily.get("frequency") == 1
        if once and weekly.get("periodUnit") == "wk" and weekly.get("frequency", 1) > 1:
            return daily | weekly
    return None


def _days(first: Repeat, second: Repeat, together: bool) -> Repeat | None:
    if set(second) == {"dayOfWeek"} or set(second) == {"dayOfWeek", "when"}:
        if "other" in second["dayOfWeek"] or first.get("periodUnit") == "h":
            return None
        if "dayOfWeek" in first:
            both = [*first["dayOfWeek"], *second["dayOfWeek"]]
            return first | {"dayOfWeek": list(dict.fromkeys(both))}
        return first | {k: v for k, v in second.items() if k not in first}
    if set(first) <= {"dayOfWeek", "when"} and "dayOfWeek" in first:
        if "dayOfWeek" in second and second.get("periodUnit") != "wk":
            return None
        return second | first
    return None


def _food(first: Repeat, second: Repeat, together: bool) -> Repeat | None:
    """`with food` tells no time where an occasion is told already."""
    if second.get("food"):
        if "when" in first or "timeOfDay" in first:
            return first | {"food": True}
        return first | second
    if first.get("food"):
        if "when" in second or "timeOfDay" in second:
            return second | {"food": True}
        return first | second
    return None


def _clock(first: Repeat, second: Repeat, together: bool) -> Repeat | None:
    """An hour of the clock excludes an occasion (FHIR's tim-10) and is the finer of the two."""
    if "timeOfDay" in second and is_daily(first):
        if "timeOfDay" in first:
            times = list(dict.fromkeys([*first["timeOfDay"], *second["timeOfDay"]]))
            return first | {"timeOfDay": times, "frequency": len(times)}
        if "when" in first and together:
            return None
        often = max(first.get("frequency", 1), second["frequency"])
        kept = {k: v for k, v in first.items() if k not in ("when", "offset")}
        return kept | {"frequency": often, "timeOfDay": second["timeOfDay"]}
    if "timeOfDay" in first and is_daily(second):
        if set(second.get("when", ())) & _GENERIC or ("when" in second and together):
            return None
        return first
    return None


def _meals(first: Repeat, second: Repeat, together: bool) -> Repeat | None:
    """All meals, beside a frequency of its own: `TID AC`, `with meals and at bedtime`."""
    theirs, ours = second.get("when", []), first.get("when", [])
    if set(theirs) & _GENERIC and not set(ours) & _GENERIC:
        if ours:
            if not together:
                return None
            return first | {"when": [*ours, *theirs], "frequency": len(ours) + _MEALS}
        return first | {k: v for k, v in second.items() if k in ("when", "offset")}
    if set(ours) & _GENERIC and not set(theirs) & _GENERIC:
        if theirs and together and "offset" not in first:
            meals = first.get("frequency", _MEALS)
            often = meals + len(theirs) if meals <= _MEALS else meals
            return first | {"when": [*ours, *theirs], "frequency": often}
        if not theirs and is_daily(second):
            return first | second
    return None


def _occasions(first: Repeat, second: Repeat, together: bool) -> Repeat | None:
    theirs, ours = second.get("when"), first.get("when")
    if theirs is None and ours is None:
        return None
    if ours is None and theirs is not None:
        if not is_daily(first):
            long = is_long(first) and len(theirs) == 1
            extra = {k: v for k, v in second.items() if k in ("when", "offset")}
            return first | extra if long else None
        often = first.get("frequency", 1)
        if together and len(theirs) != often and often > 1:
            return None
        if often == 1:
            first["frequency"] = len(theirs)
        extra = {k: v for k, v in second.items() if k in ("when", "offset")}
        return first | extra
    if theirs is None:
        if is_daily(second):
            if second.get("frequency", 1) in (1, len(ours or ())):
                return first
            return first | {"frequency": second["frequency"]}
        return second | {"when": ours} if is_long(second) and len(ours or ()) == 1 else None
    if not (is_daily(first) and is_daily(second)) or ours is None:
        return None
    finer = _same_moment(ours, theirs)
    if finer is not None and not (together and "HS" in theirs and "EVE" in ours):
        offsets = {k: v for k, v in (first | second).items() if k == "offset"}
        return first | {"when": finer} | offsets
    if not together or "offset" in first or "offset" in second:
        return None
    union = list(dict.fromkeys([*ours, *theirs]))
    return first | {"when": union, "frequency": len(union)}


def _same_moment(ours: list[str], theirs: list[str]) -> list[str] | None:
    if ours == theirs:
        return ours
    if len(ours) != 1 or len(theirs) != 1:
        return None
    first, second = ours[0], theirs[0]
    if {first, second} == {"HS", "NIGHT"}:
        return ["HS"]
    if second in _FINER.get(first, ()):
        return theirs
    if first in _FINER.get(second, ()):
        return ours
    return None


def _same(first: Repeat, second: Repeat, together: bool) -> Repeat | None:
    """`BID (every 12 hours)`, `one tablet a day, once daily`: said twice."""
    if not (_plain(first) and _plain(second)):
        return None
    if _per_day(first) is not None and _per_day(first) == _per_day(second):
        return first
    if first == second:
        return first
    once = second.get("frequency") == 1 and is_daily(second) and is_daily(first)
    return first if once and not together else None


_HOURS = {"h": 24, "min": 1440, "d": 1}


def _per_day(repeat: Repeat) -> Decimal | None:
    unit = repeat.get("periodUnit")
    if unit not in _HOURS or "periodMax" in repeat or "frequencyMax" in repeat:
        return None
    return Decimal(repeat.get("frequency", 1)) * _HOURS[unit] / repeat["period"]
