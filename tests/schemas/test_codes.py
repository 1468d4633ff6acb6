"""Codings and concepts."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.codes import NLP_DERIVED_TAG, codings, concept_text, is_nlp_derived


def test_codings_of_a_concept_and_of_a_coding() -> None:
    coding = {"system": "s", "code": "c"}
    assert codings({"coding": [coding, "odd"], "text": "t"}) == [coding]
    assert codings(coding) == [coding]
    for odd in (None, "x", {}, {"coding": "x"}, []):
        assert codings(odd) == []


def test_the_text_of_a_concept() -> None:
    assert concept_text({"text": "t", "coding": [{"display": "d"}]}) == "t"
    assert concept_text({"coding": [{"code": "c"}, {"display": "d"}]}) == "d"
    assert concept_text({"code": "c", "display": "d"}) == "d"
    assert concept_text({"coding": [{"code": "c"}]}) is None
    assert concept_text(None) is None


@pytest.mark.parametrize("meta", [None, {}, {"tag": None}, {"tag": [{"code": "nlp-derived"}]}])
def test_what_is_not_derived(meta: Any) -> None:
    assert not is_nlp_derived({"meta": meta})


def test_what_is_derived() -> None:
    assert is_nlp_derived({"meta": {"tag": [{"code": "x"}, NLP_DERIVED_TAG]}})
