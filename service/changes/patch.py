"""What a patch comes to (R4 http.html#patch, #cond-patch)."""

from __future__ import annotations

from schemas.outcomes import FhirError, error
from service.changes.asked import located
from service.changes.attempt import Attempt, Step
from storage.lake import ANY_VERSION


def locate(attempt: Attempt, step: Step) -> None:
    """The current version with the patch applied; stored only if it is still the current one."""
    change = step.change
    if change.condition is None:
        version = attempt.current(change)
    else:
        match = attempt.match(change)
        if match is None:
            raise error("not-found", "The condition matches nothing.", change.places.condition)
        version = match
    if change.if_match not in (None, ANY_VERSION, version.version_id):
        raise error(
            "precondition",
            f"{change.resource_type}/{version.id} should be at version {change.if_match}, but its "
            f"current version is {version.version_id}. Read it again and patch what is there now.",
            change.places.if_match,
        )
    step.id = version.id
    assert change.patch is not None
    try:
        step.resource = change.patch.apply(version.resource())
    except FhirError as failure:
        if not change.places.entry:
            raise
        raise located(failure, f"{change.places.entry}.resource") from None
    step.put = {"method": "PATCH", "if_match": change.if_match}
