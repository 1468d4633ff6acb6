"""What a program reads of a lake that it opened read-only is recorded, though it says nothing.

Where a trail is active (a request, a command) that is the record. Else the methods that give
something out have one of their own while they run, of the agent `process:USER`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from schemas.ids import is_id
from schemas.outcomes import FhirError
from schemas.structure import RESOURCE_TYPES
from storage import audit_trail
from storage.audit_change import user
from storage.audit_record import AuditRecord, Entity
from storage.audit_trail import AuditTrail, outcome_of


class Recording(Protocol):
    """An open lake."""

    read_only: bool

    def record_access(self, records: Sequence[AuditRecord], *, durable: bool = True) -> Future[Any]:
        """See `Lake.record_access`."""
        ...


L = TypeVar("L", bound=Recording)
P = ParamSpec("P")
R = TypeVar("R")


@contextmanager
def process_trail(
    lake: Recording,
    name: str,
    action: str,
    *,
    target: Entity | None = None,
    parameters: tuple[str, ...] = (),
    lists_entities: bool = False,
) -> Iterator[None]:
    """Record what is read in the block, before the block ends; unless a trail is active already.

    Raises FhirError `unavailable` when it cannot be recorded.
    """
    if audit_trail.current() is not None:
        yield
        return
    trail = AuditTrail(
        f"process:{user()}",
        name,
        action,
        parameters=parameters,
        target=target,
        lists_entities=lists_entities,
    )
    with recording(lake, trail), trail.active():
        yield


@contextmanager
def recording(lake: Recording, trail: AuditTrail) -> Iterator[None]:
    """Record at the end what the trail holds, also when it ends with a failure."""
    try:
        yield
    except BaseException as failure:
        trail.failure = failure.category if isinstance(failure, FhirError) else "internal"
        raise
    finally:
        lake.record_access(trail.finish(outcome_of(trail.failure))).result()


def recorded(
    name: str, action: str, *, lists_entities: bool = False, target_type: str = ""
) -> Callable[[Callable[Concatenate[L, P], R]], Callable[Concatenate[L, P], R]]:
    """Of a lake's method that reads: where the lake is read-only, what it gives is recorded.

    `target_type`: of what the first argument is the id; empty where the first two arguments, type
    and id, say what is asked for.
    """

    def decorated(method: Callable[Concatenate[L, P], R]) -> Callable[Concatenate[L, P], R]:
        @functools.wraps(method)
        def call(lake: L, *args: P.args, **kwargs: P.kwargs) -> R:
            if not lake.read_only or audit_trail.current() is not None:
                return method(lake, *args, **kwargs)
            named = (target_type, *args) if target_type else args
            with process_trail(
                lake, name, action, target=_target(named), lists_entities=lists_entities
            ):
                return method(lake, *args, **kwargs)

        return call

    return decorated


def _target(named: Sequence[object]) -> Entity | None:
    if len(named) < 2:
        return None
    resource_type, id = named[:2]
    if not isinstance(resource_type, str) or not isinstance(id, str):
        return None
    return Entity(resource_type, id) if resource_type in RESOURCE_TYPES and is_id(id) else None
