"""The scorers themselves."""

from pathlib import Path

import pytest

from nlp.evaluation import corpora
from nlp.evaluation.evaluations import NAMES, evaluation
from nlp.evaluation.figure import Figure, save
from nlp.evaluation.recognition import score_recognition
from nlp.evaluation.scores import Scores, bootstrap_interval, exact, overlapping
from nlp.mention import MEDICATION, Mention


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


def test_every_evaluation_is_there() -> None:
    for name in NAMES:
        assert callable(evaluation(name)), name


class OneDrug:
    """An annotator that finds the first word, always as a drug."""

    def annotate(self, text: str) -> list[Mention]:
        end = len(text.split()[0])
        return [Mention(text[:end], 0, end, MEDICATION, "GENERIC_NAME")]


def test_recognition_counts_and_lists_its_errors() -> None:
    documents = [
        corpora.Document("aspirin helps", {"Drug": [(0, 7)]}),
        corpora.Document("Rest and aspirin", {"Drug": [(9, 16)]}),
    ]
    labels = {"Drug": frozenset((MEDICATION,))}
    result = score_recognition("own", OneDrug(), documents, labels)  # type: ignore[arg-type]
    assert result.figures[0].measure == "exact F1"
    assert result.figures[0].value == 0.5
    assert result.errors == {"Drug missed": [("aspirin", 1)], "Drug wrong": [("rest", 1)]}


def test_figures_are_saved_in_order(tmp_path: Path) -> None:
    figures = [Figure("e", "a", "F1", 0.51234567, 0.4, 0.6, 12), Figure("e", "b", "count", 7)]
    save(figures, tmp_path / "new" / "nlp.csv")
    lines = (tmp_path / "new" / "nlp.csv").read_text().splitlines()
    assert lines[0] == "evaluation,item,measure,value,low,high,support"
    assert lines[1:] == ["e,a,F1,0.5123,0.4,0.6,12", "e,b,count,7,,,"]


def test_bootstrap_interval_holds_the_measure_and_narrows_with_documents() -> None:
    few = [Scores(8, 1, 2), Scores(9, 2, 1), Scores(3, 4, 4), Scores(10, 0, 0)]
    low, high = bootstrap_interval(few, lambda s: s.f1, seed=1)
    assert low < Scores(30, 7, 7).f1 < high
    more_low, more_high = bootstrap_interval(few * 25, lambda s: s.f1, seed=1)
    assert more_high - more_low < (high - low) / 2


def test_bootstrap_interval_is_the_seeds_alone() -> None:
    counts = [Scores(i % 3, i % 2, (i + 1) % 2) for i in range(20)]
    assert bootstrap_interval(counts, lambda s: s.f1, seed=7) == bootstrap_interval(
        counts, lambda s: s.f1, seed=7
    )


def test_bootstrap_interval_of_nothing_and_of_no_variation() -> None:
    assert bootstrap_interval([], lambda s: s.f1, seed=1) == (0.0, 0.0)
    assert bootstrap_interval([Scores(2, 0, 0)] * 5, lambda s: s.recall, seed=1) == (1.0, 1.0)
