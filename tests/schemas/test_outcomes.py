"""Failures and OperationOutcome."""

from __future__ import annotations

import pickle

import pytest

from schemas.outcomes import ISSUE_CODES, FhirError, Issue, error, operation_outcome
from schemas.validate import validate


def test_error_has_one_issue_of_its_category() -> None:
    failure = error("deleted", "Patient/1 was deleted.", "Patient.id")
    assert failure.category == "deleted"
    assert failure.issues == [Issue("error", "deleted", "Patient/1 was deleted.", ("Patient.id",))]
    assert str(failure) == "Patient/1 was deleted."


def test_unknown_category_and_no_issue_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown category"):
        error("oops", "text")
    with pytest.raises(ValueError, match="at least one"):
        FhirError("invalid", [])


def test_a_failure_survives_another_process() -> None:
    failure = pickle.loads(pickle.dumps(error("value", "text", "Patient.gender")))
    assert (failure.category, failure.issues[0].expression) == ("value", ("Patient.gender",))


@pytest.mark.parametrize("category", sorted(ISSUE_CODES))
def test_every_category_makes_a_valid_outcome(category: str) -> None:
    outcome = operation_outcome(error(category, "text", "Patient.gender").issues)
    assert validate(outcome, "OperationOutcome") == []


def test_no_issue_is_said_as_information() -> None:
    outcome = operation_outcome([])
    assert validate(outcome) == []
    assert outcome["issue"][0]["severity"] == "information"
