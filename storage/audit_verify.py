"""Is the audit log what was appended? Rows that are not are named by their numbers."""

from __future__ import annotations

import hmac
from collections.abc import Iterator
from typing import Any

import apsw

from storage.audit import REBUILT, AuditLog, Head, references, rows
from storage.audit_record import AuditRow
from storage.audit_references import referred
from storage.verify import Finding

_PLACE = "audit"
_EXAMPLES = 5


def verify_chain(
    log: AuditLog, connection: apsw.Connection, anchor: tuple[int, bytes] | None = None
) -> Iterator[Finding]:
    """Rows that are not what was appended; `anchor` is a head (number, hash) noted elsewhere."""
    wrong: list[int] = []
    unreferred: list[int] = []
    refs = 0
    done = referred(connection)
    anchored = anchor is None or anchor == (0, log.first.hash)
    last = log.first
    for row in rows(connection, "1 ORDER BY n"):
        if row.n > last.n + 1:
            # The hash that this row was chained to is gone with them: it cannot be judged.
            yield _finding(last.n + 1, row.n - 1, "removed")
        elif not log.is_chained(last.hash, row):
            wrong.append(row.n)
        if done is None or row.n <= done:  # Those of the last ones are on their way.
            expected = _references(row)
            refs += len(expected)
            if not _referred(connection, row.n, expected):
                unreferred.append(row.n)
        if anchor is not None and row.n == anchor[0]:
            anchored = hmac.compare_digest(row.hash, anchor[1])
        last = Head(row.n, row.instant_us, row.hash)
    for first, end in _ranges(wrong):
        yield _finding(first, end, "changed, moved or put in afterwards")
    yield from _end(log, connection, last)
    yield from _unrecorded(connection)
    for first, end in _ranges(unreferred):
        yield _finding(first, end, "taken out of the index by what is concerned")
    there = connection.execute(
        "SELECT count(*) FROM audit_reference WHERE ?1 IS NULL OR n <= ?1", (done,)
    ).get
    if not wrong and not unreferred and there != refs:
        yield Finding(_PLACE, f"its index has {there} entries, not {refs}")
    if not anchored and anchor is not None:
        yield Finding(
            _PLACE,
            f"event {anchor[0]} is not the one with the given hash: the log, or the whole lake, "
            "was replaced by another",
        )


def _end(log: AuditLog, connection: apsw.Connection, last: Head) -> Iterator[Finding]:
    """The last row against what the `lake` table says of it."""
    kept = str(connection.execute("SELECT value FROM lake WHERE name = 'audit_head'").get)
    text, _, _ = kept.partition(":")
    number = int(text) if text.isascii() and text.isdigit() else None
    if number is None:
        yield Finding(_PLACE, "the record of its last event was removed")
    elif number > last.n:
        yield _finding(last.n + 1, number, "removed at the end")
    elif number < last.n:
        yield _finding(number + 1, last.n, "put in at the end")
    elif not hmac.compare_digest(kept.encode(), log.kept(last).encode()):
        yield Finding(_PLACE, f"event {last.n} is not the last one that was written")


def _unrecorded(connection: apsw.Connection) -> Iterator[Finding]:
    found: list[Any] = connection.execute(
        "SELECT t FROM commit_log WHERE t NOT IN (SELECT t FROM audit WHERE t IS NOT NULL) "
        "AND t > ifnull((SELECT t FROM audit WHERE n = 1 AND name = ?), 0)",
        (REBUILT,),
    ).fetchall()
    if found:
        examples = ", ".join(str(t) for (t,) in found[:_EXAMPLES])
        yield Finding(_PLACE, f"{len(found)} commits have no event ({examples})")


def _references(row: AuditRow) -> list[int]:
    try:
        return references(row.record())
    except (ValueError, TypeError, IndexError, KeyError):
        return []  # What cannot be read was changed: the chain says so.


def _referred(connection: apsw.Connection, n: int, expected: list[int]) -> bool:
    marks = ", ".join("?" * len(expected))
    found = connection.execute(
        f"SELECT count(*) FROM audit_reference WHERE n = ? AND ref IN ({marks})", (n, *expected)
    ).get
    return bool(found == len(expected))


def _ranges(numbers: list[int]) -> Iterator[tuple[int, int]]:
    start = 0
    for place in range(1, len(numbers) + 1):
        if place == len(numbers) or numbers[place] != numbers[place - 1] + 1:
            yield numbers[start], numbers[place - 1]
            start = place


def _finding(first: int, last: int, what: str) -> Finding:
    which = f"event {first} was" if first == last else f"events {first} to {last} were"
    return Finding(_PLACE, f"{which} {what}")
