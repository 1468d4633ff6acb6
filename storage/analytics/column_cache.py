"""Decrypted columns of segments, kept in memory as Arrow, least recently used out first.

A segment never changes, so what is cached under its path is never stale. Nothing of this is ever
written to disk. Why a cache: over 1 M Observations on 2 cores, DuckDB on cached
dictionary-encoded columns answers a group-by in 12 ms, on a decrypting `pyarrow.dataset` in 55 ms,
on a plaintext file in 19 ms (bench/analytics_scan.py).
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, TypeVar

Item = TypeVar("Item")

DEFAULT_MAX_BYTES = 512 * 2**20


class ColumnCache:
    """A byte-bounded LRU of things derived from segments, keyed by (segment path, what)."""

    def __init__(self, max_bytes: int = DEFAULT_MAX_BYTES) -> None:
        self.max_bytes = max_bytes
        self._items: OrderedDict[tuple[str, str], tuple[Any, int]] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    @property
    def bytes(self) -> int:
        """Bytes held now."""
        return self._bytes

    def get(self, path: str, what: str) -> Any | None:
        """The cached item, or None."""
        with self._lock:
            found = self._items.get((path, what))
            if found is None:
                return None
            self._items.move_to_end((path, what))
            return found[0]

    def put(self, path: str, what: str, item: Any, size_bytes: int) -> None:
        """Keep `item`, dropping the least recently used ones; one over the bound is not kept."""
        if size_bytes > self.max_bytes:
            return
        with self._lock:
            replaced = self._items.pop((path, what), None)
            self._bytes += size_bytes - (replaced[1] if replaced else 0)
            self._items[(path, what)] = (item, size_bytes)
            while self._bytes > self.max_bytes:
                _, (_, freed) = self._items.popitem(last=False)
                self._bytes -= freed

    def get_or(
        self, path: str, what: str, make: Callable[[], Item], size: Callable[[Item], int]
    ) -> Item:
        """The cached item, or the one that `make` gives, which is then kept."""
        found = self.get(path, what)
        if found is None:
            found = make()
            self.put(path, what, found, size(found))
        return found

    def forget(self, path_prefix: str) -> None:
        """Drop whatever came from paths that begin so: after an erasure, or when a lake closes."""
        with self._lock:
            for key in [key for key in self._items if key[0].startswith(path_prefix)]:
                self._bytes -= self._items.pop(key)[1]


CACHE = ColumnCache()
