"""What the last commits changed: has that changed what was decided by a search?

Who looks before it writes (a conditional create, a patch) looks as of a commit and gives its
transaction a `Guard`. The writer refuses the transaction when a later version may have changed
what was seen; the caller then looks again. So looking needs no lock, and two writers wait for each
other only where what they write has to do with one another.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

_VERSIONS = 10_000
"""Versions of one generation; there are two, and of what is older nothing is known."""

Id = bytes | str


class OvertakenError(Exception):
    """What a transaction was decided by has changed meanwhile: decide again."""


@dataclass(frozen=True, slots=True)
class Guard:
    """What was found as of commit `since_t`, and which later versions may change it.

    Those of a resource in `ids`; and those of the type that may meet the condition: all when
    `identifiers` is None, else those that have one of these. `type_number` None: any version.
    """

    type_number: int | None
    since_t: int
    identifiers: frozenset[str] | None = frozenset()
    ids: frozenset[Id] = frozenset()


class Generation:
    """Some versions in the order of their commits: which was the last one with what."""

    __slots__ = ("_identifiers", "_ids", "_types", "count", "last_t")

    def __init__(self) -> None:
        self._identifiers: dict[tuple[int, str], int] = {}
        self._ids: dict[tuple[int, Id], int] = {}
        self._types: dict[int, int] = {}
        self.count = 0
        self.last_t = 0

    def add(self, t: int, key: tuple[int, Id], identifiers: Sequence[str] | None) -> None:
        """A version of commit `t`; `key` is its type's number and its packed id.

        `identifiers` are those that its index has, None for a deletion, which meets no condition.
        """
        self.count += 1
        self.last_t = self._ids[key] = t
        if identifiers is not None:
            self._types[key[0]] = t
            for value in identifiers:
                self._identifiers[key[0], value] = t

    def extend(self, later: Generation) -> None:
        """The versions of a later one."""
        self.count += later.count
        self.last_t = max(self.last_t, later.last_t)
        self._ids.update(later._ids)
        self._types.update(later._types)
        self._identifiers.update(later._identifiers)

    @property
    def resources(self) -> Collection[tuple[int, Id]]:
        """What they are versions of: number of the type, packed id."""
        return self._ids.keys()

    def overtakes(self, guard: Guard) -> bool:
        """Whether one of them is later than the guard and concerns it."""
        number, since_t = guard.type_number, guard.since_t
        if self.last_t <= since_t:
            return False
        if number is None:
            return True
        ids, identifiers = self._ids, self._identifiers
        for id in guard.ids:
            if ids.get((number, id), 0) > since_t:
                return True
        if guard.identifiers is None:
            return self._types.get(number, 0) > since_t
        return any(identifiers.get((number, one), 0) > since_t for one in guard.identifiers)


class RecentVersions:
    """The versions after some commit, added to by the writer, asked by anyone."""

    def __init__(self, t: int) -> None:
        """`t`: the last commit so far."""
        # One object, replaced as a whole: what a reader has goes together.
        self._kept = (t, Generation(), Generation())
        self._lock = threading.Lock()

    def add(self, group: Generation) -> None:
        """The versions of a group that was committed."""
        if not group.count:
            return
        with self._lock:
            since_t, older, newer = self._kept
            if newer.count >= _VERSIONS:
                self._kept = (older.last_t or since_t, newer, group)
            else:
                newer.extend(group)

    def forget(self, t: int) -> None:
        """Keep nothing of what was committed so far: commit `t` erased some of it.

        All that was decided before is to be decided anew: it may rest on what is gone.
        """
        with self._lock:
            self._kept = (t, Generation(), Generation())

    def overtakes(self, guard: Guard) -> bool:
        """Whether a later version may concern the guard; True when that is not known any more."""
        since_t, older, newer = self._kept
        return guard.since_t < since_t or newer.overtakes(guard) or older.overtakes(guard)

    def check(self, guards: Iterable[Guard], group: Generation) -> None:
        """Raises `OvertakenError` when a guard was overtaken, by the group to be committed too."""
        for guard in guards:
            if self.overtakes(guard) or group.overtakes(guard):
                raise OvertakenError
