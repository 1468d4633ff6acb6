"""Versions with their bodies, kept in memory for whoever asks for them again.

A version never changes, so one that was read is read once: neither its rows in the database, whose
pages each commit takes out of a reader's cache, nor its segment are looked at again. What an
erasure takes out goes at once: everything is forgotten when there was another one, which each
reader tells by their number in its own transaction.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from storage.versions import Version

_LIMIT_BYTES = 48 * 2**20

# A larger one would push out many others.
_LARGEST_BYTES = 2**20

# What Python needs for one, besides its body.
_OVERHEAD_BYTES = 700


class KeptVersion(NamedTuple):
    """A version, and the id of the patient whose it is; None for what is no patient's."""

    version: Version
    patient: str | None


class KeptVersions:
    """Versions by their `v`; those asked for least recently go first."""

    def __init__(self, limit_bytes: int = _LIMIT_BYTES) -> None:
        self._limit_bytes = limit_bytes
        self._kept: OrderedDict[int, KeptVersion] = OrderedDict()
        self._bytes = 0
        self._erasures = 0
        self._lock = threading.Lock()

    def get(self, versions: Sequence[int], erasures: int) -> dict[int, KeptVersion]:
        """Those of some versions that are kept, for a reader who knows of so many erasures."""
        with self._lock:
            if not self._is_of(erasures):
                return {}
            found = {}
            for v in versions:
                one = self._kept.get(v)
                if one is not None:
                    found[v] = one
                    self._kept.move_to_end(v)
            return found

    def keep(self, found: Iterable[tuple[int, KeptVersion]], erasures: int) -> None:
        """Keep versions that a reader found who knows of so many erasures."""
        with self._lock:
            if not self._is_of(erasures):
                return
            for v, one in found:
                size = _size(one)
                if size <= _LARGEST_BYTES and v not in self._kept:
                    self._kept[v] = one
                    self._bytes += size
            while self._bytes > self._limit_bytes:
                _, dropped = self._kept.popitem(last=False)
                self._bytes -= _size(dropped)

    def _is_of(self, erasures: int) -> bool:
        """Whether what is kept is for a reader; one that knows of more erasures empties it."""
        if erasures > self._erasures:
            self._kept.clear()
            self._bytes = 0
            self._erasures = erasures
        # A reader of before an erasure may find what it took out: that is not kept, nor given.
        return erasures == self._erasures


def _size(one: KeptVersion) -> int:
    return len(one.version.body) + _OVERHEAD_BYTES
