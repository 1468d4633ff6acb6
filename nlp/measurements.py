"""Measurements: gives each test the results that are about it.

What is read, and by which rules, is in `nlp/results/`. Here is decided where to look: behind the
name up to the next finding or the end of the line, else right before it (`trace protein`). What a
note only aims at or makes a condition (`goal A1c < 7`, `hold for SBP < 100`) is no result.
"""

import re
from dataclasses import replace
from decimal import Decimal
from functools import cache
from typing import Any

from spacy.language import Language
from spacy.tokens import Doc, Span

from nlp.mention import NEGATED, TEST, Attribute, Concept
from nlp.results import panels, qualitative, vital_signs
from nlp.results.interpretation import code_of, flag_before
from nlp.results.reading import read
from nlp.results.result_dates import heading_date
from nlp.results.specimen import URINE, specimen_before, specimen_code
from nlp.results.units import equal_amounts
from nlp.rules import rows
from nlp.sections import Section
from nlp.terminology import Term, UnitRange, knowledge_base, systems
from schemas.ucum import canonical

_REACH = 110
_BEFORE_REACH = 80
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
_DENIED = re.compile(r"\b(?:no|not|without|denies|denied|never|nor|any)\s+(?:\w+\s+)?$", re.IGNORECASE)
_SENTENCE_END = re.compile(r"(?<![A-Z][a-z])[.!?]\s+(?=[A-Z])")
_JOINED = re.compile(r"(?:\s*(?:,|and|or|/|&|,\s*and|,\s*or)\s*(?:for\s+)?(?:\d\+\s*|trace\s+)?)+")


def _line_start(text: str, begin: int) -> int:
    return text.rfind("\n", 0, begin) + 1


def _sentence_start(text: str, line: int, begin: int) -> int:
    start = line
    for match in _SENTENCE_END.finditer(text, line, begin):
        start = match.end()
    return start


@cache
def _unit_codes() -> dict[tuple[str, str], Concept]:
    return {
        (test, unit): Concept(systems.LOINC, loinc, display, 1.0, systems.LOINC_CURATED)
        for test, unit, loinc, display in rows("unit_codes.tsv", 4)
    }


def _same_dimension(one: str, other: str) -> bool:
    if equal_amounts(one, other):
        return True
    first, second = canonical(_ONE, one), canonical(_ONE, other)
    return first is not None and second is not None and first[1] == second[1]


_ONE = Decimal(1)


class Measurements:
    """Adds TEST_VALUE and what belongs to it to tests."""

    def __init__(self) -> None:
        self._kb = knowledge_base()

    def __call__(self, doc: Doc) -> Doc:
        """Read what stands around each test on its line."""
        ents = doc.ents
        taken: set[int] = set()
        for position, ent in enumerate(ents):
            if ent.label_ != TEST or position in taken:
                continue
            if any(a.type == "TEST_VALUE" for a in ent._.attributes):
                continue
            self._read(doc, ents, position, taken)
        return doc

    def _read(self, doc: Doc, ents: tuple[Span, ...], position: int, taken: set[int]) -> None:
        text = doc.text
        ent = ents[position]
        term = self._kb.term(ent.kb_id_)
        if term is not None and term.type == "IMAGING":
            return
        begin = ent.start_char
        line = _line_start(text, begin)
        if _AIM.search(text, max(line, begin - _BEFORE_REACH), begin):
            return
        run = self._run(text, ents, position)
        if len(run) > 1:
            terms = [self._kb.term(ents[slot].kb_id_) for slot in run]
            end = self._end(text, ents, run[-1])
            values = panels.read_several(text, ents[run[-1]].end_char, end, terms)
            if values:
                for slot, value in zip(run, values, strict=True):
                    self._give(doc, ents[slot], self._kb.term(ents[slot].kb_id_), [value], line)
                taken.update(run)
                return
        end = self._end(text, ents, position)
        following = ents[position + 1] if position + 1 < len(ents) else None
        next_is_test = (
            following is not None and following.label_ == TEST and following.start_char == end
        )
        specimen = self._specimen(doc, ent)
        found = self._behind(
            text, ent, _elsewhere(term, specimen), end, next_is_test=next_is_test
        )
        if next_is_test and self._shared(doc, ents, position, found, taken, line):
            return
        if not any(a.type == "TEST_VALUE" for a in found):
            found = self._before(doc, ents, position, term, line)
        if found:
            self._give(doc, ent, term, found, line)

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
        for slot in range(position + 1, len(ents)):
            if ents[slot].label_ != TEST or not panels.JOINT.fullmatch(
                text, ents[slot - 1].end_char, ents[slot].start_char
            ):
                break
            run.append(slot)
        return run

    def _behind(
        self, text: str, ent: Span, term: Term | None, end: int, *, next_is_test: bool
    ) -> list[Attribute]:
        begin = ent.end_char
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
        doc: Doc,
        ents: tuple[Span, ...],
        position: int,
        found: list[Attribute],
        taken: set[int],
        line: int,
    ) -> bool:
        """`UA positive for nitrites and ketones`: the result is that of the tests it names."""
        text = doc.text
        values = [a for a in found if a.type == "TEST_VALUE"]
        if len(values) != 1 or "concept" not in values[0].value:
            return False
        after = qualitative.FOR.fullmatch(text, values[0].end, ents[position + 1].start_char)
        if after is None:
            return False
        slot = position + 1
        while slot < len(ents) and ents[slot].label_ == TEST:
            term = self._kb.term(ents[slot].kb_id_)
            self._give(doc, ents[slot], term, list(values), line)
            taken.add(slot)
            if slot + 1 >= len(ents) or not _JOINED.fullmatch(
                text, ents[slot].end_char, ents[slot + 1].start_char
            ):
                break
            slot += 1
        return True

    def _before(
        self, doc: Doc, ents: tuple[Span, ...], position: int, term: Term | None, line: int
    ) -> list[Attribute]:
        """The result in words that stands before a laboratory test's name."""
        if term is None or term.type != "LAB":
            return []
        text, begin = doc.text, ents[position].start_char
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
        self, doc: Doc, ent: Span, term: Term | None, found: list[Attribute], line: int
    ) -> None:
        """Complete the results (flag before the name, date of the line, code) and attach them."""
        text, begin = doc.text, ent.start_char
        results = [a for a in found if a.type == "TEST_VALUE"]
        if any(
            "comparator" in a.value for a in results
        ) and _AIM_WITH_COMPARATOR.search(text, max(line, begin - _BEFORE_REACH), begin):
            return
        flag = flag_before(text, begin, line)
        sentence = _sentence_start(text, line, begin)
        dated = heading_date(text, line, begin) or heading_date(text, sentence, begin)
        specimen = self._specimen(doc, ent)
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
            self._code(term, specimen, content)
            complete.append(replace(attribute, value=content))
        ent._.attributes = [*ent._.attributes, *complete]
        if results and not any("comparator" in a.value for a in results):
            # A test with a result was done: `no fever, WBC 12.3`, `negative HIV test`.
            ent._.traits = ent._.traits - {NEGATED}

    @staticmethod
    def _specimen(doc: Doc, ent: Span) -> str | None:
        text, begin = doc.text, ent.start_char
        sentence = _sentence_start(text, _line_start(text, begin), begin)
        return specimen_before(text, sentence, begin, ent.end_char) or _titled(
            doc._.sections, begin
        )

    @staticmethod
    def _code(term: Term | None, specimen: str | None, content: dict[str, Any]) -> None:
        """Set `coding` where the code of the test's own row is not that of this result."""
        if term is None:
            return
        if specimen is not None and term.type == "LAB":
            scale = "Ord" if "concept" in content or "words" in content else "Qn"
            known = specimen_code(specimen, term.name, scale)
            if known is not None or not _specific(term, specimen):
                content["coding"] = known
                return
        unit = "{titer}" if "dilution" in content else content.get("code")
        if unit == "{titer}":
            content["coding"] = _unit_codes().get((term.name, unit))
            return
        if unit is None or not term.units or not term.codes:
            return
        if not _same_dimension(term.units[0].ucum, unit):
            content["coding"] = _unit_codes().get((term.name, unit))


def _specific(term: Term, specimen: str) -> bool:
    """Whether the test's own code is already that of a specimen: a culture, a urinalysis."""
    own = term.name.lower()
    return (
        not term.units
        or specimen in own
        or "urin" in own
        or (specimen in ("arterial", "venous") and term.name not in ("pH", "pCO2", "pO2"))
    )


_DIMENSIONLESS = ("[pH]", "1")


@cache
def _elsewhere(term: Term | None, specimen: str | None) -> Term | None:
    """The test without its ranges, which are those of blood, when it is of another specimen."""
    if term is None or term.type != "LAB" or specimen in (None, "arterial", "venous"):
        return term
    if not _specific(term, specimen or "") and term.units and term.units[0].ucum not in _DIMENSIONLESS:
        return replace(term, units=tuple(UnitRange(unit.ucum) for unit in term.units))
    return term


def _titled(sections: list[Section], begin: int) -> str | None:
    """The specimen that the title of the section around names."""
    for section in sections:
        if section.begin <= begin < section.end and section.title:
            return specimen_before(section.title, 0, len(section.title), len(section.title))
    return None


@Language.factory("measurements", requires=["doc.ents"])
def create_measurements(nlp: Language, name: str) -> Measurements:
    """The factory that spaCy calls."""
    return Measurements()
