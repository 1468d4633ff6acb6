"""Which commit a moment in the past stands for, so that its answer never changes afterwards."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import apsw

from schemas.dates import to_microseconds
from schemas.outcomes import FhirError, error

AsOf = int | datetime
"""A commit, or a moment: the last commit at or before it."""

# A process that only reads cannot hold up the writer, so it answers for a moment after the last
# commit only when no transaction can still be under way that began before it.
SETTLED_S = 60


def commit_number(at: object, last: int) -> int:
    """`at` as a commit of a lake whose last one is `last`. Raises FhirError `value`."""
    if isinstance(at, bool) or not isinstance(at, int) or not 0 <= at <= last:
        raise error(
            "value",
            f"There is no commit {str(at)[:32]} to read at; commits go up to {last}.",
            "at",
        )
    return at


def microseconds(moment: datetime) -> int:
    """A moment that has passed, since the epoch. Raises FhirError `value`: no zone, the future."""
    if moment.tzinfo is None:
        raise error(
            "value",
            "A moment to read at needs a zone: give an aware datetime, or an instant with Z or "
            "an offset.",
            "at",
        )
    moment_us = to_microseconds(moment.astimezone(UTC))
    if moment_us > time.time_ns() // 1000:
        raise error(
            "value",
            "The moment to read at has not come yet: what the lake will hold then is not known. "
            "Leave `at` out for what it holds now.",
            "at",
        )
    return moment_us


def commit_at(connection: apsw.Connection, moment_us: int) -> int:
    """The last commit at or before a moment; 0, the empty lake, before the first one."""
    # Instants never go back from one commit to the next.
    found = connection.execute(
        "SELECT t FROM commit_log WHERE instant_us <= ? ORDER BY instant_us DESC, t DESC LIMIT 1",
        (moment_us,),
    ).get
    return int(found or 0)


def is_settled(connection: apsw.Connection, moment_us: int) -> bool:
    """Whether a commit later than the moment is in the log: no other can come before that."""
    found = connection.execute(
        "SELECT 1 FROM commit_log WHERE instant_us > ? LIMIT 1", (moment_us,)
    ).get
    return found is not None


def is_long_past(moment_us: int) -> bool:
    """Whether the moment is so long ago that no transaction from before it can be open."""
    return moment_us < time.time_ns() // 1000 - SETTLED_S * 1_000_000


def not_settled() -> FhirError:
    """The error for a moment whose answer could still change."""
    return error(
        "value",
        f"Nothing was stored after the moment to read at, and it is less than {SETTLED_S} seconds "
        "ago: a commit of another process could still fall before it. Give the number of a "
        "commit, or ask again later.",
        "at",
    )
