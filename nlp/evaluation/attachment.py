"""Attachment: doses, routes, frequencies and durations of drugs, on PHEE's development sentences.

Gold is a drug with the words that dose it; they count as found when a mention that overlaps the
drug has an attribute of that kind that overlaps the words. Sentences of the literature say `high
dose` and `chronic` too, which are no attribute here and count as missed.
PHEE: Sun et al. 2022, https://aclanthology.org/2022.emnlp-main.376
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nlp.annotator import Annotator
from nlp.evaluation.figure import Result
from nlp.evaluation.recognition import figures_of
from nlp.evaluation.scores import Scores, Span
from nlp.mention import MEDICATION, Mention

KINDS: dict[str, frozenset[str]] = {
    "Dosage": frozenset(("DOSE", "STRENGTH", "RATE", "AMOUNT")),
    "Route": frozenset(("ROUTE",)),
    "Freq": frozenset(("FREQUENCY",)),
    "Duration": frozenset(("DURATION",)),
}


@dataclass(frozen=True, slots=True)
class DosedDrug:
    """A drug of a sentence, and the spans of each kind that PHEE attaches to it."""

    drug: Span
    attached: dict[str, tuple[Span, ...]]


def _spans(argument: dict[str, Any]) -> list[Span]:
    pairs = zip(argument["text"], argument["start"], strict=True)
    return [
        (begin, begin + len(text))
        for texts, begins in pairs
        for text, begin in zip(texts, begins, strict=True)
    ]


def sentences(folder: Path) -> Iterator[tuple[str, list[DosedDrug]]]:
    """The development sentences with their drugs; a drug of several events has all they attach."""
    path = folder / "corpora" / "phee" / "dev.json.gz"
    with gzip.open(path, "rt", encoding="utf-8") as stream:
        for line in stream:
            content = json.loads(line)
            drugs: dict[Span, dict[str, set[Span]]] = {}
            for annotation in content["annotations"]:
                for event in annotation["events"]:
                    treatment = event.get("Treatment")
                    if treatment is None or "Drug" not in treatment:
                        continue
                    for drug in _spans(treatment["Drug"]):
                        known = drugs.setdefault(drug, {kind: set() for kind in KINDS})
                        for kind in KINDS:
                            if kind in treatment:
                                known[kind].update(_spans(treatment[kind]))
            yield (
                content["context"],
                [
                    DosedDrug(drug, {kind: tuple(sorted(spans)) for kind, spans in kinds.items()})
                    for drug, kinds in sorted(drugs.items())
                ],
            )


def _overlap(first: Span, second: Span) -> bool:
    return first[0] < second[1] and second[0] < first[1]


def _counts(drugs: list[DosedDrug], mentions: list[Mention], kind: str) -> Scores:
    scores = Scores()
    for drug in drugs:
        about = [m for m in mentions if _overlap((m.begin, m.end), drug.drug)]
        found = {(a.begin, a.end) for m in about for a in m.attributes if a.type in KINDS[kind]}
        gold = drug.attached[kind]
        hit = sum(any(_overlap(span, ours) for ours in found) for span in gold)
        scores.add(
            Scores(
                true_positives=hit,
                false_positives=sum(
                    not any(_overlap(span, ours) for span in gold) for ours in found
                ),
                false_negatives=len(gold) - hit,
            )
        )
    return scores


def phee(folder: Path) -> Result:
    """Precision, recall and F1 of each kind of attribute, by drug and overlap."""
    annotator = Annotator.load()
    per_kind: dict[str, list[Scores]] = {kind: [] for kind in KINDS}
    missed: dict[str, dict[str, int]] = {kind: {} for kind in KINDS}
    for text, drugs in sentences(folder):
        mentions = [m for m in annotator.annotate(text) if m.category == MEDICATION]
        for kind in KINDS:
            per_kind[kind].append(_counts(drugs, mentions, kind))
            if per_kind[kind][-1].false_negatives:
                for drug in drugs:
                    for begin, end in drug.attached[kind]:
                        words = text[begin:end].lower()
                        missed[kind][words] = missed[kind].get(words, 0) + 1
    figures = [
        figure
        for kind, counts in per_kind.items()
        for figure in figures_of("phee", kind, "", counts)
    ]
    errors = {
        f"{kind} in a sentence with a miss": sorted(words.items(), key=lambda item: -item[1])
        for kind, words in missed.items()
    }
    return Result(figures, errors)
