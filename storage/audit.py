"""The audit log: one row an access or change, appended only, each chained to the one before.

A row's `hash` is HMAC-SHA-256(audit key, hash of the row before ‖ this row), and the `lake` table
has the last number with an authenticator of its own. The key comes from the keystore, so that
whoever has the database and its key alone can neither change, remove, reorder or insert a row nor
cut off the last ones without `verify` naming them. A copy of the whole lake put back in its place
is consistent in itself: only a head that was noted elsewhere (docs/audit.md) tells it apart.

`instant_us` is when a row was appended, and never goes back. An access of a process that only reads
was earlier: its row has that moment in `accessed_us`, which is null in all others.

`audit_reference` finds rows by the patients and resources that they concern; `ref` is 64 bits of a
hash, so a row found by it is compared with what was asked. It is derived, and verified too; how its
entries get there is told in `storage.audit_references`.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, NamedTuple

import apsw

from storage.audit_record import AuditRecord, AuditRow, encode_detail
from storage.row_inserts import insert_missing_rows, insert_rows

Reference = tuple[int, int]
"""`ref` and number of a row, as `audit_reference` has them."""

DDL = """
CREATE TABLE audit (
  n INTEGER PRIMARY KEY,
  instant_us INTEGER NOT NULL,
  accessed_us INTEGER,
  t INTEGER,
  action TEXT NOT NULL,
  outcome INTEGER NOT NULL,
  name TEXT NOT NULL,
  agent TEXT NOT NULL,
  detail BLOB NOT NULL,
  hash BLOB NOT NULL
);
CREATE INDEX audit_accessed ON audit (accessed_us, n) WHERE accessed_us IS NOT NULL;
CREATE INDEX audit_refused ON audit (outcome) WHERE outcome > 0;
CREATE TABLE audit_reference (
  ref INTEGER NOT NULL, n INTEGER NOT NULL, PRIMARY KEY (ref, n)
) WITHOUT ROWID
"""
REBUILT = "rebuilt"
"""Name of the first event of a log that begins after the lake's first commits."""

COLUMNS = "n, instant_us, accessed_us, t, action, outcome, name, agent, detail, hash"

_KEEP_HEAD = "INSERT OR REPLACE INTO lake VALUES ('audit_head', ?)"
_NUMBERS = struct.Struct(">qqqqBIIII")


class Head(NamedTuple):
    """The last row of the chain: its number, moment and hash."""

    n: int
    instant_us: int
    hash: bytes

    def __str__(self) -> str:
        return f"{self.n}:{self.hash.hex()}"


class NewRows:
    """Rows that were chained and are not stored yet: those of many transactions, stored at once."""

    def __init__(self) -> None:
        self._rows: list[tuple[Any, ...]] = []
        self._references: list[Reference] = []
        self._kept: Callable[[], str] | None = None

    def add(self, row: tuple[Any, ...], references: list[int], kept: Callable[[], str]) -> None:
        """The next row; `kept` gives what the `lake` table is to hold while it is the last one."""
        n = row[0]
        self._rows.append(row)
        self._references += [(ref, n) for ref in references]
        self._kept = kept

    def store(self, connection: apsw.Connection) -> list[Reference]:
        """Store and forget them, within the connection's transaction.

        The entries that they are found by are given back: they are to be stored too, later perhaps.
        """
        if self._kept is None:
            return []
        insert_rows(connection, "audit", COLUMNS, self._rows)
        connection.execute(_KEEP_HEAD, (self._kept(),))
        found, self._references = self._references, []
        self.clear()
        return found

    def clear(self) -> None:
        """Forget them."""
        self._rows.clear()
        self._references.clear()
        self._kept = None


class AuditLog:
    """Appends to the chain of one lake; see `storage.audit_verify` for its verification."""

    def __init__(self, key: bytes, lake_id: str) -> None:
        self._key = key
        self.first = Head(0, 0, self._mac(b"chartlake audit log " + lake_id.encode()))

    def head(self, connection: apsw.Connection) -> Head:
        """The last row's head; that of the empty log has number 0."""
        row: Any = connection.execute(
            "SELECT n, instant_us, hash FROM audit ORDER BY n DESC LIMIT 1"
        ).get
        return Head(row[0], row[1], bytes(row[2])) if row else self.first

    def append(
        self,
        connection: apsw.Connection,
        head: Head | None,
        records: Iterable[tuple[AuditRecord, int | None]],
        later: list[Reference] | None = None,
    ) -> Head:
        """Append records, each with the commit that it made (or None), in the open transaction.

        `head` as `append` gave it last, None for the first time; the new one is given back, for
        the next call once this transaction is committed. The entries that they are found by are
        added to `later` where it is given, for the caller to have them stored.
        """
        rows = NewRows()
        head = self.chain(self.head(connection) if head is None else head, records, rows)
        found = rows.store(connection)
        if later is not None:
            later += found
        else:
            insert_missing_rows(connection, "audit_reference", "ref, n", sorted(found))
        return head

    def chain(
        self, head: Head, records: Iterable[tuple[AuditRecord, int | None]], rows: NewRows
    ) -> Head:
        """Add the rows of records to those that are to be stored; the new head is given back.

        The row of the given `head` must be stored, or among them.
        """
        for record, t in records:
            # Milliseconds, as FHIR instants show them; never back, whatever the clock does.
            instant_us = max(time.time_ns() // 1_000_000 * 1000, head.instant_us)
            n = head.n + 1
            # Whatever the clock of the process that read does, no access is after its taking in.
            accessed_us = record.recorded_us and min(record.recorded_us, instant_us)
            columns = (
                n,
                instant_us,
                accessed_us,
                t,
                record.action,
                record.outcome,
                record.name,
                record.agent,
                encode_detail(record),
            )
            head = Head(n, instant_us, self._mac(head.hash + canonical(*columns)))
            rows.add((*columns, head.hash), references(record), partial(self.kept, head))
        return head

    def is_chained(self, before: bytes, row: AuditRow) -> bool:
        """Is this row what was appended after the row with the hash `before`?"""
        try:
            return hmac.compare_digest(row.hash, self._mac(before + canonical(*row[:-1])))
        except (TypeError, AttributeError, struct.error):
            return False  # A value of another type than was ever written.

    def kept(self, head: Head) -> str:
        """What the `lake` table holds of the last row."""
        # Not the row's own hash: who cuts off the last rows could read that from those before.
        return f"{head.n}:{self._mac(b'chartlake audit head ' + head.hash).hex()}"

    def authenticator(self, purpose: str, text: str) -> bytes:
        """An HMAC with the audit key over what is kept beside the log."""
        return self._mac(f"chartlake audit {purpose} {text}".encode())

    def _mac(self, message: bytes) -> bytes:
        return hmac.digest(self._key, message, "sha256")


def canonical(
    n: int,
    instant_us: int,
    accessed_us: int | None,
    t: int | None,
    action: str,
    outcome: int,
    name: str,
    agent: str,
    detail: bytes,
) -> bytes:
    """The bytes of a row that its hash is over: numbers of fixed width, texts with their length."""
    a, b, c = action.encode(), name.encode(), agent.encode()
    moments = (instant_us, -1 if accessed_us is None else accessed_us)
    lengths = (len(a), len(b), len(c), len(detail))
    numbers = _NUMBERS.pack(n, *moments, -1 if t is None else t, outcome, *lengths)
    return b"".join((numbers, a, b, c, detail))


def references(record: AuditRecord) -> list[int]:
    """The `ref` of everything that a record can be found by."""
    found = [reference("Patient", id) for id in record.patients]
    found += [reference(entity.resource_type, entity.id) for entity in record.entities]
    return list(dict.fromkeys(found))


def reference(kind: str, id: str) -> int:
    """64 bits of a hash, as SQLite's signed integer."""
    digest = hashlib.blake2b(f"{kind}/{id}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


def rows(connection: apsw.Connection, where: str, args: Iterable[Any] = ()) -> Iterator[AuditRow]:
    """Rows that meet a condition (with its ORDER BY and LIMIT)."""
    query = f"SELECT {COLUMNS} FROM audit WHERE {where}"
    cursor = connection.execute(query, tuple(args))
    try:
        for values in cursor:
            yield AuditRow(*values)
    finally:
        # Whoever reads only the first rows must not leave the connection at their moment.
        cursor.close()
