"""A lake whose writer is another process of the same service: what a reader asks of it.

Such a lake is opened read-only, and knows at once how far the writer is (`Published`, memory that
the processes share). It prepares changes by itself and hands them over to be checked, numbered and
stored (`Elsewhere.begin`); what it cannot do so raises `NotHere`, for its caller to have it done
where the writer is.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeVar

from storage.audit_record import AuditRecord
from storage.operations import Prepared
from storage.recent_versions import Guard

R = TypeVar("R")


class NotHere(BaseException):
    """This has to be done by the process that writes. Nothing was changed or given out.

    No `Exception`: it is nobody's failure, and passes by all that turns failures into answers.
    """


class Published:
    """How far the process that writes is: three numbers in memory that processes share.

    Each is one aligned word, written by one process: a reader sees the old or the new.
    """

    WORDS = 3

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
