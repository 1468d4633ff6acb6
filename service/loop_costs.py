"""How long work of one kind takes: what is short is done in the event loop, the rest in a thread.

What is long would hold up everybody, so the first of a kind (searches by the same parameters,
creates of one type) is done in a thread, and measured.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import TypeVar

R = TypeVar("R")
Kind = tuple[str, ...]

SHORT_S = 0.003
"""Processor time for which one may hold up the others."""

THREADS = 8
"""For searches that do, or that wait for the index. More would take turns at the interpreter, each
with a cache of its own of the database, which commits empty: ten times the work were measured."""

# A long one is remembered for some forty short ones of its kind.
_FADING = 0.9

_MOST_KINDS = 1_000

# The clock of a thread is a system call.
_EACH = 8


class LoopCosts:
    """What work of each kind took of late."""

    def __init__(self) -> None:
        self._seconds: OrderedDict[Kind, float] = OrderedDict()
        self._turn = 0

    def is_short(self, kind: Kind) -> bool:
        """Did none of this kind take long lately? False for a kind that is not known."""
        return self._seconds.get(kind, SHORT_S) < SHORT_S

    def measured(self, kind: Kind, work: Callable[[], R]) -> R:
        """What `work` gives; how long it took is remembered, also when it fails.

        Of kinds that take far less than others would notice, it is looked at now and then.
        """
        self._turn += 1
        if self._turn % _EACH and self._seconds.get(kind, SHORT_S) < SHORT_S / 4:
            return work()
        began = time.thread_time()
        try:
            return work()
        finally:
            took = time.thread_time() - began
            # Also for who is in another thread: a lost update costs nothing but time.
            before = self._seconds.pop(kind, 0.0)
            self._seconds[kind] = max(took, before * _FADING)
            while len(self._seconds) > _MOST_KINDS:
                self._seconds.popitem(last=False)
