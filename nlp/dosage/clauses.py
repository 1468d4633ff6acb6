"""Clauses: the parts of an instruction grouped as FHIR `Dosage` does, one clause each.

`1 tablet every morning and 2 at bedtime` is two clauses at the same time, `40 mg for 3 days, then
20 mg for 3 days` two after one another: `sequence` is equal for the former and rises for the
latter (https://hl7.org/fhir/R4/dosage-definitions.html#Dosage.sequence).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import pairwise
from typing import Any

from nlp.dosage.joining import is_daily, is_long, join
from nlp.dosage.parts import (
    AND,
    AS_NEEDED,
    CLOSE,
    COLON,
    DOSE,
    DURATION,
    EXCEPT,
    FORM,
    FREQUENCY,
    INSTRUCTION,
    MARKS,
    METHOD,
    OPEN,
    PHASE,
    SCALE,
    SITE,
    STOP,
    STRENGTH,
    THEN,
    Part,
)
from nlp.dosage.units import COUNTED, UNITS, VOLUME, is_counted
from nlp.dosage.weekdays import OTHER_DAYS, WEEK

_VOLUMES = frozenset(u.word for u in UNITS.values() if u.measure == VOLUME)
_MAX_COUNT = Decimal(12)
_OFF = ("off", "on")


@dataclass(slots=True)
class Clause:
    """What one `Dosage` says. Values as in the parts; `repeat` is FHIR `Timing.repeat`."""

    dose: dict[str, Any] | None = None
    rate: dict[str, Any] | None = None
    repeat: dict[str, Any] | None = None
    duration: dict[str, Any] | None = None
    phase: dict[str, Any] | None = None
    over: dict[str, Any] | None = None
    route: dict[str, Any] | None = None
    site: dict[str, Any] | None = None
    method: dict[str, Any] | None = None
    as_needed: bool = False
    reason: str | None = None
    maximum: dict[str, Any] | None = None
    notes: list[str] = field(default_factory=list)
    sequence: int = 1

    def told(self) -> bool:
        """Whether it says when or how long."""
        return self.repeat is not None or self.duration is not None or self.phase is not None

    def empty(self) -> bool:
        """Whether it says nothing that makes a `Dosage`."""
        return self == Clause(sequence=self.sequence)


def tell_strength_from_dose(parts: Sequence[Part]) -> None:
    """Make STRENGTH of each amount that says how much is in what is taken.

    `500 mg tablet, take 2 tablets`, `1 tab (5 mg)`, `5 mL (250 mg)`: the dose is what is counted
    or measured, and of two said with brackets the one outside them.
    """
    real = [(n, p) for n, p in enumerate(parts) if p.kind == DOSE]
    for (at, part), (later, following) in pairwise(real):
        between = parts[at + 1 : later]
        kinds = {p.kind for p in between}
        if part.kind != DOSE or kinds & {FREQUENCY, DURATION, PHASE, THEN, AS_NEEDED}:
            continue
        if OPEN in kinds and CLOSE not in kinds and not kinds & {METHOD, SITE}:
            following.kind = STRENGTH
            continue
        amounts, theirs = _administered(part.value), _administered(following.value)
        if theirs and not amounts:
            part.kind = STRENGTH
        elif amounts and not theirs and not kinds & {STOP, METHOD}:
            following.kind = STRENGTH
        elif kinds & {METHOD, FORM} and not (amounts or AND in kinds):
            part.kind = STRENGTH
    doses = [(n, p) for n, p in enumerate(parts) if p.kind == DOSE]
    if len(doses) > 1 and any(_administered(p.value) for _, p in doses[1:]):
        at, first = doses[0]
        behind = next((p for p in parts[at + 1 :] if p.kind not in (OPEN, CLOSE)), None)
        if not _administered(first.value) and behind is not None and behind.kind == FORM:
            first.kind = STRENGTH


def _administered(dose: dict[str, Any]) -> bool:
    return is_counted(dose) or dose.get("unit") in _VOLUMES


class _Builder:
    def __init__(self, text: str, parts: Sequence[Part]) -> None:
        self._text = text
        self._parts = parts
        self.done: list[Clause] = []
        self.current = Clause()
        self.indications: list[str] = []
        self._then = self._together = False
        self._sequence = 1
        self._timing_first = _timing_first(parts)
        self._after_stop = self._led = False

    def build(self) -> list[Clause]:
        for at, part in enumerate(self._parts):
            if part.kind in MARKS:
                self._note_mark(part)
                continue
            handler = getattr(self, f"_{part.kind.lower()}", None)
            if handler is not None:
                handler(at, part)
            if part.kind not in (METHOD, FORM, STRENGTH):
                self._together = self._after_stop = False
        self._close()
        return self.done

    def _note_mark(self, part: Part) -> None:
        if part.kind == THEN:
            self._then = True
        elif part.kind == AND:
            self._together = True
        elif part.kind == EXCEPT:
            self._except()
        elif part.kind == STOP:
            self._after_stop = True

    def _except(self) -> None:
        """`5 mg daily except 7.5 mg on Mondays`: the first is for the other days."""
        repeat = self.current.repeat or {}
        plain = not repeat or (is_daily(repeat) and repeat["frequency"] == 1)
        if self.current.dose is not None and plain and "dayOfWeek" not in repeat:
            kept = {"when": repeat["when"]} if "when" in repeat else {}
            self.current.repeat = {"dayOfWeek": [OTHER_DAYS]} | kept
            self._next()

    def _close(self) -> None:
        if not self.current.empty():
            self.current.sequence = self._sequence
            self.done.append(self.current)

    def _next(self, *, inherit: bool = False, leading: bool = False) -> None:
        """Begin the next clause; it follows the current one in time, or stands beside it."""
        before = self.current
        self._close()
        bounded = before.duration is not None or "count" in (before.repeat or {})
        led = before.phase is not None and self._led
        bounded = bounded or (before.phase is not None and (not led or leading))
        if self.done and (self._then or bounded):
            self._sequence += 1
        self.current = Clause(dose=before.dose if inherit else None)
        if led and not leading and not self._then:
            self.current.phase = before.phase
        self._then = False

    def _turn(self) -> bool:
        """Begin a clause behind `then`; whether one was begun."""
        if self._then and (self.current.dose or self.current.rate or self.current.told()):
            self._next()
            return True
        self._then = False
        return False

    # --- what each part does

    def _dose(self, at: int, part: Part) -> None:
        self._turn()
        now = self.current
        if now.dose is not None:
            apart = now.site is not None or now.notes
            if now.told() or now.as_needed or (apart and self._together):
                self._next()
            else:
                self._second_dose(at, part)
                return
        self.current.dose = part.value

    def _second_dose(self, at: int, part: Part) -> None:
        """Two doses and no time between: what is not understood stays in the words."""
        now = self.current
        following = _next_of(self._parts, at, {FREQUENCY, PHASE, DURATION, DOSE})
        if self._together and following is not None and following.kind != DOSE:
            own = any(p.kind in (FREQUENCY, PHASE) for p in self._parts[: self._parts.index(part)])
            if own or is_counted(part.value) == is_counted(now.dose or {}):
                self._next()
                self.current.dose = part.value
                return
        now.notes.append(self._text[part.begin : part.end])

    def _rate(self, at: int, part: Part) -> None:
        self._turn()
        if self.current.rate is not None:
            self.current.notes.append(self._text[part.begin : part.end])
        else:
            self.current.rate = part.value

    def _frequency(self, at: int, part: Part) -> None:
        repeat = dict(part.value["repeat"])
        turned = self._turn()
        now = self.current
        if turned:
            now.repeat = repeat
            return
        if now.dose is not None and now.told() and self._belongs_to_next(at):
            self._next()
            self.current.repeat = repeat
            return
        if (
            now.phase is not None
            and is_long(repeat)
            and (now.repeat is None or is_daily(now.repeat))
        ):
            self._cycle(now, repeat, part)
            return
        if now.repeat is None:
            now.repeat = repeat
            return
        joined = join(now.repeat, repeat, together=self._together)
        if joined is not None:
            now.repeat = joined
        elif now.duration is not None and is_long(repeat) and not self._together:
            # `daily for 5 days every 4 weeks`: courses, whose period is kept in words.
            now.notes.append(self._text[part.begin : part.end])
        elif now.duration is not None or now.phase is not None or self._together:
            self._next(inherit=True)
            self.current.repeat = repeat
        else:
            now.notes.append(self._text[part.begin : part.end])

    def _cycle(self, now: Clause, repeat: dict[str, Any], part: Part) -> None:
        """`days 1-14 every 21 days`: the days bound doses told a day, else they are counted."""
        phase = now.phase or {}
        days = len(phase.get("listed", ())) or (
            phase["last"] - phase["first"] + 1 if phase.get("last") else 1
        )
        if now.repeat is None:
            now.repeat = repeat | {"frequency": days * repeat.get("frequency", 1)}
            now.phase = None
        else:
            now.notes.append(self._text[part.begin : part.end])

    def _belongs_to_next(self, at: int) -> bool:
        """Whether this time is told of the dose behind it: `1 in the morning, at night 2`."""
        if self._timing_first:
            return True
        following = _next_of(self._parts, at, {DOSE, FREQUENCY, PHASE, DURATION})
        if following is None or following.kind != DOSE:
            return False
        behind = self._parts[self._parts.index(following) + 1 :]
        later = next((p for p in behind if p.kind in (DOSE, FREQUENCY, PHASE, DURATION)), None)
        return later is None or later.kind == DOSE

    def _phase(self, at: int, part: Part) -> None:
        colon = at + 1 < len(self._parts) and self._parts[at + 1].kind == COLON
        leading = colon or self._leads(at)
        turned = self._turn()
        now = self.current
        if not turned and leading and (now.dose is not None or now.told()):
            self._next(leading=True)
        elif not turned and now.phase is not None:
            self._next(inherit=True)
        cycle = part.value.pop("cycle", None)
        self.current.phase = part.value
        self._led = leading
        if cycle is not None:
            self._cycle_of(self.current, cycle, part)

    def _cycle_of(self, now: Clause, cycle: dict[str, Any], part: Part) -> None:
        self._cycle(now, cycle, part)

    def _leads(self, at: int) -> bool:
        """Whether days of the course stand before their doses: `day 1 take 2 tablets`."""
        for part in self._parts:
            if part.kind == DOSE:
                return False
            if part.kind == PHASE:
                return _next_of(self._parts, at, {DOSE}) is not None
        return False

    def _duration(self, at: int, part: Part) -> None:
        self._turn()
        now = self.current
        if now.duration is None:
            now.duration = part.value
        else:
            now.notes.append(self._text[part.begin : part.end])

    def _infused_over(self, at: int, part: Part) -> None:
        if self.current.over is None:
            self.current.over = part.value

    def _route(self, at: int, part: Part) -> None:
        if self.current.route is None:
            self.current.route = part.value

    def _site(self, at: int, part: Part) -> None:
        now = self.current
        if now.site is None:
            now.site = part.value
        elif now.site["text"] != part.value["text"]:
            now.site = now.site | {"text": f"{now.site['text']}, {part.value['text']}"}

    def _method(self, at: int, part: Part) -> None:
        if self._then or self._timing_first:
            return
        if self.current.method is None:
            self.current.method = part.value

    def _as_needed(self, at: int, part: Part) -> None:
        if self._then and self.current.told():
            self._next(inherit=True)
        now = self.current
        now.as_needed = True
        if "reason" in part.value:
            now.reason = (
                f"{now.reason}; {part.value['reason']}" if now.reason else part.value["reason"]
            )
        elif now.reason is None and self.indications:
            now.reason = self.indications.pop()

    def _indication(self, at: int, part: Part) -> None:
        now = self.current
        if now.as_needed and now.reason is None:
            now.reason = part.value["text"]
        else:
            self.indications.append(part.value["text"])

    def _max_dose(self, at: int, part: Part) -> None:
        if self.current.maximum is None:
            self.current.maximum = part.value
        else:
            self.current.notes.append(self._text[part.begin : part.end])

    def _instruction(self, at: int, part: Part) -> None:
        self.current.notes.append(part.value["text"])

    def _scale(self, at: int, part: Part) -> None:
        self.current.notes.append(part.value["text"])

    def _taper(self, at: int, part: Part) -> None:
        if _next_of(self._parts, at, {DOSE}) is None:
            self.current.notes.append(part.value["text"])


def _next_of(parts: Sequence[Part], at: int, kinds: set[str]) -> Part | None:
    return next((p for p in parts[at + 1 :] if p.kind in kinds), None)


def _timing_first(parts: Sequence[Part]) -> bool:
    """Whether times stand before their doses: `every morning take 2, every evening take 1`."""
    order = [p.kind for p in parts if p.kind in (DOSE, FREQUENCY, PHASE)]
    doses = order.count(DOSE)
    return doses > 1 and order[0] != DOSE and order[-1] == DOSE


@dataclass(slots=True)
class Instruction:
    """An instruction read: its parts with strengths told from doses, and its clauses in order.

    `indications` is what the drug is for, where that is not the reason of an `as needed`.
    """

    parts: list[Part]
    clauses: list[Clause]
    indications: list[str]


def instruction(text: str, parts: Sequence[Part]) -> Instruction:
    """The clauses that the parts amount to. The parts given are not changed.

    With a sliding scale no amount behind it is a dose: the words are kept.
    """
    parts = [Part(p.kind, p.begin, p.end, dict(p.value)) for p in parts]
    tell_strength_from_dose(parts)
    scale = next((n for n, p in enumerate(parts) if p.kind == SCALE), None)
    if scale is not None:
        fixed = any(p.kind in (FREQUENCY,) for p in parts[:scale])
        for n, part in enumerate(parts):
            if part.kind == DOSE and (n > scale or not fixed):
                part.kind, part.value = INSTRUCTION, {"text": text[part.begin : part.end]}
    builder = _Builder(text, parts)
    found = builder.build()
    _inherit(found, parts)
    return Instruction(parts, found, builder.indications)


def _inherit(found: list[Clause], parts: Sequence[Part]) -> None:
    """Give each clause what it shares with those beside it: units, route, days, frequency."""
    _units(found, parts)
    routes = [clause.route for clause in found if clause.route]
    for clause in found:
        if clause.route is None and len(routes) >= 1:
            clause.route = routes[0]
    for before, after in pairwise(found):
        sequential = after.sequence > before.sequence
        only_as_needed = after.as_needed and not after.told()
        if sequential and not only_as_needed and after.repeat is None and _continues(before):
            after.repeat = dict(before.repeat or {}) if after.dose else None
        if sequential and after.dose is None and after.rate is None and after.told():
            after.dose = before.dose
        if after.site is None and after.dose and before.site and sequential:
            after.site = before.site
    _shared_duration(found)
    _other_days(found)
    for clause in found:
        if clause.maximum is not None:
            for other in found:
                other.maximum = other.maximum or clause.maximum
            break


def _continues(before: Clause) -> bool:
    repeat = before.repeat or {}
    return bool(repeat) and "count" not in repeat and "dayOfWeek" not in repeat


def _units(found: list[Clause], parts: Sequence[Part]) -> None:
    known = [c.dose for c in found if c.dose and "unit" in c.dose]
    form = next(
        (
            UNITS[word]
            for p in parts
            if p.kind == FORM
            for word in (str(p.value.get("form", "")).split() or [""])[-1:]
            if word in UNITS and UNITS[word].measure == COUNTED
        ),
        None,
    )
    last: dict[str, Any] | None = known[0] if known else None
    for clause in found:
        dose = clause.dose
        if dose is None:
            continue
        if "unit" in dose:
            last = dose
            continue
        size = dose.get("high", dose.get("value", Decimal(0)))
        if last is not None and (not is_counted(last) or size <= _MAX_COUNT):
            clause.dose = dose | {"unit": last["unit"], "code": last["code"]}
        elif last is None and form is not None and size <= _MAX_COUNT:
            clause.dose = dose | {"unit": form.word, "code": form.code}
        elif size > _MAX_COUNT:
            clause.dose = None
    for clause in found:
        if clause.maximum is not None and "unit" not in clause.maximum:
            dose = clause.dose or {}
            if "unit" in dose and is_counted(dose):
                clause.maximum |= {"unit": dose["unit"], "code": dose["code"]}


def _shared_duration(found: list[Clause]) -> None:
    """`1 in the morning and 2 at night for 10 days`: the days are of both."""
    for clause in found:
        beside = [c for c in found if c.sequence == clause.sequence]
        if len(beside) > 1 and beside[-1].duration is not None:
            for other in beside:
                other.duration = other.duration or beside[-1].duration


def _other_days(found: list[Clause]) -> None:
    named = {day for c in found for day in (c.repeat or {}).get("dayOfWeek", ())} - {OTHER_DAYS}
    for clause in found:
        repeat = clause.repeat or {}
        if OTHER_DAYS in repeat.get("dayOfWeek", ()):
            rest = [day for day in WEEK if day not in named]
            if named and rest:
                repeat["dayOfWeek"] = rest
            else:
                del repeat["dayOfWeek"]
            clause.repeat = repeat or None
