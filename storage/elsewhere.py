"""A lake whose writer is another process of the same service: what a reader asks of it.

Such a lake is opened read-only, and knows at once how far the writer is (`Published`, memory that
the processes share). It prepares changes by itself and hands them over to be checked, numbered and
stored (`Elsewhere.begin`); what it cannot do so raises `NotHere`, for its caller to have it done
where the writer is.
"""

from __future__ import annotations

import platform
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeVar
from zlib import crc32

from storage.audit_record import AuditRecord
from storage.operations import Prepared
from storage.recent_versions import Guard

R = TypeVar("R")


class NotHere(BaseException):
    """This has to be done by the process that writes. Nothing was changed or given out.

    No `Exception`: it is nobody's failure, and passes by all that turns failures into answers.
    """


# Resources share a slot now and then: then one is looked for again that was not touched.
_SLOTS = 16_384
_FIRST_SLOT = 5

IN_ORDER = platform.machine() in ("x86_64", "AMD64")
"""Whether what one process stores in shared memory is seen in its order by all others."""


class Published:
    """How far the process that writes is, and what it touched: memory that processes share.

    Each number is one aligned word, written by one process: a reader sees the old or the new.
    """

    WORDS = _FIRST_SLOT + _SLOTS

    def __init__(self, words: memoryview) -> None:
        """`words`: `WORDS` signed 64-bit numbers."""
        self._words = words

    @property
    def t(self) -> int:
        """The last commit. A commit is told here before anyone is told that it is stored."""
        return int(self._words[0])

    @property
    def indexed_t(self) -> int:
        """The last commit that is in the search index, with all before it."""
        return int(self._words[1])

    @property
    def definitions(self) -> int:
        """How often the search parameters were changed."""
        return int(self._words[2])

    @property
    def is_indexed(self) -> bool:
        """Whether all that is committed is in the search index."""
        t = self._words[0]
        return bool(self._words[1] >= t)

    @property
    def erased_t(self) -> int:
        """The last commit that erased something."""
        return int(self._words[3])

    @property
    def renewals(self) -> int:
        """How often the database was given another key, and file."""
        return int(self._words[4])

    def renewed(self) -> None:
        """Tell that another file is in the place of the database; before anything is written."""
        self._words[4] += 1

    def slot(self, number: int, id: bytes | str) -> int:
        """Where is told when a resource, by its type's number and packed id, was touched last."""
        key = id.encode() if isinstance(id, str) else id
        return _FIRST_SLOT + (crc32(key, number) & (_SLOTS - 1))

    def touched(self, slot: int) -> int:
        """The last commit that touched a resource of the slot."""
        return int(self._words[slot])

    def touch(self, resources: Iterable[tuple[int, bytes | str]], t: int) -> None:
        """Tell, before a commit is told, what it touched (or a commit before it of its group)."""
        for number, id in resources:
            self._words[self.slot(number, id)] = t

    def erased(self, t: int) -> None:
        """Tell, before a commit is told, that it erased something."""
        self._words[3] = t

    def committed(self, t: int) -> None:
        """Tell a commit."""
        self._words[0] = t

    def indexed(self, t: int) -> None:
        """Tell that everything up to commit `t` is in the search index."""
        self._words[1] = t

    def defined(self, count: int) -> None:
        """Tell that the search parameters were changed."""
        self._words[2] = count


class Change(NamedTuple):
    """Prepared operations to be stored as one commit, or none.

    `definitions`: by which search parameters their index rows were made (`Published.definitions`).
    Without operations it only asks whether the guards still hold.
    """

    operations: Sequence[Prepared]
    guards: Sequence[Guard]
    audit: AuditRecord | None
    definitions: int


@dataclass(frozen=True, slots=True)
class Numbers:
    """What the writer made of one operation: the version's number, commit and moment."""

    version_id: int
    t: int
    instant_us: int
    method: str
    deleted: bool


@dataclass(frozen=True, slots=True)
class Stored:
    """What a `Change` became."""

    t: int
    instant_us: int
    versions: Sequence[Numbers]


class Elsewhere(Protocol):
    """The process that writes, as one that reads knows it. Any thread may ask.

    What waits raises `NotHere` where waiting would hold up the answer: in the event loop.
    """

    def begin(self, change: Change) -> Future[Stored]:
        """Have a change stored; the future is done when it is durable, or refused.

        It raises what `Lake.transact` does.
        """

    def wait(self, future: Future[R]) -> R:
        """The result of a future of `begin`."""

    def await_index(self, t: int) -> None:
        """Return when everything up to commit `t` is in the search index."""

    def term(self, text: str) -> int:
        """The number of a text that has none yet; durable on return."""

    def find(
        self, resource_type: str, params: Sequence[tuple[str, str]], limit: int
    ) -> tuple[int, Guard, list[str]]:
        """What a condition matches (`Lake.find`): as of which commit, its guard, the ids."""
