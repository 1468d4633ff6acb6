"""What was valid once is passed by, and nothing else is."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import known_concepts
from schemas.outcomes import Issue
from schemas.validate import validate

CODING = {"system": "http://loinc.org", "code": "8302-2", "display": "Body height"}


@pytest.fixture(autouse=True)
def _nothing_known() -> None:
    known_concepts._known.clear()


def issues(concept: Any) -> list[Issue]:
    return validate({"resourceType": "Observation", "status": "final", "code": concept})


PARTS = st.sampled_from(
    ["http://loinc.org", "8302-2", "", " ", "a b", "\x01", True, 1, 1.0, None, [], {}, ["x"]]
)
CODINGS = st.dictionaries(
    st.sampled_from(["system", "code", "display", "version", "userSelected", "id", "x", "_code"]),
    PARTS,
    max_size=3,
)
CONCEPTS = st.one_of(
    st.fixed_dictionaries({"coding": st.lists(CODINGS, max_size=2)}, optional={"text": PARTS}),
    st.fixed_dictionaries({"coding": st.lists(CODINGS, max_size=1)}, optional={"id": PARTS}),
    st.dictionaries(st.sampled_from(["coding", "text", "id"]), PARTS, max_size=2),
)


@given(st.lists(CONCEPTS, min_size=1, max_size=4))
def test_what_was_seen_before_changes_no_finding(concepts: list[Any]) -> None:
    known_concepts._known.clear()
    issues({"coding": [CODING], "text": "height"})
    together = [issues(concept) for concept in concepts]
    again = [issues(concept) for concept in concepts]
    alone = []
    for concept in concepts:
        known_concepts._known.clear()
        alone.append(issues(concept))
    assert together == again == alone


def test_a_valid_concept_is_known_and_a_broken_one_never() -> None:
    assert issues({"coding": [CODING], "text": "height"}) == []
    assert len(known_concepts._known) == 1 + 1  # The concept, and the coding in it.
    for _ in range(2):
        assert issues({"coding": [{**CODING, "code": " "}], "text": "height"}) != []
        assert issues({"coding": [CODING], "text": ""}) != []
    assert len(known_concepts._known) == 1 + 1


def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_concepts, "_MAX_KNOWN", 3)
    for number in range(20):
        assert issues({"coding": [{**CODING, "code": str(number)}]}) == []
        assert len(known_concepts._known) <= 3
    known_concepts._known.clear()
    assert issues({"coding": [{**CODING, "display": "x" * 2_000}]}) == []
    assert not known_concepts._known
