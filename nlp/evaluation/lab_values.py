"""Test–value pairs of MACCROBAT: `MODIFY` relations of a Lab_value to a Diagnostic_procedure.

Every other case report was looked at while the rules were written (`development`), the others
never (`held out`). A pair counts when both its spans overlap the corpus's. `given test` makes the
corpus's own tests the entities, so that it scores the reading of values and not the dictionary.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from spacy.language import Language
from spacy.tokens import Span as TokenSpan

from nlp.annotator import Annotator
from nlp.evaluation.figure import Figure, Result
from nlp.evaluation.recognition import figures_of
from nlp.evaluation.scores import Scores, Span
from nlp.mention import TEST
from nlp.pipeline import NlpConfig, build
from nlp.terminology import knowledge_base
from nlp.vocabulary import Vocabulary

Pair = tuple[Span, Span]
_ARGUMENTS = re.compile(r"Arg\d:(\w+)")
_TEST, _VALUE = "Diagnostic_procedure", "Lab_value"
_SHOWN_ERRORS = 200


@dataclass(slots=True)
class CaseReport:
    """A report's text, its tests and which value is of which test."""

    text: str
    tests: list[Span] = field(default_factory=list)
    pairs: list[Pair] = field(default_factory=list)


def case_reports(folder: Path) -> Iterator[CaseReport]:
    """MACCROBAT 2020 (brat), in order of file name; discontinuous spans are left out."""
    for path in sorted((folder / "corpora" / "maccrobat2020").glob("*.ann")):
        report = CaseReport(path.with_suffix(".txt").read_text(encoding="utf-8"))
        spans: dict[str, tuple[str, Span]] = {}
        events: dict[str, str] = {}
        relations: list[list[str]] = []
        for line in path.read_text(encoding="utf-8").splitlines():
            cells = line.split("\t")
            if line.startswith("T") and ";" not in cells[1]:
                label, begin, end = cells[1].split(" ")
                spans[cells[0]] = (label, (int(begin), int(end)))
            elif line.startswith("E"):
                events[cells[0]] = cells[1].split(":")[1].split(" ")[0].strip()
            elif line.startswith("R") and "MODIFY" in line:
                relations.append(_ARGUMENTS.findall(line))
        report.tests = [span for label, span in spans.values() if label == _TEST]
        for relation in relations:
            both = [spans.get(events.get(name, name)) for name in relation]
            found = {one[0]: one[1] for one in both if one is not None}
            if _TEST in found and _VALUE in found:
                report.pairs.append((found[_TEST], found[_VALUE]))
        yield report


def _overlap(one: Span, other: Span) -> bool:
    return one[0] < other[1] and other[0] < one[1]


def _score(gold: list[Pair], found: list[Pair]) -> tuple[Scores, list[Pair], list[Pair]]:
    def hit(pair: Pair, others: list[Pair]) -> bool:
        return any(_overlap(pair[0], o[0]) and _overlap(pair[1], o[1]) for o in others)

    missed = [pair for pair in gold if not hit(pair, found)]
    wrong = [pair for pair in found if not hit(pair, gold)]
    return Scores(len(found) - len(wrong), len(wrong), len(missed)), missed, wrong


def _given_tests(nlp: Language, vocabulary: Vocabulary, report: CaseReport) -> list[Pair]:
    doc = nlp.make_doc(report.text)
    for name in ("sections", "sentences"):
        doc = nlp.get_pipe(name)(doc)
    spans: list[TokenSpan] = []
    taken = -1
    for begin, end in sorted(report.tests):
        found = doc.char_span(begin, end, alignment_mode="expand")
        if found is None or found.start < taken:
            continue
        named = vocabulary.term_of(found)
        known = named.id if named is not None and named.category == TEST else ""
        spans.append(TokenSpan(doc, found.start, found.end, label=TEST, kb_id=known))
        taken = found.end
    doc.ents = spans
    doc = nlp.get_pipe("measurements")(doc)
    return [
        ((ent.start_char, ent.end_char), (a.begin, a.end))
        for ent in doc.ents
        for a in ent._.attributes
        if a.type == "TEST_VALUE"
    ]


def _end_to_end(annotator: Annotator, report: CaseReport) -> list[Pair]:
    return [
        ((m.begin, m.end), (a.begin, a.end))
        for m in annotator.annotate(report.text)
        if m.category == TEST
        for a in m.attributes
        if a.type == "TEST_VALUE"
    ]


def lab_values(folder: Path) -> Result:
    """Pairs found, with and without the corpus's tests given, on both halves."""
    nlp, annotator = build(NlpConfig()), Annotator.load()
    vocabulary = Vocabulary(nlp, knowledge_base())
    scores: dict[tuple[str, str], list[Scores]] = {}
    errors: dict[str, Counter[str]] = {"missed": Counter(), "wrong": Counter()}
    for number, report in enumerate(case_reports(folder)):
        half = "held out" if number % 2 else "development"
        for how, found in (
            ("given test", _given_tests(nlp, vocabulary, report)),
            ("end to end", _end_to_end(annotator, report)),
        ):
            counts, missed, wrong = _score(report.pairs, found)
            scores.setdefault((half, how), []).append(counts)
            if number % 2 == 0 and how == "given test":
                for kind, pairs in (("missed", missed), ("wrong", wrong)):
                    errors[kind].update(_quoted(report.text, pair) for pair in pairs)
    figures: list[Figure] = []
    for (half, how), per_document in scores.items():
        figures += figures_of("lab_values", f"{half}, {how}", "pair", per_document)
    return Result(figures, {kind: c.most_common(_SHOWN_ERRORS) for kind, c in errors.items()})


def _quoted(text: str, pair: Pair) -> str:
    begin, end = min(pair[0][0], pair[1][0]), max(pair[0][1], pair[1][1])
    name, value = (text[slice(*span)] for span in pair)
    return f"{name} | {value} | {text[max(0, begin - 20) : end + 20]!r}"
