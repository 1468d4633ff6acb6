"""What became of a drug: stopped, held, started, refused, caused an allergy, only planned.

Cues are `rules/medication_status.tsv`, read with the same engine as `context`. The nearest cue
wins; what a cue after the drug says (`was discontinued`) beats a cue before it.
"""

import re
from bisect import bisect_right

from spacy.language import Language
from spacy.tokens import Doc, Span

from nlp.context import INTENDED
from nlp.mention import HISTORICAL, HYPOTHETICAL, MEDICATION, NEGATED, Attribute
from nlp.scope_rules import Hit, ScopeRules

ALLERGY = "allergy"
NOT_TAKEN = "not-taken"
STOPPED = "stopped"
HELD = "on-hold"
ACTIVE = "active"
COMPLETED = "completed"
_SWITCH = re.compile(r"(?:\s*[\d.]+\s*\w+)?(?:\s*\w+)?\s*to", re.IGNORECASE)
_CHANGED = re.compile(
    r"\b(?:chang|switch|convert|transition|replac|substitut)\w*\s+(?:(?:her|his|the|their|your|home|my)\s+)*$",
    re.IGNORECASE,
)
_TO_ANOTHER = re.compile(r"[^.;\n]{0,40}?\b(?:to|with|for)\s+", re.IGNORECASE)
_BEFORE_SWITCH = 40
_IF = re.compile(r"\bif\b(?! (?:needed|necessary|possible))", re.IGNORECASE)
# `held for AKI, restarted at 5 mg`: the last word on a drug that was held or stopped.
_RESTARTED = re.compile(
    r"(?<!will be )(?<!to be )(?<!can be )(?<!not )(?<!until )(?<!when )(?<!be )"
    r"\b(?:restarted|resumed|reinitiated|reintroduced)\b",
    re.IGNORECASE,
)
STATUSES = (ACTIVE, COMPLETED, STOPPED, HELD, NOT_TAKEN, INTENDED, ALLERGY)

_SECTION_STATUS = {
    "allergies": ALLERGY,
    "medications": ACTIVE,
    "home_medications": ACTIVE,
    "discharge_medications": ACTIVE,
    "discontinued_medications": STOPPED,
}


class MedicationStatus:
    """Adds a `STATUS` attribute to drugs; `value` is `{"status": …}`."""

    def __init__(self, nlp: Language) -> None:
        self._rules = ScopeRules(nlp, "medication_status.tsv")

    def __call__(self, doc: Doc) -> Doc:
        """Decide each drug's status from the words around it, else from its section."""
        drugs = [ent for ent in doc.ents if ent.label_ == MEDICATION]
        if not drugs:
            return doc
        sentences = [(sent.start, sent.end) for sent in doc.sents]
        targets = [(drug.start, drug.end) for drug in drugs]
        starts = [start for start, _ in sentences]
        text = doc.text  # spaCy writes it anew each time it is asked for.
        conditions = _last_conditions(doc, sentences)
        nearest: dict[int, tuple[int, Hit]] = {}
        hits = list(self._rules.hits(doc, sentences, targets))
        leading = {
            (hit.start, hit.end, hit.rule.label) for hit in hits if hit.rule.direction == "forward"
        }
        for hit in hits:
            if hit.rule.direction == "backward" and (hit.start, hit.end, hit.rule.label) in leading:
                continue  # `metformin and stopped aspirin`: the cue is aspirin's.
            drug = drugs[hit.target]
            if _others_allergy(doc, text, hit, drug):
                continue
            if hit.start >= drug.end:
                rank = hit.start - drug.end - 1000
            else:
                rank = drug.start - hit.end
            known = nearest.get(hit.target)
            if known is None or rank < known[0]:
                nearest[hit.target] = (rank, hit)
        for index, drug in enumerate(drugs):
            found = nearest.get(index)
            following = drugs[index + 1] if index + 1 < len(drugs) else None
            if following is not None and _given_up(text, drug, following):
                cue = doc[drug.start - 1 : drug.start]
                _set_status(drug, STOPPED, cue.text, cue.start_char, cue.end_char)
            elif found is not None:
                hit = found[1]
                cue = doc[hit.start : hit.end]
                if hit.rule.label in (HELD, STOPPED):
                    slot = bisect_right(starts, drug.start) - 1
                    end = drugs[index + 1].start if index + 1 < len(drugs) else len(doc)
                    begin, stop = max(drug.end, hit.end), min(end, sentences[slot][1])
                    again = _restarted(doc, text, begin, stop)
                    if again is not None:
                        _set_status(drug, ACTIVE, again.text, again.start_char, again.end_char)
                        continue
                _set_status(drug, hit.rule.label, cue.text, cue.start_char, cue.end_char)
                if hit.rule.label == ACTIVE:
                    drug._.traits = drug._.traits - {HISTORICAL}
                if hit.rule.label == NOT_TAKEN:
                    drug._.traits = drug._.traits | {NEGATED}
                if hit.rule.label == INTENDED and drug.end_char <= conditions.get(
                    bisect_right(starts, drug.start) - 1, -1
                ):
                    drug._.traits = drug._.traits | {HYPOTHETICAL}
            elif index and _switched(doc, drugs[index - 1], drug):
                cue = doc[drug.start - 1 : drug.start]
                _set_status(drug, ACTIVE, cue.text, cue.start_char, cue.end_char)
            else:
                self._from_section(doc, drug, sentences[bisect_right(starts, drug.start) - 1])
        return doc

    @staticmethod
    def _from_section(doc: Doc, drug: Span, sentence: tuple[int, int]) -> None:
        status = _SECTION_STATUS.get(drug._.section or "")
        if status == ALLERGY and NEGATED in drug._.traits:
            return
        if status is not None:
            _set_status(drug, status, "", drug.start_char, drug.start_char)


def _others_allergy(doc: Doc, text: str, hit: Hit, drug: Span) -> bool:
    """Whether `allergy` behind a drug is another's: `takes aspirin, penicillin allergy`.

    The plural is of a list, the singular of the nearest drug and those joined to it by a word;
    what has an amount is taken.
    """
    if hit.rule.label != ALLERGY or hit.start < drug.end:
        return False
    cue = doc[hit.start : hit.end].text.lower()
    between = text[drug.end_char : doc[hit.start].idx]
    return any(c.isdigit() or (c in ",;" and cue != "allergies") for c in between)


def _given_up(text: str, drug: Span, following: Span) -> bool:
    """`change HCTZ 25 mg to chlorthalidone`: the first drug of a switch without `from`."""
    before = text[max(0, drug.start_char - _BEFORE_SWITCH) : drug.start_char]
    between = text[drug.end_char : following.start_char]
    return _CHANGED.search(before) is not None and _TO_ANOTHER.fullmatch(between) is not None


def _switched(doc: Doc, before: Span, drug: Span) -> bool:
    """`switched from atenolol to carvedilol`: the second drug of a switch."""
    if not _SWITCH.fullmatch(doc[before.end : drug.start].text):
        return False
    return any(
        a.type == "STATUS" and a.value == {"status": STOPPED} and a.text.lower().endswith("from")
        for a in before._.attributes
    )


def _restarted(doc: Doc, text: str, begin: int, end: int) -> Span | None:
    if begin >= end:
        return None
    match = _RESTARTED.search(text, doc[begin].idx, doc[end - 1].idx + len(doc[end - 1]))
    return doc.char_span(*match.span(), alignment_mode="expand") if match else None


def _last_conditions(doc: Doc, sentences: list[tuple[int, int]]) -> dict[int, int]:
    """Where the last `if` of a sentence stands, by the sentence's number.

    `start lisinopril if the pressure stays high`: a drug before it is planned under a condition.
    """
    ends = [doc[end - 1].idx + len(doc[end - 1]) for _, end in sentences]
    return {bisect_right(ends, match.start()): match.start() for match in _IF.finditer(doc.text)}


def _set_status(drug: Span, status: str, text: str, begin: int, end: int) -> None:
    drug._.attributes = [
        *drug._.attributes,
        Attribute("STATUS", text, begin, end, 1.0, {"status": status}),
    ]


@Language.factory("medication_status", requires=["doc.ents", "span._.traits"])
def create_medication_status(nlp: Language, name: str) -> MedicationStatus:
    """The factory that spaCy calls."""
    return MedicationStatus(nlp)
