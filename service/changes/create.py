"""What a create comes to (R4 http.html#create, #ccreate)."""

from __future__ import annotations

from schemas.ids import new_id
from service.changes.asked import Done
from service.changes.attempt import Attempt, Step


def locate(attempt: Attempt, step: Step) -> None:
    """A new id; or, of a conditional create, the resource that is there already.

    Two creates of one transaction under the same condition make one resource.
    """
    change = step.change
    if change.condition is not None:
        key = (change.resource_type, tuple(sorted(change.condition)))
        first = attempt.conditions.setdefault(key, step)
        if first is not step:
            step.twin, step.id = first, first.id
            return
        match = attempt.match(change)
        if match is not None:
            step.settled, step.id = Done(match, 200), match.id
            return
    step.id = new_id()
    step.resource = change.resource
    step.put = {"method": "POST", "must_not_exist": True}
