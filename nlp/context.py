"""Context: is the finding denied, doubted, past, only possible, or a relative's?

The triggers are `rules/context.tsv`; the section decides where the words do not: what stands under
Family History is the family's, what stands under return instructions has not happened. What a
list's header or a form's box says of an item is in `lists`.
"""

import re
from bisect import bisect_left

from spacy.language import Language
from spacy.tokens import Doc, Span

from nlp.lists import ListScopes
from nlp.mention import (
    ANATOMY,
    CONDITION,
    FAMILY,
    HISTORICAL,
    HYPOTHETICAL,
    MEDICATION,
    NEGATED,
    NO_KNOWN_ALLERGY,
    OTHER_PERSON,
    PROCEDURE,
    SYMPTOM,
    TEST,
    TRAITS,
    UNCERTAIN,
    Attribute,
)
from nlp.scope_rules import Hit, ScopeRules
from nlp.terminology import ClinicalKnowledgeBase, knowledge_base

# Which traits a category can have: a drug is not "possible", a lab test is not the family's.
_ALLOWED: dict[str, frozenset[str]] = {
    CONDITION: frozenset(TRAITS),
    SYMPTOM: frozenset(TRAITS),
    PROCEDURE: frozenset(TRAITS),
    MEDICATION: frozenset((NEGATED, HISTORICAL, HYPOTHETICAL, FAMILY, OTHER_PERSON)),
    TEST: frozenset((NEGATED, HYPOTHETICAL, HISTORICAL)),
    ANATOMY: frozenset(),
}
_VERB_NEGATION = frozenset(("not", "never", "cannot", "failed", "doesn't", "didn't", "don't"))
_REACTIONS = ("allerg", "intoleran", "react", "hypersens", "sensitiv", "contraind")
_GIVEN = frozenset(("given", "started", "continued", "administered", "resumed", "restarted"))
_PREPOSITIONS = frozenset(
    ("with", "from", "to", "after", "by", "in", "on", "for", "since", "despite", "between", "while")
)
# The STATUS of what is only planned; `medication_status` uses the same word.
INTENDED = "intended"
DONE = "completed"
# How a disease ended, where the note says so: the codes of condition-clinical.
RESOLVED, REMISSION, INACTIVE = "resolved", "remission", "inactive"
# Told as history, without a word on whether it is over: a list of past illnesses, an old diagnosis.
UNENDED = "unended"
_ENDINGS = {
    "RESOLVED": RESOLVED,
    "REMISSION": REMISSION,
    "INACTIVE": INACTIVE,
    "UNENDED": UNENDED,
}
_SECTION_ENDINGS = {"resolved_problems": RESOLVED, "inactive_problems": INACTIVE}
_STATUS_LABELS = {"PLANNED": INTENDED, "DONE": DONE}
_SECTION_TRAITS: dict[str, dict[str, str]] = {
    "family_history": {CONDITION: FAMILY, SYMPTOM: FAMILY, PROCEDURE: FAMILY, MEDICATION: FAMILY},
    "past_surgical_history": {PROCEDURE: HISTORICAL},
    "differential_diagnosis": {CONDITION: UNCERTAIN},
    "instructions": {CONDITION: HYPOTHETICAL, SYMPTOM: HYPOTHETICAL},
    # Influenza and tetanus there are what was vaccinated against.
    "immunizations": {CONDITION: HYPOTHETICAL},
}
# What stands there was so before this visit (medspaCy gives social history the same): past
# illnesses, habits, the reactions that made somebody write an allergy down.
_HISTORY_SECTIONS = frozenset(
    ("past_medical_history", "past_surgical_history", "social_history", "allergies")
)
# A sentence under such a header that speaks of now: `PMH: gout. Presents with chest pain.`
_OF_NOW = re.compile(
    r"\b(?:presents?|presented|presenting|complain(?:s|ed|ing)|today|tonight|now|currently"
    r"|reports|endorses|admits|this (?:morning|evening|visit|admission)"
    r"|(?:is|was) (?:here|brought|seen))\b",
    re.IGNORECASE,
)
# A label of the rule file that is no trait itself: words (`risk of`, `as needed for`) that make a
# finding hypothetical but not a drug.
# `LP deferred`: a negation of what is done, not of what somebody has.
_NOT_DONE = "NOT_DONE"
_HYPOTHETICAL_FINDING = "HYPOTHETICAL_FINDING"
# `During her last admission she developed delirium`: HISTORICAL, whatever verb follows.
_PAST_FRAME = "PAST_FRAME"
# Labels that hold only for what stands right behind the words: `Father MI`, `consider gout`, not
# `consider treatment of gout`.
_ADJACENT = {"FAMILY_ADJACENT": FAMILY, "CONSIDERED": "RULE_OUT", "NEGATED_ADJACENT": NEGATED}
_FILLERS = frozenset(
    (
        "a",
        "an",
        "the",
        "also",
        "acute",
        "new",
        "possible",
        "underlying",
        "early",
        "evaluation",
        "for",
    )
)
# Diagnoses that are only to be looked for, or one of several thought of: nobody holds that the
# patient has them.
RULE_OUT, DIFFERENTIAL = "rule-out", "differential"
_DOUBTS = {"RULE_OUT": RULE_OUT, "DIFFERENTIAL": DIFFERENTIAL}


class Context:
    """Sets `span._.traits` of every entity."""

    def __init__(self, nlp: Language) -> None:
        self._rules = ScopeRules(nlp, "context.tsv")
        self._kb: ClinicalKnowledgeBase = knowledge_base()

    def __call__(self, doc: Doc) -> Doc:
        """Give each entity the traits its words and its section call for."""
        ents = doc.ents
        sentences = [(sent.start, sent.end) for sent in doc.sents]
        traits: list[set[str]] = [set() for _ in ents]
        targets = [(ent.start, ent.end) for ent in ents]
        begun: set[tuple[int, int]] = set()
        words = _WordPlaces(doc)
        for hit in self._rules.hits(doc, sentences, targets):
            ent, label = ents[hit.target], hit.rule.label
            if label in _ADJACENT:
                # The nearest comes first; the others of its list are joined to it.
                if (hit.start, hit.end) not in begun and not _adjacent(doc, hit, ent):
                    continue
                begun.add((hit.start, hit.end))
                label = _ADJACENT[label]
                if label == "RULE_OUT" and ent.label_ != CONDITION:
                    continue
            if label == _PAST_FRAME:
                label = HISTORICAL
            if label in _DOUBTS:
                if ent.label_ == CONDITION:
                    _set_status(ent, _DOUBTS[label], doc[hit.start : hit.end])
                label = UNCERTAIN
            if label in _STATUS_LABELS:
                if ent.label_ in (PROCEDURE, TEST):
                    _set_status(ent, _STATUS_LABELS[label], doc[hit.start : hit.end])
                continue
            if label == _NOT_DONE:
                if ent.label_ not in (PROCEDURE, TEST):
                    continue
                label = NEGATED
            if label in _ENDINGS:
                if ent.label_ == CONDITION:
                    _set_status(ent, _ENDINGS[label], doc[hit.start : hit.end])
                label = HISTORICAL
            if label == _HYPOTHETICAL_FINDING:
                if ent.label_ not in (CONDITION, SYMPTOM, PROCEDURE):
                    continue
                label = HYPOTHETICAL
            if ent.label_ == TEST and label == NEGATED and hit.start >= ent.end:
                continue  # `D-dimer negative` is a result, not a test that was not done.
            if ent.label_ == MEDICATION and label == NEGATED and not _denies_drug(words, hit, ent):
                continue
            if label in _ALLOWED[ent.label_]:
                traits[hit.target].add(label)
        lists = ListScopes(doc.text)
        for ent, found in zip(ents, traits, strict=True):
            self._apply_section(ent, found)
            listed = lists.trait_at(ent.start_char)
            if listed in _ALLOWED[ent.label_]:
                found.add(listed)
                if listed == UNCERTAIN and ent.label_ == CONDITION:
                    _set_status(ent, DIFFERENTIAL, doc[ent.start : ent.start])
            _settle(found)
            if self._is_past_by_section(ent):
                if HISTORICAL not in found and ent.label_ == CONDITION:
                    _set_status(ent, UNENDED, doc[ent.start : ent.start])
                found.add(HISTORICAL)
            ent._.traits = frozenset(found)
        return doc

    def _apply_section(self, ent: Span, found: set[str]) -> None:
        section = ent._.section
        if section is None:
            return
        trait = _SECTION_TRAITS.get(section, {}).get(ent.label_)
        if trait is not None:
            found.add(trait)
            if trait == UNCERTAIN:
                _set_status(ent, DIFFERENTIAL, ent.doc[ent.start : ent.start])
        ending = _SECTION_ENDINGS.get(section)
        if ending is not None and ent.label_ == CONDITION:
            found.add(HISTORICAL)
            _set_status(ent, ending, ent.doc[ent.start : ent.start])

    def _is_past_by_section(self, ent: Span) -> bool:
        if ent._.section not in _HISTORY_SECTIONS or ent.label_ not in (CONDITION, SYMPTOM):
            return False
        term = self._kb.term(ent.kb_id_)
        return (term is None or term.type != NO_KNOWN_ALLERGY) and (
            _OF_NOW.search(ent.sent.text) is None
        )


def _adjacent(doc: Doc, hit: Hit, ent: Span) -> bool:
    between = doc[hit.end : ent.start]
    return all(token.lower_ in _FILLERS for token in between)


class _WordPlaces:
    """Where the words stand that part a negation from a drug: looked up, not read again each."""

    __slots__ = ("commas", "doc", "prepositions", "reactions")

    def __init__(self, doc: Doc) -> None:
        self.doc = doc
        words = [token.lower_ for token in doc]
        self.commas = [i for i, word in enumerate(words) if word == ","]
        self.reactions = [i for i, word in enumerate(words) if word.startswith(_REACTIONS)]
        self.prepositions = [i for i, word in enumerate(words) if word in _PREPOSITIONS]


def _any_between(places: list[int], begin: int, end: int) -> bool:
    slot = bisect_left(places, begin)
    return slot < len(places) and places[slot] < end


def _denies_drug(words: _WordPlaces, hit: Hit, drug: Span) -> bool:
    """Whether a negation is of the drug: `no aspirin`, not `not helped with aspirin`.

    A plain `not` belongs to its verb; which verbs mean not taking is in `medication_status.tsv`.
    """
    if hit.start >= drug.end:
        return True
    doc = words.doc
    trigger = doc[hit.start : hit.end]
    if any(token.lower_ in _VERB_NEGATION for token in trigger):
        return False
    after = doc[drug.end].lower_ if drug.end < len(doc) else ""
    if after in _GIVEN and _any_between(words.commas, hit.end, drug.start):
        return False  # `No bowel movement for two days, docusate given.`
    if _any_between(words.reactions, hit.end, drug.start):
        return True
    return not _any_between(words.prepositions, hit.end, drug.start)


def _set_status(ent: Span, status: str, cue: Span) -> None:
    """Done beats planned: what was carried out was planned once."""
    if ent._.attributes and status != DONE:
        return
    ent._.attributes = [
        Attribute("STATUS", cue.text, cue.start_char, cue.end_char, 1.0, {"status": status})
    ]


def _settle(found: set[str]) -> None:
    """Where two traits contradict each other, keep the one that says less about the patient."""
    if NEGATED in found:
        found.discard(UNCERTAIN)
        # `No history of gout`: nothing was, so nothing is past.
        found.discard(HISTORICAL)
    if HYPOTHETICAL in found:
        found.discard(UNCERTAIN)


@Language.factory("context", requires=["doc.ents", "token.is_sent_start"])
def create_context(nlp: Language, name: str) -> Context:
    """The factory that spaCy calls."""
    return Context(nlp)


Span.set_extension("traits", default=frozenset(), force=True)
Span.set_extension("attributes", default=[], force=True)
