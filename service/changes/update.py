"""What an update comes to (R4 http.html#update, #upsert, #cond-update)."""

from __future__ import annotations

from schemas.ids import is_id, new_id
from schemas.outcomes import error
from service.changes.asked import Change
from service.changes.attempt import Attempt, Step


def locate(attempt: Attempt, step: Step) -> None:
    """The resource of the address, or the one that the condition matches; else a new one.

    Under a client's own id only where the policy allows that.
    """
    change = step.change
    known = not attempt.policy.update_create
    must_not_exist = change.if_none_match
    if change.condition is None:
        step.id = change.id
    else:
        step.id, fresh = _matched(attempt, change)
        must_not_exist = must_not_exist or fresh
        known = known and fresh and _own_id(change) is not None
    step.resource = change.resource
    step.put = {
        "method": "PUT",
        "if_match": change.if_match,
        "must_not_exist": must_not_exist,
        "must_be_known": known,
    }


def _matched(attempt: Attempt, change: Change) -> tuple[str, bool]:
    """The id that a conditional update stores under, and whether there must be nothing yet.

    No match, and an id in the body that is taken: 409, as R5 says it; R4 leaves it open, and
    overwriting what the condition does not match is what nobody means.
    """
    match = attempt.match(change)
    own = _own_id(change)
    if match is None:
        return own or new_id(), True
    if own is not None and own != match.id:
        raise error(
            "invalid",
            "The id in the body is not that of the resource that the condition matches.",
            f"{change.places.prefix or change.resource_type + '.'}id",
        )
    return match.id, False


def _own_id(change: Change) -> str | None:
    own = (change.resource or {}).get("id")
    if own is not None and not is_id(own):
        raise error(
            "value",
            "An id has 1 to 64 letters, digits, dots and dashes.",
            f"{change.places.prefix or change.resource_type + '.'}id",
        )
    return own
