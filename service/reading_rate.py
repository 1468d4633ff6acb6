"""How much was read and how fast: what an operator wants to know of the reading of notes."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

WINDOW_S = 60
"""Rates are those of the last minute."""


class ReadingRate:
    """Counts since the start of the process, and rates; may be asked by any thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` in seconds."""
        self._clock = clock
        self._lock = threading.Lock()
        self._recent: deque[tuple[float, int]] = deque()
        self._began = clock()
        self.notes = 0
        self.failures = 0
        self.characters = 0

    def read(self, characters: int) -> None:
        """A note of that length was read."""
        with self._lock:
            self.notes += 1
            self.characters += characters
            self._recent.append((self._clock(), characters))
            self._forget()

    def failed(self) -> None:
        """A note could not be read."""
        with self._lock:
            self.failures += 1

    def per_second(self) -> tuple[float, float]:
        """Notes and characters a second, over the last minute (or since the start, if shorter)."""
        with self._lock:
            self._forget()
            span = min(WINDOW_S, max(self._clock() - self._began, 1.0))
            return len(self._recent) / span, sum(size for _, size in self._recent) / span

    def _forget(self) -> None:
        limit = self._clock() - WINDOW_S
        while self._recent and self._recent[0][0] < limit:
            self._recent.popleft()
