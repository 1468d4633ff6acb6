"""Merging segments in the background, so that their number stays small however long a lake lives.

What is worth merging is said by `storage.compaction_policy`, how it is done by `storage.rewrite`.
Every version is kept: those superseded are the history. Half of the time is left to others, and
whoever wants to rewrite for another reason (an erase) goes first.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

import apsw

from schemas.outcomes import FhirError, error
from storage import compaction_policy
from storage.compaction_policy import Run
from storage.database import Database
from storage.retirement import Retirement
from storage.rewrite import Interrupted, Rewriter, Rewriting
from storage.segment_store import LIVE

log = logging.getLogger("chartlake.storage")

# Between a flush and the merging it may lead to: a bulk load is not merged over and over.
DELAY_S = 30.0

# How often files are looked for whose grace is over.
_RETIREMENT_S = 60.0
_RETRY_S = 60.0

# The longest sleep between two row groups, or two transactions.
_PAUSE_S = 0.25


class Compactor:
    """Merges segments when asked, and by itself some time after a flush."""

    def __init__(self, database: Database, rewriter: Rewriter, retirement: Retirement) -> None:
        self._database = database
        self._rewriter = rewriter
        self._retirement = retirement
        self._asked = threading.Lock()
        self._wanted = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="chartlake-compaction", daemon=True)

    def start(self) -> None:
        """Begin to look after the segments."""
        self._wanted.set()
        self._thread.start()

    def wake(self) -> None:
        """There is a new segment."""
        self._wanted.set()

    def stop(self) -> None:
        """Give up what is being merged, which changes nothing, and stop."""
        self._stopping.set()
        self._wanted.set()
        if self._thread.is_alive():
            self._thread.join()

    def compact(self) -> int:
        """Merge all segments of each type into one sorted run; how many segments were merged.

        Raises FhirError: `internal` (one is damaged), `unavailable` (the store cannot be reached).
        """
        merged = 0
        # One at a time: two would each go out of the other's way for ever.
        with self._asked:
            for resource_type in self._runs():
                done = None
                while done is None:
                    done = self._merge_all(resource_type)
                merged += done
        self._retirement.remove()
        return merged

    def _merge_all(self, resource_type: str) -> int | None:
        """Merge the runs of a type; None when someone else had to go first."""
        try:
            with self._rewriter.alone():
                found = self._runs().get(resource_type, [])
                if len(found) < 2:
                    return 0
                return self._merge(resource_type, found, _Pace(self._stopping, rest=0))
        except Interrupted:
            if self._stopping.is_set():
                raise error("unavailable", "The lake is closed.") from None
            return None

    def _run(self) -> None:
        due = time.monotonic()
        while not self._stopping.is_set():
            if self._wanted.wait(_RETIREMENT_S):
                self._wanted.clear()
                self._stopping.wait(DELAY_S)
            if self._stopping.is_set():
                return
            try:
                while self._merge_next():
                    pass
                if time.monotonic() >= due:
                    self._retirement.remove()
                    due = time.monotonic() + _RETIREMENT_S
            except Interrupted:
                self._wanted.set()
            except Exception as failure:
                if self._stopping.is_set():
                    return
                if isinstance(failure, FhirError) and failure.category == "conflict":
                    # Someone else rewrote what was chosen: choose again.
                    self._wanted.set()
                    continue
                log.error("compaction failed (%s), trying again", type(failure).__name__)
                self._stopping.wait(_RETRY_S)
                self._wanted.set()

    def _merge_next(self) -> bool:
        """Merge what is worth it most: the smallest first. False when nothing is."""
        candidates = [
            (sum(run.bytes for run in chosen), resource_type, chosen)
            for resource_type, found in self._runs().items()
            if (chosen := compaction_policy.worth_merging(found))
        ]
        if not candidates:
            return False
        _, resource_type, chosen = min(candidates, key=lambda candidate: candidate[0])
        self._merge(resource_type, chosen, _Pace(self._stopping, rest=1))
        return True

    def _merge(self, resource_type: str, found: list[Run], pace: _Pace) -> int:
        segments = [segment for run in found for segment in run.segments]
        self._rewriter.rewrite([Rewriting(resource_type, segments)], pause=pace)
        return len(segments)

    def _runs(self) -> dict[str, list[Run]]:
        with self._database.reading() as connection:
            return _live_runs(connection)


def _live_runs(connection: apsw.Connection) -> dict[str, list[Run]]:
    """Type → its runs, of segments that are settled."""
    rows: list[Any] = connection.execute(
        "SELECT t.text, s.id, s.run, s.bytes FROM segment s JOIN term t ON t.id = s.type "
        f"WHERE s.state = {LIVE} ORDER BY s.type, s.id"
    ).fetchall()
    by_type: dict[str, list[tuple[int, int, int]]] = {}
    for resource_type, segment, run, size in rows:
        by_type.setdefault(resource_type, []).append((segment, run, size))
    return {name: compaction_policy.runs(found) for name, found in by_type.items()}


class _Pace:
    """Called between pieces of work: rests for `rest` times as long as the last one took."""

    def __init__(self, stopping: threading.Event, *, rest: float) -> None:
        self._stopping = stopping
        self._rest = rest
        self._since = time.monotonic()

    def __call__(self) -> None:
        worked = time.monotonic() - self._since
        if self._stopping.wait(min(worked * self._rest, _PAUSE_S)):
            raise Interrupted
        self._since = time.monotonic()
