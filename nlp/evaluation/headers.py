"""Section headers of MTSamples against its labels, over the half of the reports not looked at.

The titles of `rules/sections.tsv` were widened after the first, third, … report; the others are
scored. Sub-titles of an examination (`HEENT:`) are none of its labels and are left out.
"""

from __future__ import annotations

from pathlib import Path

from nlp.evaluation import corpora
from nlp.evaluation.figure import Figure, Result
from nlp.evaluation.recognition import figures_of
from nlp.evaluation.scores import Scores
from nlp.layout import Layout
from nlp.sections import OTHER, find_sections, is_body_system

# A bullet or number before a title may belong to it or not.
_TOLERANCE = 2


def sections(folder: Path) -> Result:
    """Headers found, and the share of the right ones that were given a category."""
    per_document: list[Scores] = []
    named = Scores()
    for document in list(corpora.mtsamples_headers(folder))[1::2]:
        layout = Layout(document.text)
        found = [
            (layout.original_offset(section.begin), section)
            for section in find_sections(layout.clean)
            if section.title
        ]
        gold = document.headers
        right = [
            section
            for begin, section in found
            if any(abs(begin - place) <= _TOLERANCE for place in gold)
        ]
        wrong = [
            section
            for begin, section in found
            if not any(abs(begin - place) <= _TOLERANCE for place in gold)
            and not is_body_system(section.title)
        ]
        missed = sum(
            not any(abs(begin - place) <= _TOLERANCE for begin, _ in found) for place in gold
        )
        per_document.append(Scores(len(right), len(wrong), missed))
        category = sum(section.category != OTHER for section in right)
        named.add(Scores(category, 0, len(right) - category))
    figures = figures_of("sections", "headers", "", per_document)
    return Result([*figures, Figure("sections", "with a category", "share", named.recall)])
