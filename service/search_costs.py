"""How long searches of one kind take: short ones are done in the event loop, others in a thread.

A search that is long would hold up everybody, so the first of a kind is done in a thread, and
measured.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import TypeVar

R = TypeVar("R")
Kind = tuple[str, ...]

SHORT_S = 0.003
"""Processor time up to which a search may hold up the others."""

THREADS = 2
"""For searches that do. More would take turns at the interpreter, each with a cache of its own of
the database, which the others' commits empty: ten times the work for the same searches."""

# One long search is remembered for some forty short ones of its kind.
_FADING = 0.9

_MOST_KINDS = 1_000


class SearchCosts:
    """What the searches of each kind took of late."""

    def __init__(self) -> None:
        self._seconds: OrderedDict[Kind, float] = OrderedDict()

    @staticmethod
    def kind(resource_type: str, params: Sequence[tuple[str, str]]) -> Kind:
        """Searches that take about as long: of the same parameters, whatever their values."""
        return (resource_type, *(name for name, _ in params))

    def is_short(self, kind: Kind) -> bool:
        """Did none of this kind take long lately? False for a kind that is not known."""
        return self._seconds.get(kind, SHORT_S) < SHORT_S

    def measured(self, kind: Kind, search: Callable[[], R]) -> R:
        """What `search` gives; how long it took is remembered, also when it fails."""
        began = time.thread_time()
        try:
            return search()
        finally:
            took = time.thread_time() - began
            # Also for who is in another thread: a lost update costs nothing but time.
            before = self._seconds.pop(kind, 0.0)
            self._seconds[kind] = max(took, before * _FADING)
            while len(self._seconds) > _MOST_KINDS:
                self._seconds.popitem(last=False)
