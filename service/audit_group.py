"""Answers that wait for their audit events wait together: one commit, one fsync, one wake-up.

The requests in flight are answered side by side, so the events of most of them are ready within a
millisecond. The group is written when all of them wait, or after that millisecond; a request that
is alone waits for nobody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from storage.audit_record import AuditRecord
from storage.lake import Lake

_GATHER_S = 0.001


class AuditGroup:
    """Gathers the records of requests in one event loop."""

    def __init__(self, lake: Lake) -> None:
        self._lake = lake
        self._in_flight = 0
        self._records: list[AuditRecord] = []
        self._waiting: list[asyncio.Future[None]] = []
        self._timer: asyncio.TimerHandle | None = None

    def began(self) -> None:
        """A request is being dealt with."""
        self._in_flight += 1

    def ended(self) -> None:
        """A request is answered; no one has to wait for its events."""
        self._in_flight -= 1
        self._go_on()

    async def write(self, records: Sequence[AuditRecord]) -> None:
        """Return when the records are durable. Raises FhirError when they cannot be."""
        loop = asyncio.get_running_loop()
        written: asyncio.Future[None] = loop.create_future()
        self._records += records
        self._waiting.append(written)
        if self._timer is None:
            self._timer = loop.call_later(_GATHER_S, self._submit)
        self._go_on()
        await written

    def _go_on(self) -> None:
        if self._waiting and len(self._waiting) >= self._in_flight:
            self._submit()

    def _submit(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        records, self._records = self._records, []
        waiting, self._waiting = self._waiting, []
        # Those that wait for the disk now can wait with nobody any more.
        self._in_flight -= len(waiting)
        try:
            future = self._lake.record_access(records)
        except Exception as failure:
            self._written(waiting, failure)
            return
        wake = asyncio.get_running_loop().call_soon_threadsafe
        future.add_done_callback(lambda done: wake(self._written, waiting, done.exception()))

    def _written(self, waiting: list[asyncio.Future[None]], failure: BaseException | None) -> None:
        self._in_flight += len(waiting)
        for one in waiting:
            if one.cancelled():
                continue
            if failure is not None:
                one.set_exception(failure)
            else:
                one.set_result(None)
