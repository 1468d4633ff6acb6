"""A pass over the notes of the commit log, with a durable cursor.

Notes are finished in any order; the cursor moves past a commit when all notes of it, and of those
before it, are finished. A crash repeats what was not passed yet, and loses nothing.
"""

from __future__ import annotations

from storage.lake import Lake, Version

NOTE_TYPE = "DocumentReference"
Key = tuple[str, int]


def key_of(note: Version) -> Key:
    """Id and version of a note."""
    return note.id, note.version_id


class NoteLog:
    """The versions of notes after the cursor `name`, in the order of their commits."""

    def __init__(self, lake: Lake, name: str) -> None:
        """Nothing is read until `resume`."""
        self.name = name
        self._lake = lake
        self.is_abandoned = False
        """Another pass has taken its place: it moves the cursor no more."""
        self._fetched_t = 0
        self._open: dict[Key, int] = {}
        # Finished beyond the cursor, with the commit of each.
        self._finished: dict[Key, int] = {}

    def resume(self) -> None:
        """Begin after what is passed for good."""
        self._fetched_t = self._lake.cursor(self.name)
        self._open, self._finished = {}, {}

    def next(self, limit: int, *, until: int | None = None) -> list[Version]:
        """The next notes, whole commits only (the cursor counts commits); [] when there is none.

        `until`: the last commit that matters, every one where None.
        """
        size = limit
        while True:
            notes = self._lake.changes(self._fetched_t, types=(NOTE_TYPE,), limit=size)
            whole = notes
            if len(notes) == size:
                whole = [note for note in notes if note.t != notes[-1].t]
                if not whole:
                    size *= 2
                    continue
            if until is not None:
                whole = [note for note in whole if note.t <= until]
            for note in whole:
                self._fetched_t = note.t
                self._open[key_of(note)] = note.t
            return whole

    def cursor_after(self, key: Key) -> int | None:
        """Where the cursor moves when this note is finished; None where it stays."""
        if self.is_abandoned:
            return None
        others = [t for other, t in self._open.items() if other != key]
        reached = min(others) - 1 if others else self._fetched_t
        return reached if reached > self._lake.cursor(self.name) else None

    def finish(self, key: Key) -> None:
        """This note is done with, and the cursor is stored where `cursor_after` said."""
        finished = {**self._finished, key: self._open.pop(key)}
        passed = self._lake.cursor(self.name)
        # Replaced at once: other threads look at it.
        self._finished = {other: t for other, t in finished.items() if t > passed}

    def is_finished(self, note: Version) -> bool:
        """Whether the pass is done with this note."""
        return note.t <= self._lake.cursor(self.name) or key_of(note) in self._finished

    def remaining(self, until: int | None = None) -> int:
        """Versions of notes that are committed, up to `until`, and not finished."""
        passed = self._lake.cursor(self.name)
        left = self._lake.count_changes(passed, types=(NOTE_TYPE,))
        if until is not None:
            left -= self._lake.count_changes(max(until, passed), types=(NOTE_TYPE,))
        return left - len(self._finished)
