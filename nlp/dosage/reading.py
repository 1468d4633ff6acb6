"""An instruction as its parts, in order: the grammar, read once from left to right.

At each token the longest part that begins there is taken. Free text (a reason, an instruction)
runs to the end of its sentence part, so that numbers in it (`hold if SBP < 100`) are no dose.
"""

import re
from decimal import Decimal

from nlp.dosage.amounts import LAB, amount_at, combined_strength_at, quantity
from nlp.dosage.extents import aside_end, reason_end, segment_end
from nlp.dosage.frequencies import frequency_at
from nlp.dosage.limits import duration_at, maximum_at, phase_at
from nlp.dosage.numbers import number, number_range
from nlp.dosage.parts import (
    AND,
    AS_NEEDED,
    CLOSE,
    COLON,
    DISPENSE,
    DOSE,
    DURATION,
    EXCEPT,
    FORM,
    FREQUENCY,
    INDICATION,
    INSTRUCTION,
    METHOD,
    OPEN,
    PHASE,
    RATE,
    ROUTE,
    SCALE,
    SITE,
    STOP,
    STRENGTH,
    TAPER,
    THEN,
    Part,
)
from nlp.dosage.phrases import phrase_at
from nlp.dosage.tokens import Tokens, word_set
from nlp.dosage.units import is_counted, time_unit, unit_at

_MARKS = {
    ",": AND, "and": AND, "&": AND, "+": AND, "plus": AND, "/": AND, ".": STOP, ";": STOP,
    "(": OPEN, "[": OPEN, ")": CLOSE, "]": CLOSE, ":": COLON, "=": OPEN, "or": AND,
}  # fmt: skip
_MAX_COUNT = Decimal(12)
_MAX_REASON_WORDS = 12
_MAX_INDICATION_WORDS = 7
_NEAR = 2
_BEFORE_COUNT = frozenset(
    (METHOD, THEN, AND, STOP, COLON, STRENGTH, FORM, PHASE, FREQUENCY, ROUTE, SITE)
)
_DETERMINERS = word_set("the his her your their my a an of")
_NO_REASON = word_set(
    "which who whom that this these those she he they it we you i now life home discharge dose"
    " doses each every at"
)
_COMPARED = re.compile(r"[<>≥≤]|\d|\b(?:above|below|greater|less|over|under)\b", re.IGNORECASE)
_EYES_AND_EARS = {
    "od": ("OD", "54485002", "Ophthalmic route"), "os": ("OS", "54485002", "Ophthalmic route"),
    "ou": ("OU", "54485002", "Ophthalmic route"), "ad": ("AD", "10547007", "Otic route"),
    "as": ("AS", "10547007", "Otic route"), "au": ("AU", "10547007", "Otic route"),
}  # fmt: skip
_GLUCOSE = word_set("bg bs fsbs fsbg glucose sugar sugars fs")
_PER_SOMETHING = re.compile(r"g|gm|gram|grams|mg|carb|carbs|carbohydrate|carbohydrates|points?|\d")

Found = tuple[list[Part], int]


class Reading:
    """The parts of one stretch of text. `bare` where the stretch is an instruction by itself."""

    def __init__(self, text: str, begin: int, end: int, *, bare: bool) -> None:
        self._t = Tokens(text, begin, end)
        self._bare = bare
        self._patch = any(w in ("patch", "patches", "transdermal") for w in self._t.words)
        self._drops = any(w in ("drop", "drops", "gtt", "gtts") for w in self._t.words)
        self.parts: list[Part] = []

    def read(self) -> list[Part]:
        """All parts and marks, in order of place."""
        t, i = self._t, 0
        while i < len(t):
            if "\n" in t.text[t.ends[i - 1] : t.begins[i]] if i else False:
                self.parts.append(Part(STOP, t.ends[i - 1], t.begins[i]))
            found = self._part_at(i)
            if found is None:
                mark = _MARKS.get(t.word(i))
                if mark is not None:
                    self._mark(mark, i)
                i += 1
            else:
                parts, j = found
                self.parts.extend(parts)
                i = max(j, i + 1)
        return self.parts

    def _mark(self, kind: str, i: int) -> None:
        self.parts.append(Part(kind, self._t.begins[i], self._t.ends[i]))

    def _part_at(self, i: int) -> Found | None:
        return (
            self._maximum(i)
            or self._eye_or_ear(i)
            or self._free_text(i)
            or self._scale_row(i)
            or self._except(i)
            or self._days_off(i)
            or self._phase(i)
            or self._longest(i)
            or self._indication(i)
            or self._condition(i)
            or self._today(i)
            or self._bare_number(i)
        )

    def _maximum(self, i: int) -> Found | None:
        found = maximum_at(self._t, i)
        if found is None:
            return None
        part, j = found
        if part is not None:
            return [part], j
        if number(self._t, i) is not None:
            return None
        return [self._to_end(INSTRUCTION, i, i)], segment_end(self._t, i)

    # --- places for drops

    def _eye_or_ear(self, i: int) -> Found | None:
        t = self._t
        found = _EYES_AND_EARS.get(t.word(i))
        if found is None or not (self._drops or self._into_eyes(i)):
            return None
        if t.word(i) in ("as", "ad", "od") and not (
            t.text[t.begins[i] : t.ends[i]].isupper() or t.text[t.begins[i] + 1] == "."
        ):
            after_amount = bool(self.parts) and self.parts[-1].kind in (DOSE, FORM)
            if t.word(i) == "as" or not after_amount:
                return None
        site, code, display = found
        begin, end = t.begins[i], t.ends[i]
        value = {"text": site, "code": code, "display": display}
        return [Part(SITE, begin, end, value)], i + 1

    def _into_eyes(self, i: int) -> bool:
        """Whether `OD` without drops is an eye: `ointment OU`, `apply OS`; never `1 tab od`."""
        if self._t.word(i) in ("ou", "os", "au"):
            return True
        return self._t.word(i) == "od" and any(
            w in ("ointment", "oint", "eye", "ribbon", "ophthalmic", "instill", "soln")
            for w in self._t.words
        )

    # --- free text

    def _free_text(self, i: int) -> Found | None:
        t = self._t
        if t.word(i) in ("in", "with") and self.parts and number(t, i + 1) is not None:
            diluent = amount_at(t, i + 1)
            if diluent is not None and diluent[0].value.get("unit") in ("mL", "L", "oz"):
                return self._remark(i, diluent[1] - 1)
        found = phrase_at(t, i)
        if found is None:
            return self._before_or_after(i) or self._dispensed(i)
        phrase, j = found
        if phrase.kind == AS_NEEDED:
            return self._as_needed(i, j)
        if phrase.kind in ("NOTE", "ASIDE", INSTRUCTION):
            if self._outread(i, j):
                return None
            end = self._words_end(phrase.kind, i, j)
            value = {"text": t.written(i, end)}
            return [Part(INSTRUCTION, t.begins[i], t.ends[end - 1], value)], end
        if phrase.kind == DISPENSE:
            end = segment_end(self._t, j)
            return [Part(DISPENSE, t.begins[i], t.ends[max(end, j) - 1])], max(end, j)
        return None

    def _words_end(self, kind: str, i: int, j: int) -> int:
        """Where an instruction of the phrase `i` to `j - 1` ends, by its kind in the table."""
        if kind == "NOTE":
            return j
        if kind == "ASIDE":
            mixed = amount_at(self._t, j) if self._t.word(j - 1) in ("with", "in") else None
            return aside_end(self._t, mixed[1] if mixed is not None else j)
        # `alternate 1 tablet and 2 tablets`: neither is the dose.
        return segment_end(self._t, j, through=self._t.word(i).startswith("alternat"))

    def _outread(self, i: int, j: int) -> bool:
        """Whether a part of numbers beginning here is longer: `with meals`, `within 30 minutes`."""
        return any(
            found is not None and found[1] > j
            for found in (frequency_at(self._t, i), duration_at(self._t, i))
        )

    def _before_or_after(self, i: int) -> Found | None:
        """`1 hour before or 2 hours after a meal`: no one time, kept as words."""
        t = self._t
        count = number(t, i)
        unit = time_unit(t, count[1]) if count is not None else None
        if unit is None or t.word(unit[1]) != "before" or t.word(unit[1] + 1) != "or":
            return None
        return self._remark(i, _behind_meal(t, unit[1] + 2))

    def _dispensed(self, i: int) -> Found | None:
        """`#30`, `(#60)`, `total of 5 tablets`."""
        t = self._t
        if t.word(i) == "total" and self.parts:
            j = i + 2 if t.word(i + 1) == "of" else i + 1
            amount = amount_at(t, j)
            if amount is not None and is_counted(amount[0].value):
                return [Part(DISPENSE, t.begins[i], amount[0].end)], amount[1]
        if t.word(i) == "#" and t.value(i + 1) is not None:
            return [Part(DISPENSE, t.begins[i], t.ends[i + 1])], i + 2
        return None

    def _remark(self, i: int, j: int) -> Found:
        """The words from `i` on as an instruction, up to the next part behind `j`."""
        t = self._t
        end = max(aside_end(self._t, j + 1), j + 1)
        value = {"text": t.written(i, end)}
        return [Part(INSTRUCTION, t.begins[i], t.ends[end - 1], value)], end

    def _to_end(self, kind: str, i: int, j: int) -> Part:
        t = self._t
        end = max(segment_end(self._t, j), i + 1)
        return Part(kind, t.begins[i], t.ends[end - 1], {"text": t.written(i, end)})

    def _as_needed(self, i: int, j: int) -> Found:
        t = self._t
        k = j
        while t.word(k) in ("for", ":", "-", "to", "of") or (
            t.word(k) == "(" and t.word(k + 1) == "for"
        ):
            k += 1
        if self._bare and k == j and t.word(j) == ",":
            k = self._listed_reason(j + 1) or j
        end = reason_end(t, k, _MAX_REASON_WORDS)
        value = {}
        if end > k and t.word(k) not in _NO_REASON and self._is_reason(k, end, said=k > j):
            start = k
            while t.word(start) in _DETERMINERS and start + 1 < end:
                start += 1
            value = {"reason": _unbracketed(t.written(start, end))}
        else:
            end = j
        return [Part(AS_NEEDED, t.begins[i], t.ends[end - 1], value)], end

    def _listed_reason(self, i: int) -> int | None:
        """The place of a reason that is a field of its own: `Every 4 hours PRN, anxiety`."""
        t = self._t
        end = reason_end(t, i, _MAX_INDICATION_WORDS)
        alone = end == len(t) or t.word(end) in (",", ".", ";")
        known = i >= len(t) or phrase_at(t, i) is not None or frequency_at(t, i) is not None
        return i if end > i and alone and not known and t.value(i) is None else None

    def _is_reason(self, k: int, end: int, *, said: bool) -> bool:
        """`prn pain` is a reason, `prn lisinopril` in a note may be the next thing said."""
        return self._t.value(k) is None and (said or end - k <= _MAX_INDICATION_WORDS)

    # --- parts of numbers and of the tables

    def _scale_row(self, i: int) -> Found | None:
        """`151-200: 2 units`, `BG 201-250 4 units`, `1 unit per 10 g`: rows of a scale, no dose."""
        t = self._t
        amount = amount_at(t, i)
        if amount is not None and amount[0].kind in (DOSE, STRENGTH):
            k = amount[1]
            if t.word(k) in ("per", "for", "/") and t.word(k - 1) != "per":
                k += 1
                k += t.word(k) in ("every", "each")
                if t.word(k) in _GLUCOSE and number_range(t, k + 1) is not None:
                    return self._remark(i, k + 1)
                count = number(t, k)
                if count is not None and _PER_SOMETHING.fullmatch(t.word(count[1])):
                    return self._remark(i, k)
                if t.word(k) in ("carb", "carbs", "carbohydrate"):
                    return self._remark(i, k)
        spread = number_range(t, i)
        if spread is None or (
            spread[1] is None and t.word(i - 1) not in (">", "<", "over", "above")
        ):
            return None
        k = spread[2]
        if spread[0] < 60:
            return None
        if t.word(k) in ("mg", "mg/dl") and t.word(k + 1) == "/":
            k += 3
        while t.word(k) in (":", "=", "-", ">", ",", "give", "take", "inject"):
            k += 1
        units = amount_at(t, k)
        if units is None or units[0].value.get("unit") != "unit":
            return None
        value = {"text": t.written(i, units[1])}
        return [Part(SCALE, t.begins[i], t.ends[units[1] - 1], value)], units[1]

    def _except(self, i: int) -> Found | None:
        """`except 7.5 mg on Mondays`: what was said before holds on the other days."""
        t = self._t
        j = i + 1
        while t.word(j) in ("take", "for"):
            j += 1
        if t.word(i) not in ("except", "but") or amount_at(t, j) is None:
            return None
        return [Part(EXCEPT, t.begins[i], t.ends[i])], j

    def _days_off(self, i: int) -> Found | None:
        """`7 days off`, `12 hours on`: a pause, no course."""
        t = self._t
        count = number(t, i)
        unit = time_unit(t, count[1]) if count is not None else None
        if unit is None or t.word(unit[1]) not in ("off", "on"):
            return None
        j = unit[1] + 1
        if t.word(unit[1]) == "on" and not (
            j == len(t) or t.word(j) in (",", "/", ";", "and", "then", ".", ")") or t.value(j)
        ):
            return None
        return [Part(INSTRUCTION, t.begins[i], t.ends[j - 1], {"text": t.written(i, j)})], j

    def _phase(self, i: int) -> Found | None:
        found = phase_at(self._t, i)
        return ([found[0]], found[1]) if found is not None else None

    def _longest(self, i: int) -> Found | None:
        t = self._t
        best: Found | None = None
        frequency = frequency_at(t, i)
        if frequency is not None:
            j = frequency[1]
            if not self._bare and t.word(i) == "once" and self._begins_a_clause(j):
                return None
            best = [Part(FREQUENCY, t.begins[i], t.ends[j - 1], {"repeat": frequency[0]})], j
        for reading in (amount_at(t, i), combined_strength_at(t, i), duration_at(t, i)):
            if reading is not None and (best is None or reading[1] > best[1] or _counts(reading)):
                best = [reading[0]], reading[1]
        if best is not None and best[0][0].kind == LAB:
            return [], best[1]
        if best is not None and self._patch:
            best = [self._of_a_patch(best[0][0])], best[1]
        phrase = phrase_at(t, i)
        if phrase is not None and (best is None or phrase[1] > best[1]):
            return self._phrase(i) or best
        return best

    def _begins_a_clause(self, i: int) -> bool:
        """Whether `once` before `i` is `as soon as`: `once stable`, `once the fever is gone`."""
        t = self._t
        return t.word(i).isalpha() and phrase_at(t, i) is None and t.word(i) not in ("for", "and")

    def _of_a_patch(self, part: Part) -> Part:
        """An hourly rate is a patch's strength, hours are how long it stays on."""
        if part.kind == RATE:
            part.kind = STRENGTH
        elif part.kind == DURATION and part.value["unit"] == "h":
            words = " ".join(self._t.text[part.begin : part.end].split())
            return Part(INSTRUCTION, part.begin, part.end, {"text": words})
        return part

    def _phrase(self, i: int) -> Found | None:
        t = self._t
        found = phrase_at(t, i)
        if found is None:
            return None
        phrase, j = found
        begin, end = t.begins[i], t.ends[j - 1]
        code, _, display = phrase.value.partition(" ")
        way = {"code": code.strip("-"), "display": display}
        if phrase.kind == ROUTE:
            if t.word(j) in ("cavity", "intake", "exam", "mucosa", "thrush"):
                return None
            return [Part(ROUTE, begin, end, way)], j
        if phrase.kind == METHOD:
            value = {"text": " ".join(t.words[i:j])} | (way if display else {})
            return [Part(METHOD, begin, end, value)], j
        if phrase.kind == SITE:
            value = {"text": t.written(i, j)} | (way if display else {})
            return [Part(SITE, begin, end, value)], j
        if phrase.kind == FORM:
            return [Part(FORM, begin, end, {"form": t.written(i, j).lower()})], j
        if phrase.kind in (TAPER, SCALE):
            return [Part(phrase.kind, begin, end, {"text": t.written(i, j)})], j
        if phrase.kind == THEN:
            return [Part(THEN, begin, end)], j
        return None

    def _indication(self, i: int) -> Found | None:
        """`for hypertension`, `to treat pain`, `indication: gout`."""
        t = self._t
        j = i + 1
        if t.word(i) in ("indication", "indications", "dx", "diagnosis") and t.word(j) == ":":
            j += 1
        elif t.word(i) == "to" and t.word(j) in ("treat", "prevent", "help", "lower", "control"):
            j = i
        elif t.word(i) != "for":
            return None
        if not self.parts and not self._bare:
            return None
        start = j
        while t.word(start) in _DETERMINERS:
            start += 1
        if start >= len(t) or t.word(start) in _NO_REASON or t.value(start) is not None:
            return None
        end = reason_end(self._t, start, _MAX_INDICATION_WORDS)
        if end <= start:
            return None
        value = {"text": t.written(start, end)}
        return [Part(INDICATION, t.begins[i], t.ends[end - 1], value)], end

    def _condition(self, i: int) -> Found | None:
        """`if SBP > 160`, `when dizzy`: taken under that condition."""
        t = self._t
        if t.word(i) not in ("if", "when") or not self.parts or i + 1 >= len(t):
            return None
        if self.parts[-1].kind == STOP:
            return [self._to_end(INSTRUCTION, i, i)], segment_end(t, i)
        end = reason_end(t, i + 1, _MAX_REASON_WORDS, condition=True)
        if end <= i + 1:
            return None
        if not self._bare and not _COMPARED.search(t.written(i + 1, end)):
            return None  # In prose `if` may begin anything.
        value = {"reason": t.written(i + 1, end)}
        return [Part(AS_NEEDED, t.begins[i], t.ends[end - 1], value)], end

    def _today(self, i: int) -> Found | None:
        """`take 2 tablets today, then …`: once; in a note `today` tells when it was written."""
        t = self._t
        if not self._bare or t.word(i) not in ("today", "hoy"):
            return None
        if not any(part.kind == DOSE for part in self.parts):
            return None
        return [Part(FREQUENCY, t.begins[i], t.ends[i], {"repeat": {"count": 1}})], i + 1

    def _bare_number(self, i: int) -> Found | None:
        """A count without a unit: `take 2 at bedtime`, `1 every morning`, `then 20 daily`."""
        t = self._t
        numbers = number_range(t, i)
        if numbers is None:
            return None
        low, high, j = numbers
        if not self._may_count(i) or j >= len(t) or unit_at(t, j) is not None:
            return None
        following = phrase_at(t, j)
        said = following is not None and following[0].kind in (
            ROUTE, "WHEN", "EACH", "COUNT", AS_NEEDED, SITE, "NOTE", "ASIDE",
        )  # fmt: skip
        if not (said or frequency_at(t, j) or duration_at(t, j) or phase_at(t, j)):
            return None
        return [Part(DOSE, t.begins[i], t.ends[j - 1], quantity(low, high, None))], j

    def _may_count(self, i: int) -> bool:
        """Whether a number here is told to be taken: behind a verb, `and`, a strength, a time."""
        t = self._t
        if t.word(i - 1) == "/":
            return False
        said = [part for part in self.parts if part.kind not in (OPEN, CLOSE)]
        if not said:
            return self._bare and (i == 0 or t.word(i - 1).isalpha() or t.word(i - 1) == ":")
        last = said[-1]
        if last.kind == DOSE and not is_counted(last.value):
            return t.begins[i] - last.end <= _NEAR  # `81 mg 1 PO daily`
        near = t.begins[i] - last.end <= _NEAR or last.kind == METHOD
        return near and last.kind in _BEFORE_COUNT


def _behind_meal(t: Tokens, i: int) -> int:
    """The last token of `2 hours after a meal` at `i`."""
    found = frequency_at(t, i)
    return found[1] - 1 if found is not None else i


def _counts(reading: tuple[Part, int]) -> bool:
    """Whether it tells how often in all: `up to 3 doses` is no dose of three."""
    return "count" in reading[0].value.get("repeat", ())


def _unbracketed(words: str) -> str:
    """The words without brackets around the whole of them."""
    whole = words.startswith("(") and words.endswith(")") and words.count("(") == 1
    return words[1:-1].strip() if whole else words


def read(text: str, begin: int, end: int, *, bare: bool = False) -> list[Part]:
    """The parts and marks of `text[begin:end]`, in order, not overlapping; offsets into `text`."""
    return Reading(text, begin, end, bare=bare).read()
