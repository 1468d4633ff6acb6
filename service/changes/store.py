"""Storing changes: look, decide, commit; and again, when others were faster."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from starlette.concurrency import run_in_threadpool

from schemas.outcomes import FhirError
from service.changes import create, delete, patch, update
from service.changes.asked import Change, Done
from service.changes.attempt import Attempt, Locate
from storage.lake import OvertakenError

if TYPE_CHECKING:
    from service.ingest import Ingest

_LOCATE: dict[str, Locate] = {
    "POST": create.locate,
    "PUT": update.locate,
    "PATCH": patch.locate,
    "DELETE": delete.locate,
}

# Attempts beside others, before all others have to wait for this one. 32 threads at one resource
# are through within as many; each attempt costs some milliseconds.
_ATTEMPTS = 8

Before = Callable[[Attempt], None]


def store(
    ingest: Ingest, changes: Sequence[Change], *, bundle: bool = False, before: Before | None = None
) -> list[Done]:
    """Store all changes in one commit, or none; what became of each, in their order.

    Conditions, patches and references are decided by what is there when it is committed.
    `bundle`: see `Attempt`; `before` is called with what is about to be stored, to refuse it.
    Raises FhirError.
    """
    for _ in range(_ATTEMPTS):
        try:
            return _store(ingest, changes, bundle, before)
        except OvertakenError:
            continue
    with ingest.lake.alone():
        return _store(ingest, changes, bundle, before)


async def store_soon(ingest: Ingest, change: Change) -> Done:
    """`store` of one change in an event loop: no thread waits for the disk.

    For a change that is decided in tens of microseconds, such as a small create without condition.
    Where it has to wait or to be decided anew, a thread does it.
    """
    done = None
    with suppress(OvertakenError):
        done = await _decided(ingest, [change], False, None).commit_soon()
    if done is None:
        done = await run_in_threadpool(store, ingest, [change])
    return done[0]


def _store(
    ingest: Ingest, changes: Sequence[Change], bundle: bool, before: Before | None
) -> list[Done]:
    return _decided(ingest, changes, bundle, before).commit()


def _decided(
    ingest: Ingest, changes: Sequence[Change], bundle: bool, before: Before | None
) -> Attempt:
    attempt = Attempt(ingest, changes, bundle=bundle)
    try:
        for step in attempt.steps:
            _LOCATE[step.change.method](attempt, step)
        if bundle:
            attempt.refuse_overlaps()
        attempt.complete()
        if before is not None:
            before(attempt)
    except FhirError:
        # It may be refused by what was so a moment ago.
        ingest.lake.confirm(attempt.guards)
        raise
    return attempt
