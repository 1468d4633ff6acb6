"""Batches in, outcomes out: processes check and prepare ahead, one batch after another is stored.

    with BulkPath(ingest, processes=2) as path:
        for outcome in path.run(batches):
            …                                    # stored and durable; `outcome.left`: store it now

A batch is a commit: when its outcome comes it is durable with all of its segments, and with how far
a job is, if the batch says so. What is in no outcome yet has left no trace, whatever happens.
"""

from __future__ import annotations

import multiprocessing
import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from queue import SimpleQueue
from types import TracebackType
from typing import Any, Self

from schemas.outcomes import FhirError, error
from service.bulk_path import process
from service.bulk_path.accepting import Checked
from service.bulk_path.process import Question, Work
from service.ingest import Ingest
from storage.lake import Lake, OvertakenError

# Batches that are ready beyond those that processes are at: bounds what is in memory.
_AHEAD = 1

_DEFINITION = "StructureDefinition"


@dataclass(slots=True)
class Batch:
    """Bodies to be stored as one commit.

    `cursor` (name, number) moves a consumer's cursor, and `progress` (id of a job, what it is to
    hold) notes how far a job is, in that commit. `tag`: whatever the caller knows it by.
    """

    bodies: Sequence[bytes]
    cursor: tuple[str, int] | None = None
    progress: tuple[str, dict[str, Any]] | None = None
    tag: Any = None


@dataclass(slots=True)
class Outcome:
    """What became of a batch, by the numbers of its bodies.

    `stored`: the version of each that the commit `t` stored; `unchanged`: those that the lake had
    already, word for word; `refused`: why. `left`: those that are not dealt with here, in their
    order: they go the ordinary way, before the next outcome is asked for.
    """

    batch: Batch
    t: int
    stored: dict[int, int] = field(default_factory=dict)
    kinds: dict[str, int] = field(default_factory=dict)
    unchanged: list[int] = field(default_factory=list)
    refused: dict[int, FhirError] = field(default_factory=dict)
    left: list[int] = field(default_factory=list)


class BulkPath:
    """Stores batches by several processes; one `run` at a time."""

    def __init__(self, ingest: Ingest, *, processes: int | None = None) -> None:
        """`processes`: as many as there are cores, by default; they start with the first batch.

        0: everything is done in this process, in the caller's thread.
        """
        self._lake: Lake = ingest.lake
        self._ingest = ingest
        self._count = processes if processes is not None else os.cpu_count() or 1
        self._bench = process.Bench(self._answer, *self._settings) if not self._count else None
        self._workers: list[_Worker] = []
        self._idle: SimpleQueue[_Worker] = SimpleQueue()
        self._threads: ThreadPoolExecutor | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        failure: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the processes; what they are at is dropped."""
        for worker in self._workers:
            worker.end()
        if self._threads is not None:
            self._threads.shutdown(wait=True, cancel_futures=True)
        self._workers, self._threads = [], None

    def run(self, batches: Iterable[Batch]) -> Iterator[Outcome]:
        """Store batch after batch, in their order; an outcome comes when its commit is durable.

        Raises FhirError: `unavailable`, `conflict`, `internal` (a process ended unexpectedly);
        JobCancelled where the job of a `progress` was cancelled. The batch that was being stored
        is then stored whole or not at all.
        """
        ahead: deque[tuple[Batch, Future[Checked]]] = deque()
        most = self._count + _AHEAD
        for batch in batches:
            ahead.append((batch, self._begin(batch.bodies)))
            if len(ahead) >= most:
                yield self._finish(*ahead.popleft())
        while ahead:
            yield self._finish(*ahead.popleft())

    # Checking

    @property
    def _settings(self) -> tuple[str, str]:
        validation = self._ingest.validation
        return validation.level, " ".join(validation.default_profiles)

    def _begin(self, bodies: Sequence[bytes]) -> Future[Checked]:
        if self._bench is not None:
            done: Future[Checked] = Future()
            done.set_result(self._bench.do(self._work(bodies, None)))
            return done
        if self._threads is None:
            self._threads = ThreadPoolExecutor(self._count, "chartlake-bulk")
            for _ in range(self._count):
                worker = _Worker(self._settings)
                self._workers.append(worker)
                self._idle.put(worker)
        return self._threads.submit(self._by_process, bodies)

    def _by_process(self, bodies: Sequence[bytes]) -> Checked:
        worker = self._idle.get()
        try:
            return worker.do(self._work(bodies, worker), self._answer)
        finally:
            self._idle.put(worker)

    def _work(self, bodies: Sequence[bytes], worker: _Worker | None) -> Work:
        lake = self._lake
        definitions = lake.definitions_count
        known = worker.definitions if worker is not None else self._known
        params = lake.search_params if definitions != known else None
        if worker is not None:
            worker.definitions = definitions
        else:
            self._known = definitions
        stamp = lake.canonicals.stamp(_DEFINITION, lake.t)
        return Work(list(bodies), stamp, definitions, params)

    _known = 0

    def _answer(self, question: Question) -> Any:
        asked, arguments = question
        if asked == "term":
            return self._lake.new_term(*arguments)
        if asked == "definition":
            return self._lake.canonicals.find(_DEFINITION, *arguments)
        return self._lake.canonicals.terminology().contains(*arguments)

    # Storing

    def _finish(self, batch: Batch, checking: Future[Checked]) -> Outcome:
        checked = checking.result()
        outcome = Outcome(batch, self._lake.t, refused=checked.refused, left=checked.left)
        if not checked.segments and batch.cursor is None and batch.progress is None:
            return outcome
        try:
            made = self._lake.store_segments(
                checked.segments, cursor=batch.cursor, progress=batch.progress
            )
        except OvertakenError:
            # The search parameters changed since: by those that there are now.
            return self._finish(batch, self._begin(batch.bodies))
        outcome.t = made.t
        for segment, versions in zip(checked.segments, made.versions, strict=True):
            numbers = zip(segment.places.tolist(), versions.tolist(), strict=True)
            stored = {place: version for place, version in numbers if version}
            outcome.stored |= stored
            outcome.kinds[segment.resource_type] = len(stored)
            if len(stored) < len(segment):
                outcome.unchanged += [p for p in segment.places.tolist() if p not in stored]
        outcome.unchanged.sort()
        return outcome


class _Worker:
    """A process, and this end of its pipe."""

    def __init__(self, settings: tuple[str, str]) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe()
        self._process = context.Process(
            target=process.run, args=(other, *settings), name="chartlake-bulk", daemon=True
        )
        self._process.start()
        other.close()
        self.definitions = 0

    def do(self, work: Work, answer: Any) -> Checked:
        """Have a batch done, answering what the process asks."""
        try:
            self._pipe.send(work)
            while True:
                said = self._pipe.recv()
                if isinstance(said, Checked):
                    return said
                self._pipe.send(answer(said))
        except (EOFError, OSError):
            raise error(
                "internal",
                "A process that checked resources ended before it was done (perhaps for want of "
                "memory). What is acknowledged is stored; start the import again to go on.",
            ) from None

    def end(self) -> None:
        """Have it end at once, whatever it is at."""
        self._process.kill()
        self._process.join()
        self._pipe.close()
