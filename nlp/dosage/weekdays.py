"""Days of the week: `MWF`, `Mon/Wed/Fri`, `Tuesdays and Thursdays`, `Monday through Friday`."""

from nlp.dosage.tokens import Tokens, word_set

WEEK = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
# How clinicians write sets of days: one `T` is Tuesday, the second Thursday, likewise with `S`.
_SETS = {
    "mwf": "mon wed fri", "tts": "tue thu sat", "tths": "tue thu sat", "tuthsa": "tue thu sat",
    "tthsa": "tue thu sat", "ttsa": "tue thu sat", "ttss": "tue thu sat sun",
    "tthss": "tue thu sat sun", "tthssu": "tue thu sat sun", "tthsasu": "tue thu sat sun",
    "tuthsasu": "tue thu sat sun", "tth": "tue thu", "tuth": "tue thu", "tuthsat": "tue thu sat",
    "mwfsu": "mon wed fri sun", "mwfs": "mon wed fri sat", "mwfsa": "mon wed fri sat",
    "mtwthf": "mon tue wed thu fri", "mtwrf": "mon tue wed thu fri", "mtwtf": "mon tue wed thu fri",
    "mf": "mon fri", "wf": "wed fri", "mw": "mon wed", "mth": "mon thu", "tf": "tue fri",
    "trs": "tue thu sat", "tr": "tue thu", "mwthf": "mon wed thu fri", "sasu": "sat sun",
}  # fmt: skip
_LETTERS = word_set("m t w th f s sa su tu r tr")
_MIN_LETTERS = 2
_NAMES = {
    name: day
    for day, names in (
        ("mon", "mon monday mondays mons"),
        ("tue", "tue tues tuesday tuesdays"),
        ("wed", "wed weds wednesday wednesdays"),
        ("thu", "thu thur thurs thursday thursdays"),
        ("fri", "fri friday fridays"),
        ("sat", "sat saturday saturdays sats"),
        ("sun", "sun sunday sundays suns"),
    )
    for name in names.split()
}
_GROUPS = {
    "weekdays": WEEK[:5], "weekday": WEEK[:5], "weekends": WEEK[5:], "weekend": WEEK[5:],
}  # fmt: skip
OTHER_DAYS = "other"
_OTHERS = tuple(
    tuple(words.split())
    for words in (
        "on all the other days", "all the other days", "on all other days", "all other days",
        "on the other days", "the other days", "on other days", "other days",
        "on the remaining days", "the remaining days", "remaining days", "on remaining days",
        "on all remaining days", "all remaining days", "rest of the week",
        "the rest of the week", "rest of week", "on the rest", "the rest of the days",
        "the remainder of the week", "all others", "every other day of the week",
        "the other days of the week", "on the other days of the week", "other days of the week",
        "all other days of the week", "on all other days of the week", "on other days of the week",
        "the other 2 days", "the other 3 days", "the other 4 days", "the other 5 days",
        "the other 6 days", "other 4 days", "other 5 days", "other 6 days", "other 3 days",
        "on the other four days", "on the other five days", "the rest", "days other than that",
    )
)  # fmt: skip
_BY_LENGTH = tuple(sorted(_OTHERS, key=len, reverse=True))

Days = tuple[list[str], int]


def _capital(t: Tokens, i: int) -> bool:
    return t.text[t.begins[i] : t.begins[i] + 1].isupper()


def _set_of_letters(t: Tokens, i: int) -> Days | None:
    """`MWF`, `M/W/F`, `T,Th,Sa`: capitals, or behind `on` and `every`."""
    word = t.word(i)
    if word in _SETS:
        known = _capital(t, i) or t.word(i - 1) in ("on", "every", "q")
        return (_SETS[word].split(), i + 1) if known else None
    if word not in _LETTERS or not _capital(t, i):
        return None
    letters, j = word, i + 1
    count = 1
    while t.word(j) in ("/", ",", "-", "&", "and") and t.word(j + 1) in _LETTERS:
        if not _capital(t, j + 1) or (t.word(j) == "-" and count == 1 and _is_span(t, i)):
            break
        letters += t.word(j + 1)
        j += 2
        count += 1
    if count < _MIN_LETTERS and t.word(j) == "-" and _is_span(t, i):
        return list(WEEK[:5]), j + 2
    days = _SETS.get(letters)
    return (days.split(), j) if days and count >= _MIN_LETTERS else None


def _is_span(t: Tokens, i: int) -> bool:
    """`M-F`: Monday to Friday, where no third day follows."""
    return t.word(i) == "m" and t.word(i + 2) == "f" and t.word(i + 3) not in ("-", "/")


def _name(t: Tokens, i: int) -> str | None:
    return _NAMES.get(t.word(i))


def days_at(t: Tokens, i: int) -> Days | None:
    """The days named at `i`, `on` and `every` before them included."""
    j = i
    if t.word(j) in ("on", "every", "each", "q") and j + 1 < len(t):
        j += 1
    if t.word(j) == "the":
        j += 1
    if j >= len(t):
        return None
    group = _GROUPS.get(t.word(j))
    if group is not None:
        return list(group), j + 1
    found = _set_of_letters(t, j)
    if found is not None:
        return found
    if t.word(j)[:1] == "q" and t.word(j)[1:] in _SETS:
        return _SETS[t.word(j)[1:]].split(), j + 1
    if t.word(j)[:1] == "q" and t.word(j)[1:] in _NAMES:
        return [_NAMES[t.word(j)[1:]]], j + 1
    return _named(t, j)


def _named(t: Tokens, j: int) -> Days | None:
    first = _name(t, j)
    if first is None:
        return None
    days, j = [first], _dotted(t, j + 1)
    if t.word(j) in ("-", "through", "thru", "to") and (last := _name(t, j + 1)) is not None:
        low, high = WEEK.index(first), WEEK.index(last)
        if low < high:
            return list(WEEK[low : high + 1]), _dotted(t, j + 2)
    while True:
        k = j
        while t.word(k) in (",", "/", "&", "and", "+", "-", "or", "every", "on"):
            k += 1
        following = _name(t, k)
        if following is None:
            return list(dict.fromkeys(days)), j
        days.append(following)
        j = _dotted(t, k + 1)


def _dotted(t: Tokens, i: int) -> int:
    """Behind `Mon.` of a list: the full stop of a shortened name."""
    stop = t.word(i) == "." and len(t.word(i - 1)) <= len("thurs")
    return i + 1 if stop and t.glued(i) and t.word(i + 1) in ("", ",", "/", "and", "&") else i


def other_days_at(t: Tokens, i: int) -> int | None:
    """The place behind `all other days`, `the rest of the week`."""
    for words in _BY_LENGTH:
        j = i + len(words)
        if tuple(t.words[i:j]) == words:
            return j
    return None


def days_without(t: Tokens, i: int) -> Days | None:
    """`except Sunday`, `every day except Mon and Thu`, `but not on Wednesdays`."""
    j = i
    if t.word(j) in ("daily", "every", "each"):
        j += 1 if t.word(j) == "daily" else 2
    if t.word(j) == "," and t.word(j + 1) == "except":
        j += 1
    if t.word(j) not in ("except", "excluding") or j + 1 >= len(t):
        return None
    j += 1
    if t.word(j) in ("on", "for"):
        j += 1
    named = _named(t, j) if j < len(t) else None
    if named is None:
        return None
    return [day for day in WEEK if day not in named[0]], named[1]
