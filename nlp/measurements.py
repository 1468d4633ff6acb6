"""Measurements: gives each test the results that are about it.

What is read, and by which rules, is in `nlp/results/`. Here is decided where to look: behind the
name up to the next finding or the end of the line, else right before it (`trace protein`). What a
note only aims at or makes a condition (`goal A1c < 7`, `hold for SBP < 100`) is no result.
"""

import re
from bisect import bisect_right
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from spacy.language import Language
from spacy.tokens import Doc, Span

from nlp.mention import NEGATED, TEST, Attribute
from nlp.results import panels, qualitative, vital_signs
from nlp.results.coding import set_coding, without_blood_ranges
from nlp.results.interpretation import code_of, flag_before
from nlp.results.reading import read
from nlp.results.result_dates import heading_date
from nlp.results.specimen import URINE, specimen_before
from nlp.sections import Section
from nlp.terminology import Term, knowledge_base

_REACH = 110
_BEFORE_REACH = 80
_LINE_REACH = 500
_MOST_JOINED = 12
_BP_LOINC, _HEIGHT_LOINC, _SATURATION_LOINC = "85354-9", "8302-2", "2708-6"
_AIM = re.compile(
    r"\b(?:goals?|targets?|targeting|keep(?:ing)?|maintain(?:ing)?|titrat\w+|aim(?:ing)?\s+for|ideal|desired"
    r"|to\s+(?:achieve|keep|reach|maintain)|should\s+be|parameters?|if|unless|until)\b[^.;\n]*$",
    re.IGNORECASE,
)
_AIM_WITH_COMPARATOR = re.compile(
    r"\b(?:hold(?:ing)?|call|notify|page|when(?:ever)?|once|should|transfuse|replete|give|prn|for)\b[^.;\n]*$",
    re.IGNORECASE,
)
_DENIED = re.compile(
    r"\b(?:no|not|without|denies|denied|never|nor|any)\s+(?:\w+\s+){0,4}$", re.IGNORECASE
)
# What a model may take into a test's name that is not of it, and what it may take for one.
_MODIFIERS = re.compile(
    r"^(?:(?:urine|urinary|serum|plasma|blood|csf|spot|random|repeat|initial|his|her|the|a|an|total)\s+)+"
    r"|\s+(?:levels?|counts?|values?|concentrations?|tests?|results?)$",
    re.IGNORECASE,
)
_TOOK_RESULT = re.compile(
    r"\d|\b(?:trace|positive|negative|normal|elevated|high|low)\b", re.IGNORECASE
)
_MOST_NAME_WORDS = 6
_NO_NAME = re.compile(
    r"[\W\d_]*(?:HH?|LL?|N|A|high|low|normal|abnormal|elevated|critical(?:\s+(?:low|high))?|trace|positive"
    r"|negative|pos|neg|labs?|vitals?|signs?|x|no\s+growth|growth|[a-z])?[\W\d_]*",
    re.IGNORECASE,
)
_FOR = re.compile(r"\bfor\s+(?:urine\s+|serum\s+)?$", re.IGNORECASE)
# The same test's other name in brackets behind it: `ALT (SGPT) 34`.
_OPENING, _CLOSING = re.compile(r"\s*[(\[]\s*"), re.compile(r"\s*[)\]]")
_SHARE = re.compile(r"(?<![\d.])(?P<value>\d{1,3}(?:\.\d)?)\s*(?P<unit>%)\s*$")
_SHARE_REACH, _WHOLE = 10, 100
_SENTENCE_END = re.compile(r"(?<![A-Z][a-z])[.!?]\s+(?=[A-Z])")
_JOINED = re.compile(r"(?:\s*(?:,|and|or|/|&|,\s*and|,\s*or)\s*(?:for\s+)?(?:\d\+\s*|trace\s+)?)+")


def _line_start(text: str, begin: int) -> tuple[int, bool]:
    """Where the line of `begin` starts, looked for `_LINE_REACH` back; whether it was found."""
    low = max(0, begin - _LINE_REACH)
    start = text.rfind("\n", low, begin) + 1
    return (start, True) if start else (low, low == 0)


def _sentence_start(text: str, line: int, begin: int) -> int:
    start = line
    for match in _SENTENCE_END.finditer(text, line, begin):
        start = match.end()
    return start


@dataclass(slots=True)
class _Note:
    """One note as it is read; `taken` are the entities that have their results already."""

    text: str
    ents: tuple[Span, ...]
    sections: list[Section]
    taken: set[int] = field(default_factory=set)


class Measurements:
    """Adds TEST_VALUE and what belongs to it to tests."""

    def __init__(self) -> None:
        self._kb = knowledge_base()
        self._names: dict[str, str] = {}
        for term in self._kb.terms.values():
            if term.category == TEST:
                for alias in (term.name, *term.aliases, *(a for a in term.exact if len(a) > 2)):
                    self._names.setdefault(alias.lower(), term.id)

    def __call__(self, doc: Doc) -> Doc:
        """Read what stands around each test on its line."""
        self._settle(doc)
        # `doc.text` is put together anew each time that it is asked for.
        note = _Note(doc.text, tuple(doc.ents), doc._.sections)
        for position, ent in enumerate(note.ents):
            if ent.label_ != TEST or position in note.taken:
                continue
            if any(a.type == "TEST_VALUE" for a in ent._.attributes):
                continue
            self._read(note, position)
        return doc

    def _settle(self, doc: Doc) -> None:
        """Name the tests that a model found, and let go of those that are no names.

        A model's span may be longer than the dictionary's name (`urine creatinine`), or a flag.
        """
        ents = list(doc.ents)
        doubtful = [slot for slot, ent in enumerate(ents) if self._is_doubtful(ent)]
        if not doubtful:
            return
        for slot in doubtful:
            ent = ents[slot]
            known = self._names.get(_MODIFIERS.sub("", ent.text.lower()).strip())
            if known is not None:
                ents[slot] = Span(doc, ent.start, ent.end, label=TEST, kb_id=known)
            else:
                ents[slot] = self._named_part(doc, ent) or ent
        doc.ents = [
            ent
            for ent in ents
            if ent.label_ != TEST or ent.kb_id_ or not _NO_NAME.fullmatch(ent.text)
        ]

    def _is_doubtful(self, ent: Span) -> bool:
        """Whether a test's span is not just a name that the dictionary has."""
        if ent.label_ != TEST:
            return False
        if not ent.kb_id_:
            return True
        return ent.text[-1].isdigit() and ent.text.lower() not in self._names

    def _named_part(self, doc: Doc, ent: Span) -> Span | None:
        """The longest name within a model's span that took the result with it: `MCV 72`."""
        if not _TOOK_RESULT.search(ent.text):
            return None
        for length in range(min(len(ent), _MOST_NAME_WORDS), 0, -1):
            for start in range(ent.start, ent.end - length + 1):
                known = self._names.get(doc[start : start + length].text.lower())
                if known is not None:
                    return Span(doc, start, start + length, label=TEST, kb_id=known)
        return None

    def _read(self, note: _Note, position: int) -> None:
        text, ents, taken = note.text, note.ents, note.taken
        ent = ents[position]
        term = self._kb.term(ent.kb_id_)
        if term is not None and term.type == "IMAGING":
            return
        begin = ent.start_char
        line, _ = _line_start(text, begin)
        if _AIM.search(text, max(line, begin - _BEFORE_REACH), begin):
            return
        own_end = ent.end_char
        if position + 1 < len(ents) and ents[position + 1].kb_id_ == ent.kb_id_:
            closing = _CLOSING.match(text, ents[position + 1].end_char)
            if closing and _OPENING.fullmatch(text, own_end, ents[position + 1].start_char):
                taken.add(position + 1)
                position, own_end = position + 1, closing.end()
        run = self._run(text, ents, position)
        if len(run) > 1:
            terms = [self._kb.term(ents[slot].kb_id_) for slot in run]
            end = self._end(text, ents, run[-1])
            values = panels.read_several(text, ents[run[-1]].end_char, end, terms)
            if values:
                for slot, value in zip(run, values, strict=True):
                    self._give(note, ents[slot], self._kb.term(ents[slot].kb_id_), [value], line)
                taken.update(run)
                return
        end = self._end(text, ents, position)
        following = ents[position + 1] if position + 1 < len(ents) else None
        next_is_test = (
            following is not None and following.label_ == TEST and following.start_char == end
        )
        ahead = self._share_before(note, ents, position, term, line)
        if ahead:
            self._give(note, ent, term, ahead, line)
            return
        specimen = self._specimen(note, ent)
        found = self._behind(
            text, own_end, without_blood_ranges(term, specimen), end, next_is_test=next_is_test
        )
        if next_is_test and self._shared(note, ents, position, found, taken, line):
            return
        if not any(a.type == "TEST_VALUE" for a in found):
            found = self._before(note, ents, position, term, line)
            if found and len(run) > 1 and _FOR.search(text, line, begin):
                # `negative for ketones and glucose`
                for slot in run:
                    own = self._kb.term(ents[slot].kb_id_)
                    self._give(note, ents[slot], own, list(found), line)
                taken.update(run)
                return
        if not found and len(run) > 1 and self._common(note, ents, run, taken, line):
            return
        if found:
            self._give(note, ent, term, found, line)

    def _common(
        self, note: _Note, ents: tuple[Span, ...], run: list[int], taken: set[int], line: int
    ) -> bool:
        """`CBC, BMP and LFTs were normal`: the result in words behind a row is that of each."""
        last = ents[run[-1]]
        term = self._kb.term(last.kb_id_)
        if term is not None and term.type == "IMAGING":
            return False
        end = self._end(note.text, ents, run[-1])
        found = self._behind(note.text, last.end_char, term, end, next_is_test=False)
        values = [a for a in found if a.type == "TEST_VALUE" and "concept" in a.value]
        if len(values) != 1:
            return False
        for slot in run:
            own = self._kb.term(ents[slot].kb_id_)
            if own is None or own.type == "LAB":
                self._give(note, ents[slot], own, list(found), line)
        taken.update(run)
        return True

    def _share_before(
        self, note: _Note, ents: tuple[Span, ...], position: int, term: Term | None, line: int
    ) -> list[Attribute]:
        """`2% neutrophils, 94% lymphocytes`: the percentage before the name of a kind of cell."""
        if term is None or term.type != "LAB" or not term.units or term.units[0].ucum != "%":
            return []
        text, begin = note.text, ents[position].start_char
        match = _SHARE.search(text, max(line, begin - _SHARE_REACH), begin)
        if match is None or (position and match.start("value") < ents[position - 1].end_char):
            return []
        if position and any(a.end > match.start("value") for a in ents[position - 1]._.attributes):
            return []
        value = Decimal(match["value"])
        if value > _WHOLE:
            return []
        content = {"value": value, "code": "%", "unit": "%", "unitWritten": True}
        return [
            Attribute("TEST_VALUE", match["value"], *match.span("value"), 1.0, content),
            Attribute("TEST_UNIT", "%", *match.span("unit"), 1.0, {"code": "%"}),
        ]

    def _end(self, text: str, ents: tuple[Span, ...], position: int) -> int:
        after = ents[position].end_char
        end = min(len(text), after + _REACH)
        line_end = text.find("\n", after, end)
        end = line_end if line_end >= 0 else end
        if position + 1 < len(ents):
            end = min(end, max(after, ents[position + 1].start_char))
        return end

    def _run(self, text: str, ents: tuple[Span, ...], position: int) -> list[int]:
        """The tests written in a row with nothing but joints between: `AST/ALT`, `Na, K and Cl`."""
        run = [position]
        for slot in range(position + 1, min(len(ents), position + _MOST_JOINED)):
            if ents[slot].label_ != TEST or not panels.JOINT.fullmatch(
                text, ents[slot - 1].end_char, ents[slot].start_char
            ):
                break
            run.append(slot)
        return run

    def _behind(
        self, text: str, begin: int, term: Term | None, end: int, *, next_is_test: bool
    ) -> list[Attribute]:
        codes = {concept.code for concept in term.codes} if term is not None else set()
        if _BP_LOINC in codes:
            return vital_signs.read_blood_pressure(text, begin, end)
        if _HEIGHT_LOINC in codes:
            height = vital_signs.read_height(text, begin, end)
            if height:
                return height
        if term is not None and term.name in panels.PANELS:
            return panels.read_panel(text, begin, end, term.name) or read(
                text, begin, end, term, next_is_test=next_is_test
            )
        found = read(text, begin, end, term, next_is_test=next_is_test)
        if _SATURATION_LOINC in codes and found:
            last = max(attribute.end for attribute in found)
            room = min(len(text), last + _REACH)
            flow = vital_signs.oxygen_flow(text, last, room)
            if flow is not None:
                found[0] = replace(found[0], value={**found[0].value, **flow.value})
                found.append(flow)
        return found

    def _shared(
        self,
        note: _Note,
        ents: tuple[Span, ...],
        position: int,
        found: list[Attribute],
        taken: set[int],
        line: int,
    ) -> bool:
        """`UA positive for nitrites and ketones`: the result is that of the tests it names."""
        text = note.text
        values = [a for a in found if a.type == "TEST_VALUE"]
        if len(values) != 1 or "concept" not in values[0].value:
            return False
        after = qualitative.FOR.fullmatch(text, values[0].end, ents[position + 1].start_char)
        if after is None:
            return False
        slot = position + 1
        while slot < len(ents) and ents[slot].label_ == TEST:
            term = self._kb.term(ents[slot].kb_id_)
            self._give(note, ents[slot], term, list(values), line)
            taken.add(slot)
            if slot + 1 >= len(ents) or not _JOINED.fullmatch(
                text, ents[slot].end_char, ents[slot + 1].start_char
            ):
                break
            slot += 1
        return True

    def _before(
        self, note: _Note, ents: tuple[Span, ...], position: int, term: Term | None, line: int
    ) -> list[Attribute]:
        """The result in words that stands before a laboratory test's name."""
        if term is not None and term.type != "LAB":
            return []
        text, begin = note.text, ents[position].start_char
        limit = max(line, ents[position - 1].end_char if position else 0)
        match = qualitative.before(text, begin, limit)
        offset = max(limit, begin - qualitative._REACH)
        if match is not None:
            name = qualitative.name_of(match)
            if _DENIED.search(text, limit, offset + match.start(name)):
                return []  # `no elevated troponin`
            span = offset + match.start(name), offset + match.end(name)
            return [Attribute("TEST_VALUE", text[slice(*span)], *span, 1.0, {"concept": name})]
        if specimen_before(text, line, begin, ents[position].end_char) != URINE:
            return []
        amount = qualitative.amount_before(text, begin, limit)
        if amount is None:
            return []
        span = offset + amount.start("amount"), offset + amount.end("amount")
        word = amount["amount"].lower()
        content: dict[str, Any] = {"concept": "absent"} if word == "no" else {"words": word}
        return [Attribute("TEST_VALUE", text[slice(*span)], *span, 1.0, content)]

    def _give(
        self, note: _Note, ent: Span, term: Term | None, found: list[Attribute], line: int
    ) -> None:
        """Complete the results (flag before the name, date of the line, code) and attach them."""
        text, begin = note.text, ent.start_char
        results = [a for a in found if a.type == "TEST_VALUE"]
        if any("comparator" in a.value for a in results) and _AIM_WITH_COMPARATOR.search(
            text, max(line, begin - _BEFORE_REACH), begin
        ):
            return
        flag = flag_before(text, begin, line)
        sentence = _sentence_start(text, line, begin)
        dated = heading_date(text, line, begin) if _line_start(text, begin)[1] else None
        if dated is None and sentence > line:
            dated = heading_date(text, sentence, begin)
        specimen = self._specimen(note, ent)
        complete: list[Attribute] = []
        for attribute in found:
            if attribute.type != "TEST_VALUE":
                complete.append(attribute)
                continue
            content = dict(attribute.value)
            if content.get("concept") in qualitative.INTERPRETED:
                content.setdefault("interpretation", qualitative.INTERPRETED[content["concept"]])
            elif flag is not None:
                content.setdefault("interpretation", code_of(flag))
            if dated is not None:
                content.setdefault("date", dated[0])
            set_coding(term, specimen, content)
            complete.append(replace(attribute, value=content))
        ent._.attributes = [*ent._.attributes, *complete]
        if results and not any("comparator" in a.value for a in results):
            # A test with a result was done: `no fever, WBC 12.3`, `negative HIV test`.
            ent._.traits = ent._.traits - {NEGATED}

    @staticmethod
    def _specimen(note: _Note, ent: Span) -> str | None:
        text, begin = note.text, ent.start_char
        sentence = _sentence_start(text, _line_start(text, begin)[0], begin)
        return specimen_before(text, sentence, begin, ent.end_char) or _titled(note.sections, begin)


def _titled(sections: list[Section], begin: int) -> str | None:
    """The specimen that the title of the section around names."""
    slot = bisect_right(sections, begin, key=lambda section: section.begin) - 1
    title = sections[slot].title if slot >= 0 else ""
    return specimen_before(title, 0, len(title), len(title)) if title else None


@Language.factory("measurements", requires=["doc.ents"])
def create_measurements(nlp: Language, name: str) -> Measurements:
    """The factory that spaCy calls."""
    return Measurements()
