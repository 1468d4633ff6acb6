"""The scorers themselves."""

import pytest

from nlp.evaluation import corpora
from nlp.evaluation.scores import Scores, exact, overlapping


def test_exact_and_overlapping() -> None:
    gold, found = [(0, 5), (10, 15)], [(0, 5), (9, 12), (20, 22)]
    assert exact(gold, found) == Scores(1, 2, 1)
    assert overlapping(gold, found) == Scores(2, 1, 0)


def test_rates() -> None:
    scores = Scores(8, 2, 8)
    assert (scores.precision, scores.recall) == (0.8, 0.5)
    assert round(scores.f1, 3) == 0.615
    assert Scores().f1 == 0.0
    assert "P 0.800" in scores.row("x")


def test_data_folder_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CHARTLAKE_DATA", raising=False)
    with pytest.raises(SystemExit, match="CHARTLAKE_DATA"):
        corpora.data_folder()
