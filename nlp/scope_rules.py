"""Trigger phrases and their scopes: the engine under `context` and `medication_status`.

Semantics after ConText (Harkema 2009) and medspaCy: a trigger reaches forward, backward or both
ways within its sentence, until a terminator of its label; a pseudo-trigger hides the triggers
inside it; the longest trigger wins; a trigger inside a concept's own words has no effect.
"""

import re
from bisect import bisect_left, bisect_right
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
# No dosage between two items of a list has more tokens.
_LONGEST_JOINT = 60
# So many targets a trigger reaches whether or not its words come again before them.
_NEAREST = 40
# Words of a dosage do not interrupt a list: `given aspirin 325 mg PO and heparin`.
_DOSING = re.compile(
    r"q\d+(?:-\d+)?h?(?:rs)?|hrs?|h|x|mg|mcg|g|ml|meq|units?|tab(?:let)?s?|cap(?:sule)?s?|puffs?|p\.?o|i[vm]|s[lcq]|[btq]id|q(?:hs|d)?"
    r"|prn|daily|nightly|weekly|once|twice|three|times|a|day|every|each|at|in|the|morning|evening"
    r"|bedtime|night|hours|by|mouth|orally"
)


# `re:` is looked for everywhere, `re(word|word):` around those words alone, which is cheaper.
_EXPRESSION = re.compile(r"re(?:\((?P<near>[^)]+)\))?:")
_BEFORE_WORD, _BEHIND_WORD = 80, 200


def _windows(lower: str, near: tuple[str, ...]) -> list[tuple[int, int]]:
    """Where an expression that has one of those words in it may stand; all of a text for none."""
    if not near:
        return [(0, len(lower))]
    places: list[int] = []
    for word in near:
        place = lower.find(word)
        while place >= 0:
            places.append(place)
            place = lower.find(word, place + len(word))
    merged: list[tuple[int, int]] = []
    for place in sorted(places):
        begin, end = max(0, place - _BEFORE_WORD), min(len(lower), place + _BEHIND_WORD)
        if merged and begin <= merged[-1][1]:
            merged[-1] = merged[-1][0], end
        else:
            merged.append((begin, end))
    return merged


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
        self._patterns: list[tuple[re.Pattern[str], tuple[str, ...], Rule]] = []
        sets: dict[str, str] = {}
        docs: list[Doc] = []
        for cells in _lines(file_name):
            if cells[0].startswith("@"):
                sets[cells[0][1:]] = cells[1]
                continue
            label, direction, scope, words = cells
            rule = _rule(label, direction, scope)
            expression = _EXPRESSION.match(words)
            if expression is not None:
                near = tuple((expression["near"] or "").split("|")) if expression["near"] else ()
                pattern = re.compile(words[expression.end() :])
                self._patterns.append((pattern, near, rule))
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
        lower = text.lower()
        windows: dict[tuple[str, ...], list[tuple[int, int]]] = {}
        for pattern, near, rule in self._patterns:
            if near not in windows:
                windows[near] = (
                    _windows(lower, near) if len(lower) == len(text) else [(0, len(text))]
                )
            for begin, end in windows[near]:
                for match in pattern.finditer(text, begin, end):
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
            within = range(first, last)
            effective = _effective(triggers[low:high], targets[first:last])
            reach = _Reach(doc, effective, targets, within)
            for trigger in effective:
                if trigger.rule.direction in ("forward", "both"):
                    yield from reach.forward(trigger, end)
                if trigger.rule.direction in ("backward", "both"):
                    yield from reach.backward(trigger, begin)


def _lines(file_name: str) -> Iterator[list[str]]:
    """Named sets have two cells, rules four."""
    for number, cells in rules.lines(file_name):
        if len(cells) != (2 if cells[0].startswith("@") else 4):
            raise ValueError(f"nlp/rules/{file_name} line {number}: {len(cells)} columns")
        yield cells


def _ends(rule: Rule, other: _Trigger) -> bool:
    """Whether a pseudo-trigger concerns the rule's label."""
    return other.rule.label in ("*", rule.label)


def _effective(triggers: list[_Trigger], targets: Sequence[tuple[int, int]]) -> list[_Trigger]:
    """The triggers, sorted by start, that are not inside a concept, nor inside a longer trigger."""
    target_ends = [end for _, end in targets]

    def outside_concepts(trigger: _Trigger) -> bool:
        slot = bisect_right(target_ends, trigger.start)
        return slot == len(targets) or targets[slot][0] >= trigger.end

    outside = [trigger for trigger in triggers if outside_concepts(trigger)]
    starts = [trigger.start for trigger in outside]
    longest = max((trigger.end - trigger.start for trigger in outside), default=0)
    kept: list[_Trigger] = []
    for trigger in outside:
        low = bisect_left(starts, trigger.start - longest)
        touching = outside[low : bisect_left(starts, trigger.end)]
        if not any(_hides(other, trigger) for other in touching):
            kept.append(trigger)
    return kept


def _hides(other: _Trigger, trigger: _Trigger) -> bool:
    """Whether `other` voids `trigger`: longer and around it, or a pseudo-trigger over its end."""
    if other.rule.direction == "terminate":
        return False
    around = other.start <= trigger.start and trigger.end <= other.end
    longer = other.end - other.start > trigger.end - trigger.start
    if other.rule.direction != "pseudo":
        return around and longer
    runs_on = other.start < trigger.end < other.end
    return (around or runs_on) and _ends(trigger.rule, other)


def _joined(doc: Doc, rule: Rule, begin: int, end: int) -> bool:
    """Whether the words between two targets are ones that carry the trigger further."""
    if rule.chain is None:
        return True
    if end - begin > _LONGEST_JOINT:
        return False
    gap = [
        token.lower_
        for token in doc[begin:end]
        if not (_DOSING.fullmatch(token.lower_) or token.like_num)
    ]
    strangers = [word for word in gap if word not in rule.chain]
    return (
        len(gap) <= rule.chain_gap + 1
        and any(word in rule.chain for word in gap)
        and len(strangers) <= 1
        and all(len(word) <= 8 for word in strangers)
    )


class _Reach:
    """Which targets of one sentence the sentence's triggers reach.

    Where the words of a trigger come again, the second reaches what is behind it: so the first
    need not, beyond the nearest few, and a sentence of any length takes time linear in it.
    """

    __slots__ = ("_doc", "_joints", "_stops", "_targets", "_within")

    def __init__(
        self,
        doc: Doc,
        triggers: list[_Trigger],
        targets: Sequence[tuple[int, int]],
        within: range,
    ) -> None:
        self._doc, self._targets, self._within = doc, targets, within
        self._joints: dict[tuple[Rule, int], bool] = {}
        # Starts and ends, each ascending, of the terminators of a label, of the uses of a rule.
        self._stops: dict[str | Rule, tuple[list[int], list[int]]] = {}
        for trigger in triggers:
            rule = trigger.rule
            key = rule.label if rule.direction == "terminate" else rule
            starts, ends = self._stops.setdefault(key, ([], []))
            starts.append(trigger.start)
            ends.append(trigger.end)
        for starts, ends in self._stops.values():
            starts.sort()
            ends.sort()

    def _next(self, key: str | Rule, place: int, limit: int) -> int:
        starts, _ = self._stops.get(key, ((), ()))
        slot = bisect_left(starts, place)
        return min(limit, starts[slot]) if slot < len(starts) else limit

    def _previous(self, key: str | Rule, place: int, limit: int) -> int:
        _, ends = self._stops.get(key, ((), ()))
        slot = bisect_right(ends, place)
        return max(limit, ends[slot - 1]) if slot else limit

    def _goes_on(self, rule: Rule, index: int) -> bool:
        """Whether a trigger that reaches one of the targets `index` and the next reaches both."""
        known = self._joints.get((rule, index))
        if known is None:
            begin, end = self._targets[index][1], self._targets[index + 1][0]
            known = self._joints[rule, index] = _joined(self._doc, rule, begin, end)
        return known

    def forward(self, trigger: _Trigger, limit: int) -> Iterator[Hit]:
        """What the trigger reaches behind it, the nearest first."""
        rule = trigger.rule
        for label in ("*", rule.label):
            limit = self._next(label, trigger.end, limit)
        if rule.max_tokens is not None:
            limit = min(limit, trigger.end + rule.max_tokens)
        again = self._next(rule, trigger.end, limit)
        within = self._within
        first = bisect_left(self._targets, trigger.end, within.start, within.stop, key=_start)
        for index in range(first, within.stop):
            start, end = self._targets[index]
            if end > limit or (start >= again and index - first >= _NEAREST):
                break
            if index > first and not self._goes_on(rule, index - 1):
                break
            yield Hit(rule, trigger.start, trigger.end, index)

    def backward(self, trigger: _Trigger, limit: int) -> Iterator[Hit]:
        """What the trigger reaches before it, the nearest first."""
        rule = trigger.rule
        for label in ("*", rule.label):
            limit = self._previous(label, trigger.start, limit)
        if rule.max_tokens is not None:
            limit = max(limit, trigger.start - rule.max_tokens)
        again = self._previous(rule, trigger.start, limit)
        within = self._within
        last = bisect_right(self._targets, trigger.start, within.start, within.stop, key=_end) - 1
        for index in range(last, within.start - 1, -1):
            start, end = self._targets[index]
            if start < limit or (end <= again and last - index >= _NEAREST):
                break
            if index < last and not self._goes_on(rule, index):
                break
            yield Hit(rule, trigger.start, trigger.end, index)


def _start(target: tuple[int, int]) -> int:
    return target[0]


def _end(target: tuple[int, int]) -> int:
    return target[1]
