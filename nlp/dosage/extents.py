"""Where free text ends: a reason, an instruction, a remark run on to what no longer is theirs."""

from nlp.dosage.amounts import amount_at
from nlp.dosage.frequencies import frequency_at
from nlp.dosage.limits import duration_at, maximum_at, phase_at
from nlp.dosage.numbers import number
from nlp.dosage.parts import (
    AS_NEEDED,
    DISPENSE,
    DOSE,
    INSTRUCTION,
    METHOD,
    RATE,
    ROUTE,
    STRENGTH,
    THEN,
)
from nlp.dosage.phrases import phrase_at
from nlp.dosage.tokens import Tokens, word_set
from nlp.dosage.units import time_unit

_MAX_REMARK = 24
_VERBS = word_set("is are was were has with")
_REASON_ENDS = word_set(
    "but because since while when if then who which unless until and/or she he they was were is"
    " are has had with max maximum not do may can no take use give up x daily prn or-as"
)


def segment_end(t: Tokens, i: int, *, through: bool = False, most: int | None = None) -> int:
    """Where the free text that runs on from `i` ends.

    `through`: only at the end of the sentence, even where a part follows a comma or `and`; `most`:
    after that many tokens at the latest.
    """
    depth = 0
    j = i
    limit = len(t) if most is None else min(len(t), i + most)
    while j < limit:
        word = t.word(j)
        if "\n" in t.text[t.ends[j - 1] : t.begins[j]]:
            break
        if word in (".", ";") and not (word == "." and t.glued(j + 1)):
            break
        depth += (word == "(") - (word == ")")
        if depth < 0:
            break
        phrase = phrase_at(t, j)
        if phrase is not None and phrase[0].kind == THEN and t.word(j) == "then":
            break
        if through:
            j += 1
            continue
        if word in (",", "and", "-") and j + 1 < len(t) and _starts_part(t, j + 1):
            break
        if word == "(" and j + 1 < len(t) and _starts_part(t, j + 1):
            break
        j += 1
    return j


def aside_end(t: Tokens, i: int) -> int:
    """Where a remark ends that the next part may follow without a comma."""
    end = segment_end(t, i, most=_MAX_REMARK)
    j = i
    while j < end and not (t.word(j) == "," or _starts_part(t, j)):
        j += 1
    return j


def _starts_part(t: Tokens, i: int) -> bool:
    phrase = phrase_at(t, i)
    if phrase is not None and phrase[0].kind in (
        AS_NEEDED, "NOTE", "ASIDE", INSTRUCTION, DISPENSE, METHOD, THEN, "EACH", "WHEN", ROUTE,
    ):  # fmt: skip
        return True
    if frequency_at(t, i) is not None or duration_at(t, i) is not None:
        return True
    if maximum_at(t, i) is not None:
        return True
    amount = amount_at(t, i)
    return amount is not None and amount[0].kind == DOSE


def reason_end(t: Tokens, i: int, most: int, *, condition: bool = False) -> int:
    """Where a reason that begins at `i` ends, after `most` tokens at the latest.

    A `condition` is a sentence and has a verb: `(if) systolic BP is greater than 160`.
    """
    j, depth = i, 0
    while j < len(t) and j - i < most:
        word = t.word(j)
        if j > i and "\n" in t.text[t.ends[j - 1] : t.begins[j]]:
            break
        if word == "(":
            if _says_how(t, j + 1):
                break
            depth += 1
        elif word == ")":
            depth -= 1
            if depth < 0:
                break
        elif depth == 0:
            if word in (".", ";", ":", "[", "#", "="):
                break
            if word in (",", "-") and not _goes_on(t, j):
                break
            ends = word in _REASON_ENDS and not (condition and word in _VERBS)
            if ends or _ends_reason(t, j, first=j == i):
                break
        j += 1
    while j > i and t.word(j - 1) in (",", "and", "or", "-", "/", "(", "for", "in", "to"):
        j -= 1
    return j


def _says_how(t: Tokens, i: int) -> bool:
    """Whether another part begins at `i`: `constipation (hold for loose stools)`."""
    return i < len(t) and _starts_part(t, i)


def _goes_on(t: Tokens, comma: int) -> bool:
    """Whether a list of reasons goes on: `pain, fever, or headache`; `flare-up`."""
    if t.word(comma) == "-":
        return t.glued(comma) and t.glued(comma + 1)
    return any(t.word(k) in ("or", "and") for k in (comma + 1, comma + 2, comma + 3)) and not (
        _starts_part(t, comma + 1)
    )


def _ends_reason(t: Tokens, j: int, *, first: bool) -> bool:
    if maximum_at(t, j) is not None or duration_at(t, j) is not None:
        return True
    phrase = phrase_at(t, j)
    if phrase is not None and (
        phrase[0].kind
        in (
            AS_NEEDED,
            "NOTE",
            "ASIDE",
            INSTRUCTION,
            DISPENSE,
            THEN,
            "COUNT",
            "EACH",
        )
        or (phrase[0].kind == ROUTE and t.word(j) in ("po", "iv", "im", "by", "sl", "sc", "pr"))
        or (phrase[0].kind == METHOD and not first)
    ):
        return True
    if phase_at(t, j) is not None or _is_time_before(t, j):
        return True
    amount = amount_at(t, j)
    if amount is not None and amount[0].kind in (DOSE, STRENGTH, RATE) and t.word(j) != "a":
        return True
    found = frequency_at(t, j)
    return found is not None and {"when"} != set(found[0]) - {
        "frequency", "period", "periodUnit", "food",
    }  # fmt: skip


def _is_time_before(t: Tokens, i: int) -> bool:
    """`1 hour before`, `30 minutes prior to` whatever follows."""
    count = number(t, i)
    unit = time_unit(t, count[1]) if count is not None else None
    return unit is not None and t.word(unit[1]) in ("before", "prior", "after")
