"""Sets of ids, and orders of versions, kept for the next page of the same search."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Any

import numpy as np

from storage.index.membership import TextSet

# Of all that is kept together.
_KEPT_BYTES = 96 * 2**20

# What Python needs for a key and for what is of no size of its own.
_SMALL_BYTES = 500

MOST_NUMBERS = 2**22
"""In an array; a longer one is not kept."""


class KeptSets:
    """Sets of ids by what was asked, as of which state; the oldest go first.

    One that several keys have, since a state that followed changed nothing of it, counts once.
    """

    def __init__(self, limit_bytes: int = _KEPT_BYTES) -> None:
        self._limit_bytes = limit_bytes
        self._kept: OrderedDict[Hashable, Any] = OrderedDict()
        self._holders: dict[int, int] = {}
        self._bytes = 0
        self._lock = threading.Lock()

    @property
    def nbytes(self) -> int:
        """Bytes held in memory, about."""
        return self._bytes

    def get(self, key: Hashable) -> Any:
        """The set of a key; None where there is none."""
        with self._lock:
            found = self._kept.get(key)
            if found is not None:
                self._kept.move_to_end(key)
            return found

    def keep(self, key: Hashable, found: Any) -> None:
        """Keep a set, a tuple whose first is a set, or an array of numbers."""
        if _size(found) > self._limit_bytes:
            return
        with self._lock:
            before = self._kept.pop(key, None)
            self._kept[key] = found
            self._hold(found)
            if before is not None:
                self._let_go(before)
            while self._bytes > self._limit_bytes:
                _, dropped = self._kept.popitem(last=False)
                self._let_go(dropped)

    def _hold(self, found: Any) -> None:
        shared = _shared(found)
        holders = self._holders.get(id(shared), 0)
        self._holders[id(shared)] = holders + 1
        self._bytes += _rest(found) + (0 if holders else shared.nbytes)

    def _let_go(self, found: Any) -> None:
        shared = _shared(found)
        holders = self._holders[id(shared)] - 1
        self._bytes -= _rest(found) + (0 if holders else shared.nbytes)
        if holders:
            self._holders[id(shared)] = holders
        else:
            del self._holders[id(shared)]


def _shared(found: Any) -> TextSet | np.ndarray:
    """What several keys may have in common."""
    return found[0] if isinstance(found, tuple) else found


def _rest(found: Any) -> int:
    """The bytes of a key and what it alone has."""
    others = sum(map(len, found[1:])) if isinstance(found, tuple) else 0
    return _SMALL_BYTES * (1 + others)


def _size(found: Any) -> int:
    return int(_shared(found).nbytes) + _rest(found)
