"""A patient's life with us in order: routine visits, illness, pregnancy, operations, death.

Care begins some years before the end (at birth for small children), so that a chart holds a few
years in detail and the older diagnoses with their true onset.
"""

from __future__ import annotations

from collections.abc import Callable

from service.synth.background import record_allergies, record_family_history
from service.synth.chart import Chart
from service.synth.clock import DAYS_PER_YEAR
from service.synth.disease.cancer import OPERATIONS
from service.synth.disease.chronic import Chronic
from service.synth.disease.illness import ILLNESSES, exacerbation, heart_attack, play
from service.synth.disease.pregnancy import Pregnancy, deliver, plan_pregnancies, prenatal_visit
from service.synth.disease.registry import CHRONIC_MODULES
from service.synth.physiology import measure_panels, measure_vitals, settle_body
from service.synth.prevention import screen, vaccinate
from service.synth.visit import Visit

Event = tuple[int, int, Callable[[], None]]  # (day, order of planning, what happens)

# Ages in days at which a small child is seen.
_WELL_CHILD = (32, 61, 122, 183, 274, 366, 457, 548, 732, 915)
_FLARES = (("asthma", 0.10), ("copd", 0.22), ("heart_failure", 0.2))


def simulate(chart: Chart, after_visit: Callable[[Chart, Visit], None]) -> None:
    """Play the record through; `after_visit` is called when each encounter is complete."""
    person, random = chart.person, chart.random.random
    last = chart.last_day - 1
    years = 1.6 + 3.4 * random() * random() + random()
    first = max(person.birth_day + 30, last - int(years * DAYS_PER_YEAR))
    if first - person.birth_day < 2 * DAYS_PER_YEAR:
        first = person.birth_day + 30
    chart.first_day = first
    settle_body(chart)
    modules = [module(chart) for key, module in CHRONIC_MODULES.items() if key in chart.onsets]
    events = _illness_events(chart, first, last)
    for pregnancy in plan_pregnancies(person, chart.random, first, last):
        events += _pregnancy_events(chart, pregnancy, last, len(events))
    events.sort(key=lambda event: (event[0], event[1]))

    next_routine = min(last, first + int(random() * 40))
    position = 0
    while True:
        event_day = events[position][0] if position < len(events) else last + 1
        if next_routine <= last and not chart.free_on(next_routine):
            next_routine = chart.visits[-1].end_day + 5
            continue
        operation = _due_operation(chart, min(event_day, next_routine))
        if operation is not None:
            _operate(chart, operation, last)
        elif next_routine <= event_day and next_routine <= last:
            _routine(chart, modules, next_routine)
            next_routine += _interval(chart, modules, next_routine)
        elif event_day <= last:
            # Nobody falls ill here before they have been registered at a first visit.
            if chart.visits:
                events[position][2]()
            position += 1
        else:
            break
        _complete(chart, after_visit)
    if person.death_day is not None:
        chart.end_all_orders("patient deceased")


def _complete(chart: Chart, after_visit: Callable[[Chart, Visit], None]) -> None:
    for visit in chart.visits[chart.visits_noted :]:
        after_visit(chart, visit)
    chart.visits_noted = len(chart.visits)


def _routine(chart: Chart, modules: list[Chronic], day: int) -> None:
    """A check-up or follow-up: every disease has its turn, then tests, vaccines, screening."""
    age = chart.person.age(day)
    chronic = [m for m in modules if chart.onsets[m.key] <= day]
    first = not chart.visits
    kind = "well_child" if age < 18 and not chronic else "follow_up" if chronic else "checkup"
    reason = None
    if chronic and not first:
        present = [m for m in chronic if m.key in chart.problems]
        if present:
            reason = min(present, key=lambda m: m.interval).key
    visit = chart.open_visit(kind, day, reason=reason)
    if first:
        record_allergies(chart, visit)
        record_family_history(chart, visit)
    for module in modules:
        module.attend(visit)
    measure_vitals(chart, visit)
    if kind != "follow_up" or first or day - chart.days.get("screened", 0) > 330:
        chart.days["screened"] = day
        screen(chart, visit)
    measure_panels(chart, visit)
    vaccinate(chart, visit)


def _interval(chart: Chart, modules: list[Chronic], day: int) -> int:
    """Days until the next routine visit: the shortest any disease wants, loosely kept."""
    days_old = day - chart.person.birth_day
    if days_old < 1000:
        for due in _WELL_CHILD:
            if due > days_old + 14:
                return due - days_old + int(chart.random.random() * 6)
    age = chart.person.age(day)
    usual = 365 if age < 18 or age >= 50 else 620
    wanted = min((m.interval for m in modules if m.begun), default=usual)
    return max(28, int(min(wanted, usual) * (0.88 + 0.4 * chart.random.random())))


def _illness_events(chart: Chart, first: int, last: int) -> list[Event]:
    person, random = chart.person, chart.random
    span = (last - first) / DAYS_PER_YEAR
    age = person.age(last - (last - first) // 2)
    events: list[Event] = []
    for illness in ILLNESSES:
        expected = illness.rate(person, age) * span
        if expected <= 0:
            continue
        while random.random() < expected / (1 + expected):
            day = first + int(random.random() * (last - first))
            events.append((day, len(events), lambda i=illness, d=day: play(chart, i, d)))  # type: ignore[misc]
            expected *= 0.5
    for key, rate in _FLARES:
        if key in chart.onsets and random.random() < rate * span:
            day = first + int(random.random() * (last - first))
            events.append((day, len(events), lambda k=key, d=day: exacerbation(chart, k, d)))  # type: ignore[misc]
    if "cad" in chart.onsets and random.random() < 0.035 * span:
        day = first + int(random.random() * (last - first))
        events.append((day, len(events), lambda d=day: heart_attack(chart, d)))  # type: ignore[misc]
    return events


def _pregnancy_events(chart: Chart, pregnancy: Pregnancy, last: int, order: int) -> list[Event]:
    def see(day: int) -> Callable[[], None]:
        return lambda: _prenatal(chart, pregnancy, day)

    events: list[Event] = [
        (day, order + number, see(day)) for number, day in enumerate(pregnancy.visit_days())
    ]
    events.append((pregnancy.delivery_day, order + 50, lambda: deliver(chart, pregnancy)))
    return [event for event in events if event[0] <= last]


def _prenatal(chart: Chart, pregnancy: Pregnancy, day: int) -> None:
    if chart.free_on(day):
        prenatal_visit(chart, pregnancy, day)


def _due_operation(chart: Chart, day: int) -> str | None:
    for key in OPERATIONS:
        if chart.days.get(f"operate/{key}", day + 1) <= day:
            return key
    return None


def _operate(chart: Chart, key: str, last: int) -> None:
    module = OPERATIONS[key]
    day = chart.days.pop(f"operate/{key}")
    if not chart.free_on(day):
        day = chart.visits[-1].end_day + 1
    if day + module.nights > last:
        return
    visit = chart.open_visit("surgery", day, nights=module.nights, reason=key)
    visit.chief = f"elective {module.operation.replace('_', ' ')}"
    visit.reassured += ["chest pain", "fever"]
    measure_vitals(chart, visit)
    chart.perform(visit, module.operation, key)
    visit.ordered.add("blood_count")
    measure_panels(chart, visit)
    chart.prescribe(visit, "acetaminophen", key, days=7)
    chart.prescribe(visit, "oxycodone", key, days=4)
