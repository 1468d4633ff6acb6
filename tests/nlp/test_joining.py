"""The dictionary's and the model's candidates joined."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from nlp.joining import Candidate, joined, longest
from nlp.mention import CATEGORIES, CONDITION, MEDICATION, SYMPTOM, TEST


def test_the_model_adds_what_no_dictionary_has() -> None:
    known = Candidate(0, 2, CONDITION, "disease:x", 1.0)
    found = Candidate(5, 6, MEDICATION, "", 0.8)
    assert joined([known], [found]) == [known, found]


def test_the_dictionary_keeps_its_words() -> None:
    known = Candidate(0, 2, SYMPTOM, "symptom:x", 1.0)
    for found in (
        Candidate(0, 2, CONDITION, "", 0.99),
        Candidate(0, 1, SYMPTOM, "", 0.99),
        Candidate(1, 4, SYMPTOM, "", 0.99),
    ):
        assert joined([known], [found]) == [known]


def test_a_longer_name_keeps_code_and_category() -> None:
    known = Candidate(1, 2, SYMPTOM, "symptom:x", 1.0)
    (wider,) = joined([known], [Candidate(0, 3, CONDITION, "", 0.6)])
    assert wider == Candidate(0, 3, SYMPTOM, "symptom:x", 0.6)


def test_a_part_of_something_else_is_that_only_when_sure() -> None:
    known = Candidate(0, 2, CONDITION, "disease:hepatitis B", 1.0)
    sure, unsure = (Candidate(0, 4, TEST, "", score) for score in (0.9, 0.6))
    assert joined([known], [sure]) == [sure]
    assert joined([known], [unsure]) == [known]


def test_two_names_are_not_made_one() -> None:
    known = [Candidate(0, 1, SYMPTOM, "a", 1.0), Candidate(2, 3, SYMPTOM, "b", 1.0)]
    assert joined(known, [Candidate(0, 3, SYMPTOM, "", 0.9)]) == known


_CANDIDATES = st.lists(
    st.builds(
        lambda begin, size, label, score: Candidate(begin, begin + size, label, "", score),
        st.integers(0, 20),
        st.integers(1, 5),
        st.sampled_from(CATEGORIES),
        st.floats(0, 1),
    ),
    max_size=12,
)


@given(_CANDIDATES, _CANDIDATES)
def test_nothing_overlaps_and_nothing_known_is_lost(
    known: list[Candidate], found: list[Candidate]
) -> None:
    dictionary = longest(known)
    both = joined(dictionary, longest(found))
    assert both == sorted(both)
    assert all(a.end <= b.start for a, b in itertools.pairwise(both))
    for one in dictionary:
        assert any(b.start <= one.start and one.end <= b.end for b in both)
