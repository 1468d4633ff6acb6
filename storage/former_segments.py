"""Segments that were rewritten: which keys are kept for the backups that hold their files.

Compaction puts the versions of some segments into others. A backup taken before it holds the old
files, so their keys must stay; an erase of any of those versions must destroy them all the same. A
row says which run of segments has the versions of a former segment now.
"""

from __future__ import annotations

from collections.abc import Collection

import apsw

from storage.segment_store import RETIRED

_DOOMED = 0  # no run has this number: the key is to be destroyed


def replaced(
    connection: apsw.Connection, files: Collection[str], runs: Collection[int], by: int
) -> None:
    """All versions of the segments `files`, of `runs`, are in the run `by` from now on."""
    _move(connection, runs, by)
    connection.executemany(
        "INSERT INTO former_segment VALUES (?, ?)", [(file, by) for file in files]
    )


def erased(connection: apsw.Connection, runs: Collection[int]) -> None:
    """Versions are taken out of `runs`: what their versions were in before can go at once."""
    _move(connection, runs, _DOOMED)
    connection.execute(
        f"UPDATE segment SET retired_us = 0 WHERE state = {RETIRED} "
        "AND file IN (SELECT file FROM former_segment WHERE run = ?)",
        (_DOOMED,),
    )


def kept(connection: apsw.Connection) -> set[str]:
    """The names of the segments whose keys stay."""
    return _files(connection, "<>")


def doomed(connection: apsw.Connection) -> set[str]:
    """The names of the segments whose keys are to be destroyed."""
    return _files(connection, "=")


def forget_doomed(connection: apsw.Connection) -> None:
    """Their keys are destroyed."""
    connection.execute("DELETE FROM former_segment WHERE run = ?", (_DOOMED,))


def _move(connection: apsw.Connection, runs: Collection[int], to: int) -> None:
    connection.executemany(
        "UPDATE former_segment SET run = ? WHERE run = ?", [(to, run) for run in runs]
    )


def _files(connection: apsw.Connection, comparison: str) -> set[str]:
    rows = connection.execute(
        f"SELECT file FROM former_segment WHERE run {comparison} ?", (_DOOMED,)
    )
    return {file for (file,) in rows}
