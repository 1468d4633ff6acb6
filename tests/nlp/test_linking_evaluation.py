"""The evaluation of linking: what it counts."""

from collections import Counter

from nlp.candidates import CandidateGenerator
from nlp.evaluation.linked_corpora import LinkedDocument, LinkedMention
from nlp.evaluation.linking import _linked, slips
from nlp.evaluation.mesh_names import training_names


def document() -> LinkedDocument:
    return LinkedDocument(
        "congestive heart failure (CHF); gout; a mass",
        (
            LinkedMention(0, 24, "congestive heart failure", "Disease", ("D1",)),
            LinkedMention(26, 29, "CHF", "Disease", ("D1", "D9")),
            LinkedMention(32, 36, "gout", "Disease", ("D2",)),
            LinkedMention(38, 44, "a mass", "Disease", ()),
        ),
    )


def test_accuracy_counts_mentions_that_have_an_id() -> None:
    generator = CandidateGenerator([("D1", "congestive heart failure"), ("D3", "gouty arthritis")])
    defined = [{"CHF": "congestive heart failure"}]
    missed: Counter[str] = Counter()
    counts, sure = _linked([document()], defined, {"Disease": generator}, "Disease", missed)
    assert (counts[0].true_positives, counts[0].false_negatives) == (2, 1)
    assert (sure[0].true_positives, sure[0].false_negatives) == (2, 0)
    assert dict(missed) == {"gout = D2": 1}


def test_training_names_leave_out_what_has_several_ids() -> None:
    names = list(training_names([document()], "Disease"))
    assert names == [("D1", "congestive heart failure"), ("D2", "gout")]


def test_slips_depend_on_the_name_alone() -> None:
    assert list(slips("metformin")) == ["metfrmin", "metofrmin", "metfoormin"]
