"""Going through all indexed versions, for rebuilding the index and for checking it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import apsw

from storage.version_rows import COLUMNS, FROM

_BATCH = 500


def live_rows(connection: apsw.Connection) -> Iterator[list[Any]]:
    """Rows of `version_rows.COLUMNS` of every version that has a body, in batches.

    By type, then in commit order: so they come from an index, and the segment that a batch is in
    fits into the cache of decoded bodies.
    """
    rows = connection.execute(
        f"SELECT {COLUMNS} FROM {FROM} WHERE NOT r.deleted ORDER BY r.type, r.v"
    )
    while batch := list(itertools.islice(rows, _BATCH)):
        yield batch


def intern_in(connection: apsw.Connection) -> Callable[[str], int]:
    """Numbers of texts within the connection's own transaction, adding those that are missing."""

    @lru_cache(maxsize=100_000)
    def intern(text: str) -> int:
        connection.execute("INSERT OR IGNORE INTO term (text) VALUES (?)", (text,))
        return int(connection.execute("SELECT id FROM term WHERE text = ?", (text,)).get)

    return intern
