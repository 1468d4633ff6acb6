"""Copying committed pages from the WAL into the database, when no caller waits for it.

SQLite would do it within a COMMIT and keep to itself whether it failed. A full disk is no harm: the
pages stay in the WAL. A failed write or fsync is: see `storage.disk_failures`.
"""

from __future__ import annotations

import time

import apsw

# 16 MiB of WAL: a burst of commits pays for it seldom.
CHECKPOINT_PAGES = 4096

# As long as readers overlap the WAL cannot begin anew, and stays as long as it is. What was added
# since the last checkpoint is what there is to copy: less is not worth its two fsyncs.
_STEP_PAGES = 1024

# After the disk was full, before it is tried again.
_RETRY_S = 1.0


class Checkpoints:
    """The checkpoints of the writer's connection."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._pages = 0
        self._copied = 0
        self._not_before = 0.0
        connection.set_wal_hook(self._committed)

    def run_if_due(self) -> None:
        """Copy what can be copied while others read, once the WAL is long. Raises apsw.Error."""
        added = self._pages - self._copied
        if self._pages < CHECKPOINT_PAGES or added < min(_STEP_PAGES, CHECKPOINT_PAGES):
            return
        if time.monotonic() < self._not_before:
            return
        try:
            self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        except apsw.Error:
            self._not_before = time.monotonic() + _RETRY_S
            raise
        self._copied = self._pages

    def _committed(self, _connection: apsw.Connection, _name: str, pages: int) -> int:
        if pages < self._pages:  # It began anew.
            self._copied = 0
        self._pages = pages
        return apsw.SQLITE_OK
