"""Trigger phrases and their scopes: the engine under `context` and `medication_status`.

Semantics after ConText (Harkema 2009) and medspaCy: a trigger reaches forward, backward or both
ways within its sentence, until a terminator of its label; a pseudo-trigger hides the triggers
inside it; the longest trigger wins; a trigger inside a concept's own words has no effect.
"""

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from spacy.language import Language
from spacy.matcher import PhraseMatcher
from spacy.tokens import Doc

from nlp import rules

_DIRECTIONS = frozenset(("forward", "backward", "both", "pseudo", "terminate"))
_OR = frozenset(("or", "vs", "vs.", "versus", "/", "and/or", "."))
_LIST = _OR | {"and", ",", "&", "(", ")", "as", "well"}
_OR_GAP, _LIST_GAP = 2, 3
# Words of a dosage do not interrupt a list: `given aspirin 325 mg PO and heparin`.
_DOSING = re.compile(
    r"q\d+(?:-\d+)?h?(?:rs)?|hrs?|h|x|mg|mcg|g|ml|meq|units?|tab(?:let)?s?|cap(?:sule)?s?|puffs?|p\.?o|i[vm]|s[lcq]|[btq]id|q(?:hs|d)?"
    r"|prn|daily|nightly|weekly|once|twice|three|times|a|day|every|each|at|in|the|morning|evening"
    r"|bedtime|night|hours|by|mouth|orally"
)


@dataclass(frozen=True, slots=True)
class Rule:
    """One trigger. `max_tokens` bounds its reach; `chain` are the words that carry it further."""

    label: str
    direction: str
    max_tokens: int | None
    chain: frozenset[str] | None
    chain_gap: int


@dataclass(frozen=True, slots=True)
class Hit:
    """A trigger (token span) that reaches the target with that index."""

    rule: Rule
    start: int
    end: int
    target: int


@dataclass(frozen=True, slots=True)
class _Trigger:
    rule: Rule
    start: int
    end: int


def _rule(label: str, direction: str, scope: str) -> Rule:
    if direction not in _DIRECTIONS:
        raise ValueError(f"unknown direction {direction!r}; one of {sorted(_DIRECTIONS)}")
    if scope == "next":
        return Rule(label, direction, None, _OR, _OR_GAP)
    if scope == "list":
        return Rule(label, direction, None, _LIST, _LIST_GAP)
    return Rule(label, direction, int(scope) if scope.isdigit() else None, None, 0)


def _expand(words: str, sets: dict[str, str]) -> Iterator[str]:
    places = [
        sets[place[1:-1]].split("|") if place.startswith("{") else _alternatives(place)
        for place in words.split(" ")
        if place
    ]
    for combination in product(*places):
        yield " ".join(combination)


def _alternatives(place: str) -> list[str]:
    return place.split("|") if place != "|" else [place]


class ScopeRules:
    """The rules of one file, ready to be applied to docs."""

    def __init__(self, nlp: Language, file_name: str) -> None:
        self._matcher = PhraseMatcher(nlp.vocab, attr="NORM")
        self._rules: dict[str, list[Rule]] = {}
        self._patterns: list[tuple[re.Pattern[str], Rule]] = []
        sets: dict[str, str] = {}
        docs: list[Doc] = []
        for cells in _lines(file_name):
            if cells[0].startswith("@"):
                sets[cells[0][1:]] = cells[1]
                continue
            label, direction, scope, words = cells
            rule = _rule(label, direction, scope)
            if words.startswith("re:"):
                self._patterns.append((re.compile(words[3:]), rule))
                continue
            for phrase in _expand(words, sets):
                doc = nlp.make_doc(phrase)
                key = " ".join(token.norm_ for token in doc)
                known = self._rules.setdefault(key, [])
                if not known:
                    docs.append(doc)
                if rule not in known:
                    known.append(rule)
        self._matcher.add("TRIGGER", docs)

    def _triggers(self, doc: Doc) -> list[_Trigger]:
        found: list[_Trigger] = []
        norms = [token.norm_ for token in doc]
        for _, start, end in self._matcher(doc):
            for rule in self._rules.get(" ".join(norms[start:end]), ()):
                found.append(_Trigger(rule, start, end))
        text = doc.text
        for pattern, rule in self._patterns:
            for match in pattern.finditer(text):
                span = doc.char_span(match.start(), match.end(), alignment_mode="expand")
                if span is not None:
                    found.append(_Trigger(rule, span.start, span.end))
        return found

    def hits(
        self, doc: Doc, sentences: Sequence[tuple[int, int]], targets: Sequence[tuple[int, int]]
    ) -> Iterator[Hit]:
        """Which triggers reach which of `targets` (token spans, ascending, not overlapping)."""
        if not targets:
            return
        triggers = sorted(self._triggers(doc), key=lambda t: (t.start, -t.end))
        starts = [trigger.start for trigger in triggers]
        target_starts = [start for start, _ in targets]
        for begin, end in sentences:
            first = bisect_left(target_starts, begin)
            last = bisect_left(target_starts, end)
            low, high = bisect_left(starts, begin), bisect_left(starts, end)
            if first == last or low == high:
                continue
            here = list(range(first, last))
            effective = _effective(triggers[low:high], [targets[i] for i in here])
            ends = [t for t in effective if t.rule.direction == "terminate"]
            for trigger in effective:
                if trigger.rule.direction in ("forward", "both"):
                    yield from _forward(doc, trigger, ends, here, targets, end)
                if trigger.rule.direction in ("backward", "both"):
                    yield from _backward(doc, trigger, ends, here, targets, begin)


def _lines(file_name: str) -> Iterator[list[str]]:
    """Named sets have two cells, rules four."""
    for number, cells in rules.lines(file_name):
        if len(cells) != (2 if cells[0].startswith("@") else 4):
            raise ValueError(f"nlp/rules/{file_name} line {number}: {len(cells)} columns")
        yield cells


def _ends(rule: Rule, other: _Trigger) -> bool:
    """Whether a terminator or pseudo-trigger concerns the rule's label."""
    return other.rule.label in ("*", rule.label)


def _effective(triggers: list[_Trigger], targets: list[tuple[int, int]]) -> list[_Trigger]:
    """The triggers that are not inside a concept, nor inside a longer trigger."""
    outside = [t for t in triggers if not any(t.start < e and s < t.end for s, e in targets)]
    return [t for t in outside if not any(_hides(other, t) for other in outside)]


def _hides(other: _Trigger, trigger: _Trigger) -> bool:
    """Whether `other` voids `trigger`: longer and around it, or a pseudo-trigger over its end."""
    if other.rule.direction == "terminate":
        return False
    around = (
        other.start <= trigger.start
        and trigger.end <= other.end
        and other.end - other.start > trigger.end - trigger.start
    )
    if other.rule.direction != "pseudo":
        return around
    runs_on = other.start < trigger.end < other.end
    return (around or runs_on) and _ends(trigger.rule, other)


def _chained(
    doc: Doc, rule: Rule, ordered: list[int], targets: Sequence[tuple[int, int]], step: int
) -> list[int]:
    """The nearest target and those that the rule's chain words join to it."""
    if rule.chain is None or not ordered:
        return ordered
    kept = [ordered[0]]
    for index in ordered[1:]:
        near, far = (kept[-1], index) if step > 0 else (index, kept[-1])
        gap = [
            token.lower_
            for token in doc[targets[near][1] : targets[far][0]]
            if not (_DOSING.fullmatch(token.lower_) or token.like_num)
        ]
        joined = len(gap) <= rule.chain_gap + 1 and any(word in rule.chain for word in gap)
        strangers = [word for word in gap if word not in rule.chain]
        if not joined or len(strangers) > 1 or any(len(word) > 8 for word in strangers):
            break
        kept.append(index)
    return kept


def _forward(
    doc: Doc,
    trigger: _Trigger,
    ends: list[_Trigger],
    here: list[int],
    targets: Sequence[tuple[int, int]],
    limit: int,
) -> Iterator[Hit]:
    rule = trigger.rule
    for terminator in ends:
        if terminator.start >= trigger.end and _ends(rule, terminator):
            limit = min(limit, terminator.start)
    if rule.max_tokens is not None:
        limit = min(limit, trigger.end + rule.max_tokens)
    reached = [i for i in here if targets[i][0] >= trigger.end and targets[i][1] <= limit]
    for index in _chained(doc, rule, reached, targets, 1):
        yield Hit(rule, trigger.start, trigger.end, index)


def _backward(
    doc: Doc,
    trigger: _Trigger,
    ends: list[_Trigger],
    here: list[int],
    targets: Sequence[tuple[int, int]],
    limit: int,
) -> Iterator[Hit]:
    rule = trigger.rule
    for terminator in ends:
        if terminator.end <= trigger.start and _ends(rule, terminator):
            limit = max(limit, terminator.end)
    if rule.max_tokens is not None:
        limit = max(limit, trigger.start - rule.max_tokens)
    reached = [i for i in here if targets[i][1] <= trigger.start and targets[i][0] >= limit]
    for index in _chained(doc, rule, reached[::-1], targets, -1):
        yield Hit(rule, trigger.start, trigger.end, index)
