"""A bound on requests under way: beyond it, 503 with `Retry-After` rather than a pile-up.

Each request holds memory and, mostly, a thread; what waits for those helps nobody, and its client
may have gone already. Health checks are always answered.
"""

from __future__ import annotations

from array import array
from collections.abc import MutableSequence

from starlette.types import Scope

from schemas.outcomes import FhirError, error

_EXEMPT = frozenset({"/healthz", "/readyz"})


def _is_exempt(scope: Scope) -> bool:
    return scope["path"].removeprefix(scope.get("root_path", "")) in _EXEMPT


class Overload:
    """Counts the requests of one datastore, in all processes of a service that answer them."""

    def __init__(
        self, most: int, counts: MutableSequence[int] | memoryview | None = None, own: int = 0
    ) -> None:
        """`most`: requests under way at once; 0 for no bound.

        `counts`: how many each process deals with, in memory that they share; this one's is `own`.
        """
        self._most = most
        self._counts = array("q", [0]) if counts is None else counts
        self._own = own

    def enter(self, scope: Scope) -> FhirError | None:
        """Count a request; the failure to answer instead (then `leave` is not to be called)."""
        if self._most and (under_way := sum(self._counts)) >= self._most and not _is_exempt(scope):
            return error(
                "unavailable",
                f"{under_way} requests are being dealt with, the most that this service "
                "takes on at once (setting max_concurrent_requests). Try again shortly.",
            )
        self._counts[self._own] += 1
        return None

    def leave(self) -> None:
        """A request is answered, or its client is gone."""
        self._counts[self._own] -= 1
