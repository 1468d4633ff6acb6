"""Decrypted columns of segments, kept in memory as Arrow, least recently used out first.

A segment never changes, so what is cached under its key is never stale. Nothing of this is ever
written to disk. Why a cache: over 1 M Observations on 2 cores, DuckDB on cached
dictionary-encoded columns answers a group-by in 12 ms, on a decrypting `pyarrow.dataset` in 55 ms,
on a plaintext file in 19 ms (bench/analytics_scan.py).
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

Item = TypeVar("Item")

DEFAULT_MAX_BYTES = 512 * 2**20


class ColumnCache:
    """A byte-bounded LRU of things derived from segments, keyed by (segment key, what)."""

    def __init__(self, max_bytes: int = DEFAULT_MAX_BYTES) -> None:
        self.max_bytes = max_bytes
        self._items: OrderedDict[tuple[str, str], tuple[Any, int]] = OrderedDict()
        self._bytes = 0
        self._dropped: set[str] = set()
        self._lock = threading.Lock()

    @property
    def bytes(self) -> int:
        """Bytes held now."""
        return self._bytes

    def get(self, segment: str, what: str) -> Any | None:
        """The cached item, or None."""
        with self._lock:
            found = self._items.get((segment, what))
            if found is None:
                return None
            self._items.move_to_end((segment, what))
            return found[0]

    def put(self, segment: str, what: str, item: Any, size_bytes: int) -> None:
        """Keep `item`, dropping the least recently used ones; one over the bound is not kept."""
        if size_bytes > self.max_bytes:
            return
        with self._lock:
            if segment in self._dropped:
                return
            replaced = self._items.pop((segment, what), None)
            self._bytes += size_bytes - (replaced[1] if replaced else 0)
            self._items[(segment, what)] = (item, size_bytes)
            while self._bytes > self.max_bytes:
                _, (_, freed) = self._items.popitem(last=False)
                self._bytes -= freed

    def get_or(
        self, segment: str, what: str, make: Callable[[], Item], size: Callable[[Item], int]
    ) -> Item:
        """The cached item, or the one that `make` gives, which is then kept."""
        found = self.get(segment, what)
        if found is None:
            found = make()
            self.put(segment, what, found, size(found))
        return found

    def forget(self, prefix: str) -> None:
        """Drop whatever came from segments whose keys begin so: when a lake closes."""
        with self._lock:
            self._remove([key for key in self._items if key[0].startswith(prefix)])
            self._dropped = {key for key in self._dropped if not key.startswith(prefix)}

    def drop(self, segment: str) -> None:
        """Drop what came from a segment, and keep nothing of it again: its file is going.

        A query that began before may still read it, and would bring back what was erased.
        """
        with self._lock:
            self._dropped.add(segment)
            self._remove([key for key in self._items if key[0] == segment])

    def _remove(self, keys: Iterable[tuple[str, str]]) -> None:
        for key in keys:
            self._bytes -= self._items.pop(key)[1]


CACHE = ColumnCache()
