"""One test's results: what stands behind its name, up to the next finding or the end of the line.

`read` skips words that only link (`was`, `level of`, `improved to`), collects flags, reference
ranges and dates on the way, and takes the first number (or result in words) that can be the
test's. A trend (`1.2 -> 1.8`, `from 9.2 to 7.1`) gives its newest value; the older ones are
results too where they are dated.
"""

import re
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from nlp.mention import Attribute
from nlp.results import interpretation, qualitative, wording
from nlp.results.result_dates import DATE, NOTE, value_of
from nlp.results.units import Fit, fitting_unit, is_doubtful
from nlp.terminology import Term

SCORE = "{score}"
_RANGED_NAMES = ("glucose", "fasting glucose", "fingerstick glucose")
_MAX_STEPS = 12
_COMPARATORS = {
    "<": "<", ">": ">", "≤": "<=", "≥": ">=", "<=": "<=", ">=": ">=", "=<": "<=", "=>": ">=",
    "less than": "<", "greater than": ">", "more than": ">", "under": "<", "below": "<",
    "above": ">", "over": ">", "at least": ">=", "up to": "<=",
}  # fmt: skip


@dataclass(slots=True)
class _State:
    """What was read on the way to a value."""

    content: dict[str, Any] = field(default_factory=dict)
    extras: list[Attribute] = field(default_factory=list)
    flag_span: tuple[int, int] | None = None
    flag_name: str | None = None
    shows: bool = False  # A verb was read behind which another finding may stand.


def _extra(text: str, type_: str, begin: int, end: int, value: Any) -> Attribute:
    while begin < end and text[begin] in " ,;|(\t[-":
        begin += 1
    while end > begin and text[end - 1] in " )],;|\t":
        end -= 1
    return Attribute(type_, text[begin:end], begin, end, 1.0, value)


def _take_date(text: str, pos: int, end: int, state: _State) -> int | None:
    blanks = pos
    while blanks < end and text[blanks] in " ,;":
        blanks += 1
    match = DATE.match(text, blanks, end)
    if match is None or match.end() == match.start():
        return None
    found = value_of(match)
    if state.content.setdefault("date", found) == found:
        state.extras.append(_extra(text, "TEST_DATE", match.start(), match.end(), {"date": found}))
    return match.end()


def _take_reference(text: str, pos: int, end: int, term: Term | None, state: _State) -> int | None:
    if term is not None and term.type == "VITAL":
        return None  # Behind a vital sign `(80-110)` is what was seen over the day.
    found = interpretation.reference_range(text, pos, end)
    if found is None:
        return None
    limits, match = found
    value = state.content.get("value")
    if value is not None and not _comparable(limits, value):
        return None
    state.content["reference"] = limits
    state.extras.append(_extra(text, "REFERENCE_RANGE", match.start(), match.end(), limits))
    if match["unit"] and state.content.get("unitWritten") is False:
        code = fitting_unit(term, value, match["unit"]) if value is not None else Fit(False)
        if code.fits and code.code is not None:
            state.content |= {"code": code.code, "unit": match["unit"], "unitWritten": True}
    return match.end()


_FAR = 1000


def _comparable(limits: dict[str, Any], value: Decimal) -> bool:
    """Whether a range can be the reference of a value: not of quite another order."""
    bound = limits.get("high", limits.get("low"))
    return bound is not None and (bound == 0 or value == 0 or bound / _FAR < value < bound * _FAR)


def _set_flag(text: str, match: re.Match[str], offset: int, state: _State) -> None:
    code = interpretation.code_of(match)
    state.content["interpretation"] = code
    group = next(name for name, found in match.groupdict().items() if found)
    state.flag_span = (offset + match.start(group), offset + match.end(group))
    state.flag_name = {"H": "high", "L": "low", "N": "normal", "A": "abnormal"}.get(code)
    state.extras.append(_extra(text, "TEST_FLAG", *state.flag_span, {"code": code}))


def _lead(text: str, pos: int, end: int, term: Term | None, state: _State) -> int | None:
    """Past one thing that may stand between a name and its value; None at anything else."""
    after = _take_date(text, pos, end, state)
    if after is not None:
        return after
    match = interpretation.WORD_FLAG.match(text, pos, end)
    if match is not None:
        _set_flag(text, match, 0, state)
        return match.end()
    match = wording.SKIP.match(text, pos, end)
    if match is not None and match.end() > pos:
        state.shows = state.shows or wording.SHOWS.fullmatch(match.group()) is not None
        return match.end()
    match = wording.PAREN.match(text, pos, end)
    if match is not None:
        after = _take_reference(text, pos, end, term, state)
        if after is None:
            flag = interpretation.flag_after(text, pos, match.end(), next_is_test=False)
            if flag is not None:
                _set_flag(text, flag, 0, state)
            else:
                _take_date(text, match.start("inside"), match.end("inside"), state)
        return max(after or 0, match.end())
    bare = interpretation._BARE_LETTER.match(text, pos, end)
    if bare is not None:
        _set_flag(text, bare, 0, state)
        return bare.end()
    return None


def _tail(
    text: str, pos: int, end: int, term: Term | None, state: _State, *, next_is_test: bool
) -> int:
    """Past what stands behind a value and is about it."""
    serial = wording.SERIAL.match(text, pos, end)
    if serial is not None:
        pos = serial.end()
    for _ in range(_MAX_STEPS):
        if wording.OLDER.match(text, pos, end):
            state.content.setdefault("date", NOTE)
            return pos
        after = None
        if "reference" not in state.content:
            after = _take_reference(text, pos, end, term, state)
        if after is None and "interpretation" not in state.content:
            flag = interpretation.flag_after(text, pos, end, next_is_test=next_is_test)
            if flag is not None:
                _set_flag(text, flag, 0, state)
                after = flag.end()
        if after is None and "date" not in state.content:
            after = _take_date(text, pos, end, state)
        if after is None or after <= pos:
            return pos
        pos = after
    return pos


def _score_end(text: str, pos: int, end: int, term: Term | None) -> int | None:
    """The end of what a score is out of: `8/10`, `24 out of 30`."""
    if term is None or not any(unit.ucum == SCORE for unit in term.units):
        return None
    match = wording.OUT_OF.match(text, pos, end)
    if match is None or not any(unit.high == int(match["most"]) for unit in term.units):
        return None
    return match.end()


def _number(
    text: str, pos: int, end: int, term: Term | None
) -> tuple[dict[str, Any], re.Match[str], int] | None:
    """The number at `pos` as this test's value: its content, its match and where it ends."""
    match = wording.VALUE.match(text, pos, end)
    if match is None:
        return None
    if term is not None and not term.units:
        return None  # A panel, a culture, a tracing: no one number is its result.
    value = Decimal(match["value"].replace(",", ""))
    if match["value"].startswith("-") and not any(
        unit.low is not None and unit.low < 0 for unit in (term.units if term else ())
    ):
        return None
    written, stop = match["unit"], match.end()
    fit = fitting_unit(term, value, written)
    if written is not None and not fit.fits and is_doubtful(written):
        written, stop = None, match.end("value")
        fit = fitting_unit(term, value, None)
    if not fit.fits:
        return None
    out_of = _score_end(text, stop, end, term)
    if out_of is not None:
        stop = out_of
    elif written is None:
        if wording.REST.match(text, stop, end) and not wording.SERIAL.match(text, stop, end):
            return None
        if wording.AFTER_REFUSED.match(text, stop, end):
            return None
    elif wording.JOINED.match(text, stop, end):
        return None
    if fit.code == "[lb_av]":
        ounces = wording.OUNCES.match(text, stop, end)
        if ounces is not None:
            value, stop = value + Decimal(ounces["ounces"]) / 16, ounces.end()
    content: dict[str, Any] = {"value": value}
    if match["cmp"]:
        content["comparator"] = _COMPARATORS[re.sub(r"\s+", " ", match["cmp"].lower())]
    if fit.code is not None:
        content |= {"code": fit.code, "unit": written or fit.code}
    content["unitWritten"] = written is not None
    return content, match, stop


def _ranged(
    text: str, pos: int, end: int, term: Term | None
) -> tuple[dict[str, Any], int, int] | None:
    """The range at `pos` (`35-40%`), of what is measured at the bedside or estimated.

    In a laboratory report `12-16` behind a name is the reference range, not a result.
    """
    if term is None or (term.type not in ("VITAL", "FUNCTION") and term.name not in _RANGED_NAMES):
        return None
    match = wording.RANGE.match(text, pos, end)
    if match is None or wording.AFTER_REFUSED.match(text, match.end(), end):
        return None
    low, high = (Decimal(match[name].replace(",", "")) for name in ("low", "high"))
    written = match["unit"]
    if written is not None and is_doubtful(written):
        written = None  # `140 to 200 in the morning`
    one, other = (fitting_unit(term, bound, written) for bound in (low, high))
    if not (one.fits and other.fits and low < high and one.code == other.code):
        return None
    content: dict[str, Any] = {"value": low, "high": high, "unitWritten": one.written}
    if one.code is not None:
        content |= {"code": one.code, "unit": written or one.code}
    stop = _score_end(text, match.end(), end, term) or match.end()
    return content, match.start("low"), stop


def _titre(match: re.Match[str]) -> tuple[dict[str, Any], int, int, None]:
    content: dict[str, Any] = {"dilution": Decimal(match["dilution"])}
    if match["cmp"]:
        content["comparator"] = _COMPARATORS[match["cmp"]]
    return content, match.start("one"), match.end(), None


def _value_at(
    text: str, pos: int, end: int, term: Term | None
) -> tuple[dict[str, Any], int, int, Attribute | None] | None:
    """A value at `pos`: `(content, begin, end, unit attribute)`."""
    if term is not None and any(unit.ucum == "{class}" for unit in term.units):
        graded = wording.CLASS.match(text, pos, end)
        if graded is not None:
            return (
                {"grade": graded["class"] + (f"-{graded['upper']}" if graded["upper"] else "")},
                graded.start("class"),
                graded.end(),
                None,
            )
    titre = wording.TITRE.match(text, pos, end)
    if titre is not None and (term is None or not any(u.low is not None for u in term.units)):
        return _titre(titre)
    ranged = _ranged(text, pos, end, term)
    if ranged is not None:
        return *ranged, None
    found = _number(text, pos, end, term)
    if found is None:
        return None
    content, match, stop = found
    unit = None
    if content["unitWritten"]:
        unit = Attribute(
            "TEST_UNIT", match["unit"], *match.span("unit"), 1.0, {"code": content["code"]}
        )
    return content, match.start("value"), stop, unit


def _in_words(
    text: str, pos: int, end: int, term: Term | None, state: _State, *, next_is_test: bool
) -> tuple[dict[str, Any], int, int] | None:
    match = qualitative.AFTER.match(text, pos, end)
    if match is not None and next_is_test and not text[match.end() : end].strip():
        return None  # `urinalysis showed trace protein`: the next test's.
    if match is not None:
        if state.shows and not wording.STOP.match(text, match.end(), end):
            return None  # `histology revealed reactive gliosis`
        name = qualitative.name_of(match)
        if name in qualitative.INTERPRETED:
            return None  # A flag, until no number follows: see `read`.
        return {"concept": name}, match.start(name), match.end()
    if term is not None and not term.units:
        sign = wording.PLUS_MINUS.match(text, pos, end)
        if sign is not None:
            name = "negative" if sign["sign"] == "-" else "positive"
            return {"concept": name}, sign.start() + 1, sign.end()
    return None


def read(
    text: str, begin: int, end: int, term: Term | None, *, next_is_test: bool = False
) -> list[Attribute]:
    """The results behind a test's name: TEST_VALUE once each, newest last, and what is about them.

    TEST_VALUE's value: `value` (with `high` for a range) or `concept` or `dilution`; `code` and
    `unit` where the unit is known, `unitWritten`; `comparator`, `interpretation`, `reference`,
    `date` where written. EARLIER_VALUE is one of a trend that is not dated.
    """
    state = _State()
    results: list[Attribute] = []
    pos = begin
    found = None
    for _ in range(_MAX_STEPS):
        old = None if wording.SPREAD.match(text, pos, end) else wording.FROM.match(text, pos, end)
        if old is not None:
            state.extras.append(_extra(text, "EARLIER_VALUE", *old.span("old"), None))
            pos = old.end()
        found = _value_at(text, pos, end, term)
        if found is None:
            words = _in_words(text, pos, end, term, state, next_is_test=next_is_test)
            if words is not None:
                titre = wording.TITRE.match(text, words[2], end)
                found = (*words, None) if titre is None else _titre(titre)
        if found is not None:
            break
        spread = wording.SPREAD.match(text, pos, end)
        if spread is not None:
            ranged = _ranged(text, spread.end(), end, term)
            found = (*ranged, None) if ranged is not None else None
            if found is None:
                return []  # `ranged from 9 to 12`: no one value.
            break
        after = _lead(text, pos, end, term, state)
        if after is None or after <= pos:
            break
        pos = after
    if found is None:
        return _of_flag(text, end, term, state)
    while found is not None:
        content, start, pos, unit = found
        # Whatever names of the day came before the value belong to it.
        state.content = {**content, **state.content}
        if unit is not None:
            state.extras.append(unit)
        pos = _tail(text, pos, end, term, state, next_is_test=next_is_test)
        value = Attribute(
            "TEST_VALUE",
            text[start : _value_end(text, found)],
            start,
            _value_end(text, found),
            1.0,
            state.content,
        )
        results += [value, *state.extras]
        previous, state = state, _State()
        found = _next(text, pos, end, term, previous, results)
    return results


def _value_end(text: str, found: tuple[dict[str, Any], int, int, Attribute | None]) -> int:
    """Where the value itself ends, without its unit and blanks."""
    _, start, stop, unit = found
    if unit is not None:
        stop = min(stop, unit.begin)
    return start + len(text[start:stop].rstrip())


def _next(
    text: str, pos: int, end: int, term: Term | None, previous: _State, results: list[Attribute]
) -> tuple[dict[str, Any], int, int, Attribute | None] | None:
    """A further value of the same test, None when what follows is none."""
    if "value" not in previous.content or "high" in previous.content:
        return None
    for pattern, newer in ((wording.ARROW, True), (wording.NEWER, True), (wording.AND_THEN, False)):
        match = pattern.match(text, pos, end)
        if match is None:
            continue
        found = _value_at(text, match.end(), end, term)
        if found is None or "value" not in found[0]:
            return None
        if newer:
            if not _dated(previous.content):
                _outdate(results)
            return found
        return found if _goes_on(text, end, term, previous, found) else None
    return None


def _dated(content: dict[str, Any]) -> bool:
    return content.get("date", "note") not in ("note", "unknown")


def _outdate(results: list[Attribute]) -> None:
    """The last value is an older one of a trend, and of no known day: no result of its own."""
    for slot in range(len(results) - 1, -1, -1):
        found = results[slot]
        if found.type == "TEST_VALUE":
            results[slot] = Attribute(
                "EARLIER_VALUE", found.text, found.begin, found.end, 1.0, found.value
            )
            return


def _goes_on(
    text: str,
    end: int,
    term: Term | None,
    previous: _State,
    found: tuple[dict[str, Any], int, int, Attribute | None],
) -> bool:
    """Whether a number behind a comma is the next of a series: `0.02, 0.04, 0.08`, or dated too."""
    state = _State(dict(found[0]))
    after = _tail(text, found[2], end, term, state, next_is_test=False)
    if _dated(previous.content) and _dated(state.content):
        return True
    if _dated(previous.content) != _dated(state.content):
        return False
    one, other = previous.content["value"], found[0]["value"]
    same = one.as_tuple().exponent == other.as_tuple().exponent and other.as_tuple().exponent < 0
    return same and wording.CLAUSE_END.match(text, after, end) is not None


def _of_flag(text: str, end: int, term: Term | None, state: _State) -> list[Attribute]:
    """`TSH was normal`: the flag is the result, where nothing else follows it."""
    if (
        (term is not None and term.type != "LAB")
        or state.flag_span is None
        or state.flag_name is None
    ):
        return []
    stop = state.flag_span[1]
    if not (wording.STOP if state.shows else wording.CLAUSE_END).match(text, stop, end):
        return []
    state.content["concept"] = state.flag_name
    flag = next(extra for extra in state.extras if extra.type == "TEST_FLAG")
    value = Attribute("TEST_VALUE", flag.text, flag.begin, flag.end, 1.0, state.content)
    return [value, *state.extras]
