"""One event for what a note and the record both say."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, replace

from storage.analytics.quantity_units import canonical_unit
from storage.analytics.timeline_event import NLP, STRUCTURED, TimelineEvent

# A note is often signed the day after what it tells of.
_WITHIN_US = 86_400_000_000

_NOT_WORD = re.compile(r"[\W_]+")
# Synthea and SNOMED CT fully specified names end in their semantic tag: "Diabetes (disorder)".
_SEMANTIC_TAG = re.compile(
    r"\s*\((?:disorder|finding|procedure|situation|observable entity|morphologic abnormality|"
    r"regime/therapy|substance|product|event|person)\)\s*\Z"
)


@dataclass(frozen=True)
class Placed:
    """An event with what merging and sorting need: its interval, its note's, all its codes."""

    event: TimelineEvent
    low_us: int | None
    high_us: int | None
    note_low_us: int | None
    note_high_us: int | None
    codes: frozenset[tuple[str | None, str]]


def normalised(display: str | None) -> str:
    """A display text as it is compared: no case, punctuation or semantic tag."""
    if not display:
        return ""
    return _NOT_WORD.sub(" ", _SEMANTIC_TAG.sub("", display.lower())).strip()


def merge(placed: list[Placed]) -> list[Placed]:
    """Fold each event read from a note into the record's own, or the note's first, of the same.

    Same means: the same kind, a code in common or the same normalised display, the same traits,
    no contradicting value, and for the record's own a date within a day of the note's. The
    record's event is kept and names the others in `also_in`.
    """
    kept: list[Placed] = []
    targets: dict[tuple[str, object], list[int]] = defaultdict(list)
    ordered = sorted(placed, key=lambda item: (item.event.source == NLP, item.event.reference))
    for item in ordered:
        index = None
        if item.event.source == NLP:
            near = sorted({i for key in _keys(item) for i in targets.get(key, ())})
            index = next((i for i in near if _same(kept[i], item)), None)
        if index is None:
            for key in _keys(item):
                targets[key].append(len(kept))
            kept.append(item)
        else:
            target = kept[index]
            also_in = (*target.event.also_in, item.event.reference)
            kept[index] = replace(target, event=replace(target.event, also_in=also_in))
    return kept


def _keys(item: Placed) -> list[tuple[str, object]]:
    keys: list[tuple[str, object]] = [(item.event.kind, code) for code in item.codes]
    if words := normalised(item.event.display):
        keys.append((item.event.kind, words))
    return keys


def _same(target: Placed, item: Placed) -> bool:
    if set(target.event.traits) != set(item.event.traits):
        return False
    if target.event.status == "refuted" and item.event.status != "refuted":
        return False
    if not _values_agree(target.event.value, item.event.value, item.event.kind):
        return False
    if target.event.source == STRUCTURED:
        return _within_a_day(target, item)
    return target.event.note == item.event.note and target.event.date == item.event.date


def _values_agree(one: str | None, other: str | None, kind: str) -> bool:
    # A dosage is worded differently everywhere; two results are two facts unless they are equal.
    return kind != "observation" or one is None or other is None or _value(one) == _value(other)


def _value(text: str) -> tuple[object, str]:
    number, _, unit = text.partition(" ")
    try:
        return float(number), canonical_unit(unit)
    except ValueError:
        return text.lower(), ""


def _within_a_day(target: Placed, item: Placed) -> bool:
    low, high = item.note_low_us, item.note_high_us
    if low is None or high is None:
        low, high = item.low_us, item.high_us
    if low is None or high is None or target.low_us is None or target.high_us is None:
        return False
    return target.low_us < high + _WITHIN_US and target.high_us > low - _WITHIN_US
