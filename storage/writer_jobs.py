"""What callers ask of the writer, and how they wait for it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

import apsw

from storage.commit import Position
from storage.commit_batch import CommitBatch
from storage.operations import Prepared
from storage.recent_versions import Guard
from storage.versions import Commit

Also = Callable[[CommitBatch, Position, Commit], None]
"""Called with what a transaction adds to its group's batch, to add what belongs to it."""


class Job:
    """A transaction (`operations`, `cursor`), other `work` in one, or work `alone`, in none.

    `guards`: the transaction is refused with `OvertakenError` when one of them was overtaken.
    `also`: to be called with what a transaction adds; `future`: told too, for who does not wait.
    `durable`: whether it has to be on the disk before the caller goes on.
    `index`: the index queue has to be empty before it, as before any work alone. A bare lock wakes
    the caller: a Future costs ten times as much, paid while all others wait for the interpreter.
    """

    __slots__ = (
        "_done",
        "_failure",
        "_result",
        "alone",
        "also",
        "cursor",
        "durable",
        "future",
        "guards",
        "index",
        "operations",
        "size",
        "work",
    )

    def __init__(
        self,
        *,
        operations: Sequence[Prepared] = (),
        cursor: tuple[str, int] | None = None,
        guards: Sequence[Guard] = (),
        also: Also | None = None,
        work: Callable[[apsw.Connection, Position], Any] | None = None,
        alone: Callable[[], None] | None = None,
        index: bool = False,
        durable: bool = True,
        future: Future[Any] | None = None,
    ) -> None:
        self.operations = operations
        self.cursor = cursor
        self.guards = guards
        self.also = also
        self.future = future
        self.work = work
        self.alone = alone
        self.index = index or alone is not None
        self.durable = durable
        self.size = len(operations) or 1
        self._result: Any = None
        self._failure: BaseException | None = None
        self._done = threading.Lock()
        self._done.acquire()

    def wait(self) -> Any:
        """The result, once there is one. Raises what the job failed with."""
        self._done.acquire()
        if self._failure is not None:
            raise self._failure
        return self._result

    def succeed(self, result: Any) -> None:
        """Let the caller go on with a result."""
        self._result = result
        self._done.release()
        if self.future is not None:
            self.future.set_result(result)

    def fail(self, failure: BaseException) -> None:
        """Let the caller go on with an exception."""
        self._failure = failure
        self._done.release()
        if self.future is not None:
            self.future.set_exception(failure)
