"""Memory that the processes of a service share: how far each lake's writer is, who is busy.

Anonymous memory, inherited by fork: no file, and gone with the processes. Each word is written by
one process.
"""

from __future__ import annotations

import mmap

from storage.elsewhere import Published

_WORD_BYTES = 8


class Board:
    """The words of `lakes` lakes and `fronts` fronts."""

    def __init__(self, lakes: int, fronts: int) -> None:
        """To be made before the processes are."""
        self._fronts = fronts
        self._of_lake = Published.WORDS + fronts
        self._memory = mmap.mmap(-1, _WORD_BYTES * self._of_lake * lakes)
        self._words = memoryview(self._memory).cast("q")

    def published(self, lake: int) -> Published:
        """How far the writer of a lake is."""
        return Published(self._part(lake, 0, Published.WORDS))

    def under_way(self, lake: int) -> memoryview:
        """How many requests on a lake each front deals with."""
        return self._part(lake, Published.WORDS, self._fronts)

    def front_ended(self, front: int) -> None:
        """Forget the requests of a front that is gone."""
        for start in range(0, len(self._words), self._of_lake):
            self._words[start + Published.WORDS + front] = 0

    def _part(self, lake: int, first: int, count: int) -> memoryview:
        start = lake * self._of_lake + first
        return self._words[start : start + count]
