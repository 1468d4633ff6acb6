"""What a delete comes to (R4 http.html#delete, #cdelete)."""

from __future__ import annotations

from schemas.outcomes import FhirError, error
from service.changes.asked import Done
from service.changes.attempt import Attempt, Step
from storage import audit_trail
from storage.lake import Delete

MAX_DELETED = 10_000
"""The most resources that one conditional delete hides, all in one commit."""


def locate(attempt: Attempt, step: Step) -> None:
    """The resource of the address, or those that the condition matches, as the policy allows.

    To delete what is not there is no failure: 204, unless a version of it was asked for.
    """
    change = step.change
    if change.condition is None:
        ids = [change.id] if _ever_was(attempt, step) else []
    else:
        many = attempt.policy.conditional_delete == "multiple"
        found = attempt.matches(change, MAX_DELETED + 1 if many else 2)
        if len(found) > (MAX_DELETED if many else 1):
            raise error(
                "precondition",
                f"The condition matches {f'more than {MAX_DELETED:,}' if many else 'several'} "
                f"resources of type {change.resource_type}; nothing was deleted. Narrow it"
                + ("." if many else ", or delete them one by one."),
                change.places.condition,
            )
        ids = [version.id for version in found]
    if not ids:
        if change.if_match is not None:
            raise error("precondition", "It does not exist.", change.places.if_match)
        step.settled = Done(None, 204)
        return
    step.id = ids[0]
    step.deletes = [Delete(change.resource_type, id, change.if_match) for id in ids]


def _ever_was(attempt: Attempt, step: Step) -> bool:
    try:
        with audit_trail.unobserved():  # Nothing of it is given out.
            attempt.lake.read(step.change.resource_type, step.change.id)
    except FhirError as failure:
        return failure.category != "not-found"
    return True
