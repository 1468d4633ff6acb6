"""Going through all indexed versions, for rebuilding the index and for checking it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import apsw

from storage.version_rows import COLUMNS, FROM

_BATCH = 500


def live_rows(connection: apsw.Connection) -> Iterator[list[Any]]:
    """Rows of `version_rows.COLUMNS` of every version that has a body, in batches.

    In the order of where the bodies lie, so that each row group is decoded once.
    """
    last_segment, last_row, last_v = -1, -1, -1
    while True:
        rows = connection.execute(
            f"SELECT {COLUMNS} FROM {FROM} WHERE NOT r.deleted AND "
            "(ifnull(r.segment, 0), ifnull(r.segment_row, 0), r.v) > (?, ?, ?) "
            "ORDER BY ifnull(r.segment, 0), ifnull(r.segment_row, 0), r.v LIMIT ?",
            (last_segment, last_row, last_v, _BATCH),
        ).fetchall()
        if not rows:
            return
        yield rows
        last_v, last_segment, last_row = rows[-1][0], rows[-1][8] or 0, rows[-1][9] or 0


def intern_in(connection: apsw.Connection) -> Callable[[str], int]:
    """Numbers of texts within the connection's own transaction, adding those that are missing."""

    @lru_cache(maxsize=100_000)
    def intern(text: str) -> int:
        connection.execute("INSERT OR IGNORE INTO term (text) VALUES (?)", (text,))
        return int(connection.execute("SELECT id FROM term WHERE text = ?", (text,)).get)

    return intern
