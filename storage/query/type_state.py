"""How the versions of one type lie in the tiers, read at once: what every search begins with."""

from __future__ import annotations

import threading
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import apsw

from storage.segment_store import RETIRED

# One statement: each costs its passage through SQLite, and these few rows are read by every search.
_READ = (
    "SELECT ifnull((SELECT max(max_v) FROM segment WHERE type = ?1 AND state <> ?2), 0), "
    "ifnull((SELECT max(v) FROM version WHERE type = ?1), 0), "
    "(SELECT count(*) FROM index_part WHERE type = ?1), "
    "ifnull((SELECT max(id) FROM index_part WHERE type = ?1), 0), "
    "(SELECT first_v FROM commit_log WHERE t > ?3 ORDER BY t LIMIT 1), "
    "EXISTS (SELECT 1 FROM erased_version), "
    "(SELECT count(*) FROM erasure)"
)


_BEGIN = "SELECT 1 FROM lake LIMIT 1"


# Of one moment, types as of several commits.
_MOST = 1_000


class TypeState(NamedTuple):
    """A type as a reader's transaction sees it, for what is as of a commit `t`.

    `flushed_v`: the newest version that is in a segment; `newest_v`: the newest of all. `parts`:
    how many parts its index has, and the number of the last. `following_v`: the first version after
    `t`, of whatever type; None where there is none. `erased`: index entries of erased versions
    are still to be removed. `erasures`: how many there were.
    """

    flushed_v: int
    newest_v: int
    parts: tuple[int, int]
    following_v: int | None
    erased: bool
    erasures: int

    @property
    def is_hot(self) -> bool:
        """Whether it has hot versions."""
        return self.newest_v > self.flushed_v

    @property
    def last_v(self) -> int:
        """The last version that had been committed at `t`."""
        return 2**63 - 1 if self.following_v is None else self.following_v - 1


def read(connection: apsw.Connection, type_number: int, t: int) -> TypeState:
    """The state of a type, in the transaction that is open."""
    row: Any = connection.execute(_READ, (type_number, RETIRED, t)).fetchall()[0]
    flushed_v, newest_v, parts, last_part, following_v, erased, erasures = row
    return TypeState(flushed_v, newest_v, (parts, last_part), following_v, bool(erased), erasures)


States = dict[tuple[int, int], TypeState]
_Moment = tuple[int, States]


class TypeStates:
    """The states that were read on each connection, of the moment that it is at."""

    def __init__(self) -> None:
        self._known: WeakKeyDictionary[apsw.Connection, _Moment] = WeakKeyDictionary()
        self._lock = threading.Lock()

    def of(self, connection: apsw.Connection) -> States:
        """The states by type and `t` that the open transaction has in common with earlier ones.

        Nothing was committed between them: SQLite counts the moments that a connection has seen.
        What is read is to be added.
        """
        # The number is that of this transaction from its first look at the database on.
        connection.execute(_BEGIN).fetchall()
        number = connection.data_version()
        with self._lock:
            known = self._known.get(connection)
            if known is None or known[0] != number or len(known[1]) > _MOST:
                known = self._known[connection] = (number, {})
        return known[1]
