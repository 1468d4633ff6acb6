"""The versions of the last commits: has one of them changed what was decided by a search?

Who looks before it writes (a conditional create, a patch) looks as of a commit and gives its
transaction a `Guard`. The writer refuses the transaction when a later version may have changed
what was seen; the caller then looks again. So looking needs no lock, and two writers wait for each
other only where what they write has to do with one another.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_MAX_VERSIONS = 20_000
_MAX_BYTES = 16_777_216

Id = bytes | str
Recent = tuple[int, int, Id, bytes]
"""Commit, number of the type, packed id, packed index rows (empty for a deletion)."""


class OvertakenError(Exception):
    """What a transaction was decided by has changed meanwhile: decide again."""


@dataclass(frozen=True, slots=True)
class Guard:
    """What was found as of commit `since_t`, and which later versions may change it.

    Those of a resource in `ids`; and of the type those that may meet the condition: all, when
    `needles` is None, else those whose index rows hold one of these texts (ASCII in lower case).
    `type_number` None: versions of any type may change it.
    """

    type_number: int | None
    since_t: int
    needles: tuple[bytes, ...] | None = ()
    ids: frozenset[Id] = frozenset()

    def concerns(self, version: Recent) -> bool:
        """Whether a version may have changed what was found."""
        t, type_number, id, rows = version
        if t <= self.since_t:
            return False
        if self.type_number is None:
            return True
        if type_number != self.type_number:
            return False
        if id in self.ids:
            return True
        if not rows:
            return False  # A deletion adds no match.
        if self.needles is None:
            return True
        if not self.needles:
            return False
        folded = rows.lower()
        return any(needle in folded for needle in self.needles)


class RecentVersions:
    """All versions after commit `since_t`, in order; added to by the writer, read by anyone."""

    def __init__(self, t: int) -> None:
        """`t`: the last commit so far."""
        # One object, replaced as a whole: a reader has a list that goes with its `since_t`.
        self._kept: tuple[int, list[Recent]] = (t, [])
        self._bytes = 0
        self._lock = threading.Lock()

    def add(self, versions: Sequence[Recent]) -> None:
        """The versions of a group that was committed."""
        with self._lock:
            kept = self._kept[1]
            kept += versions
            self._bytes += sum(len(version[3]) for version in versions)
            if len(kept) > _MAX_VERSIONS or self._bytes > _MAX_BYTES:
                half = kept[len(kept) // 2 :]
                since_t = half[0][0]
                # A commit is kept whole or not at all.
                kept = [version for version in half if version[0] > since_t]
                self._bytes = sum(len(version[3]) for version in kept)
                self._kept = (since_t, kept)

    def forget(self) -> None:
        """Keep nothing of what was committed so far: some of it was erased."""
        with self._lock:
            since_t, kept = self._kept
            self._kept = (kept[-1][0] if kept else since_t, [])
            self._bytes = 0

    def overtakes(self, guard: Guard, group: Iterable[Recent] = ()) -> bool:
        """Whether a later version, or one of the `group` to be committed, may concern the guard."""
        since_t, kept = self._kept
        if guard.since_t < since_t:
            return True
        for place in range(len(kept) - 1, -1, -1):
            version = kept[place]
            if version[0] <= guard.since_t:
                break
            if guard.concerns(version):
                return True
        return any(map(guard.concerns, group))

    def check(self, guards: Sequence[Guard], group: Iterable[Recent]) -> None:
        """Raises `OvertakenError` when one of the guards was overtaken."""
        for guard in guards:
            if self.overtakes(guard, group):
                raise OvertakenError
