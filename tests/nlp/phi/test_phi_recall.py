"""Recall on notes made up with known truth: the bar of 0.95, on a seed of its own."""

from collections import Counter

from nlp.evaluation.phi import score_note
from nlp.evaluation.phi_notes import phi_notes
from nlp.evaluation.scores import Scores


def totals(seed: int) -> dict[str, Scores]:
    every: dict[str, Scores] = {}
    for note in phi_notes(60, seed):
        errors: dict[str, Counter[str]] = {}
        for name, scores in score_note(note, errors).items():
            every.setdefault(name, Scores()).add(scores)
    return every


def test_recall_and_precision_on_made_up_notes() -> None:
    every = totals(seed=7)
    assert every["all"].recall >= 0.97
    assert every["all"].precision >= 0.95
    assert every["NAME unlisted"].recall >= 0.95


def test_the_same_seed_makes_the_same_notes() -> None:
    assert [n.text for n in phi_notes(3, 5)] == [n.text for n in phi_notes(3, 5)]


def test_the_truth_quotes_the_note() -> None:
    for note in phi_notes(5, 9):
        assert all(note.text[begin:end].strip() for begin, end, _, _ in note.gold)
