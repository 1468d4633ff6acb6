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
    """All versions after commit `since_t`, by type; added to by the writer, read by anyone."""

    def __init__(self, t: int) -> None:
        """`t`: the last commit so far."""
        # One object, replaced as a whole: a reader has lists that go with its `since_t`.
        self._kept: tuple[int, dict[int, list[Recent]]] = (t, {})
        self._last_t = t
        self._count = self._bytes = 0
        self._lock = threading.Lock()

    def add(self, versions: Sequence[Recent]) -> None:
        """The versions of a group that was committed."""
        if not versions:
            return
        with self._lock:
            _, kept = self._kept
            for version in versions:
                kept.setdefault(version[1], []).append(version)
                self._bytes += len(version[3])
            self._count += len(versions)
            self._last_t = versions[-1][0]
            if self._count > _MAX_VERSIONS or self._bytes > _MAX_BYTES:
                self._drop_older_half(kept)

    def _drop_older_half(self, kept: dict[int, list[Recent]]) -> None:
        commits = sorted(version[0] for versions in kept.values() for version in versions)
        since_t = commits[len(commits) // 2]  # A commit is kept whole or not at all.
        newer = {
            number: [version for version in versions if version[0] > since_t]
            for number, versions in kept.items()
        }
        self._count = sum(map(len, newer.values()))
        self._bytes = sum(len(v[3]) for versions in newer.values() for v in versions)
        self._kept = (since_t, newer)

    def forget(self) -> None:
        """Keep nothing of what was committed so far: some of it was erased."""
        with self._lock:
            self._kept = (self._last_t, {})
            self._count = self._bytes = 0

    def overtakes(self, guard: Guard, group: Iterable[Recent] = ()) -> bool:
        """Whether a later version, or one of the `group` to be committed, may concern the guard."""
        since_t, kept = self._kept
        if guard.since_t < since_t:
            return True
        if guard.type_number is None:
            return self._last_t > guard.since_t or any(map(guard.concerns, group))
        versions = kept.get(guard.type_number, ())
        for place in range(len(versions) - 1, -1, -1):
            version = versions[place]
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
