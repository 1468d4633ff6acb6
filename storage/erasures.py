"""Erasures that took something out of past answers: what a reader as of a commit must be told."""

from __future__ import annotations

import apsw


def since(connection: apsw.Connection, t: int) -> int:
    """How many erasures there were after commit `t`: answers as of `t` lack what they took."""
    if not _recorded(connection):
        return 0
    return int(connection.execute("SELECT count(*) FROM erasure WHERE t > ?", (t,)).get)


def any_recorded(connection: apsw.Connection) -> bool:
    """Whether anything was ever erased, so that numbers of versions can be missing."""
    if not _recorded(connection):
        return False
    return connection.execute("SELECT 1 FROM erasure LIMIT 1").get is not None


def _recorded(connection: apsw.Connection) -> bool:
    return connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'erasure'").get is not None
