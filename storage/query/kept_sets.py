"""Sets of ids, and orders of versions, kept for the next page of the same search."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Any

import numpy as np

from storage.index.membership import TextSet

# Ids kept in all sets together: some 60 bytes each.
_KEPT_IDS = 500_000

MOST_NUMBERS = 8 * (_KEPT_IDS - 1)
"""In an array; a longer one is not kept."""


class KeptSets:
    """Sets of ids by what was asked, as of which commit; the oldest go first."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Hashable, Any] = OrderedDict()
        self._ids = 0
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> Any:
        """The set of a key; None where there is none."""
        with self._lock:
            found = self._kept.get(key)
            if found is not None:
                self._kept.move_to_end(key)
            return found

    def keep(self, key: Hashable, found: Any) -> None:
        """Keep a set, a tuple of sets, or an array of numbers."""
        size = _size(found)
        if size > _KEPT_IDS:
            return
        with self._lock:
            before = self._kept.pop(key, None)
            if before is not None:
                self._ids -= _size(before)
            self._kept[key] = found
            self._ids += size
            while self._ids > _KEPT_IDS:
                _, dropped = self._kept.popitem(last=False)
                self._ids -= _size(dropped)


def _size(found: Any) -> int:
    if isinstance(found, np.ndarray):
        return len(found) // 8 + 1
    return len(found) + 1 if isinstance(found, TextSet) else sum(len(one) for one in found) + 1
