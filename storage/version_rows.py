"""Reading rows of the version table, and the bodies they stand for."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import apsw

from schemas.outcomes import error
from storage import audit_trail
from storage.audit_record import Entity
from storage.kept_versions import KeptVersion
from storage.packed_ids import unpack
from storage.terms import Terms
from storage.versions import Version, from_microseconds

# The columns that `Bodies.load` takes, in order. `version` must go by the name r, its commit by c.
COLUMNS = (
    "r.v, r.type, r.id, r.version_id, r.t, c.instant_us, r.method, r.deleted, "
    "r.segment, r.segment_row, r.patient"
)
# Where no transaction holds several statements together, the hot body comes with the row, and so
# does the id of the patient.
COLUMNS_AND_BODY = (
    f"{COLUMNS}, CASE WHEN r.segment IS NULL THEN (SELECT body FROM hot_body b WHERE b.v = r.v) "
    "END, (SELECT p.packed FROM patient p WHERE p.id = r.patient)"
)
# CROSS JOIN: SQLite keeps the order, and looks the commit up for each version found.
FROM = "version r CROSS JOIN commit_log c ON c.t = r.t"

_BODY, _PATIENT = 11, 12  # of COLUMNS_AND_BODY

ReadSegment = Callable[[apsw.Connection, int, Sequence[int]], dict[int, bytes]]


class Bodies:
    """Turns rows of `COLUMNS` or `COLUMNS_AND_BODY` into versions with their bodies."""

    def __init__(self, terms: Terms, read_segment: ReadSegment) -> None:
        """`read_segment(connection, segment, rows)` gives the bodies in a segment, by row."""
        self._terms = terms
        self._read_segment = read_segment

    def load(self, connection: apsw.Connection, rows: Iterable[Sequence[Any]]) -> list[Version]:
        """The versions of the rows, in their order.

        Rows of `COLUMNS` must have been read in the transaction that is still open.
        """
        rows = list(rows)
        versions = self._versions(connection, rows)
        if audit_trail.current() is not None:
            note(versions, patients(connection, rows))
        return versions

    def kept(
        self, connection: apsw.Connection, rows: Sequence[Sequence[Any]]
    ) -> list[tuple[int, KeptVersion]]:
        """The versions of rows of `COLUMNS`, as they are kept, by `v`; not noted to the trail."""
        patients = _patient_ids(connection, rows)
        versions = self._versions(connection, rows)
        return [
            (row[0], KeptVersion(version, patients.get(row[10])))
            for row, version in zip(rows, versions, strict=True)
        ]

    def _versions(
        self, connection: apsw.Connection, rows: Sequence[Sequence[Any]]
    ) -> list[Version]:
        flushed: dict[int, list[int]] = {}
        for row in rows:
            if row[8] is not None and not row[7]:
                flushed.setdefault(row[8], []).append(row[9])
        found = {
            segment: self._read_segment(connection, segment, wanted)
            for segment, wanted in flushed.items()
        }
        return [
            Version(
                self._terms.text(connection, row[1]),
                unpack(row[2]),
                row[3],
                row[4],
                from_microseconds(row[5]),
                row[6],
                bool(row[7]),
                found[row[8]][row[9]] if row[8] in found and not row[7] else _hot(connection, row),
            )
            for row in rows
        ]


def note(versions: Sequence[Version], patients: Iterable[str]) -> None:
    """Note to the trail that is active that versions were given out, and whose they are."""
    trail = audit_trail.current()
    if trail is None:
        return
    if not trail.lists_entities:
        trail.gave(len(versions))
        trail.concerns(patients)
        return
    trail.saw([Entity(v.resource_type, v.id, v.version_id, "R") for v in versions], patients)


def rows_of_versions(connection: apsw.Connection, versions: Sequence[int]) -> list[Any]:
    """The rows of `COLUMNS` of some versions, in their order."""
    if not versions:
        return []
    rows: list[Any] = connection.execute(
        f"SELECT {COLUMNS} FROM carray(?) a CROSS JOIN {FROM} WHERE r.v = a.value",
        (apsw.carray(array("q", versions)),),
    ).fetchall()
    return rows


def patients(connection: apsw.Connection, rows: Sequence[Sequence[Any]]) -> list[str]:
    """The patients of rows, each once."""
    if rows and len(rows[0]) > _PATIENT:
        return [unpack(key) for key in {row[_PATIENT] for row in rows} - {None}]
    return list(_patient_ids(connection, rows).values())


def _patient_ids(connection: apsw.Connection, rows: Sequence[Sequence[Any]]) -> dict[int, str]:
    """The ids of the patients of rows of `COLUMNS`, by their number."""
    numbers = {row[10] for row in rows} - {None}
    if not numbers:
        return {}
    found: list[Any] = connection.execute(
        "SELECT id, packed FROM patient WHERE id IN (SELECT value FROM carray(?))",
        (apsw.carray(array("q", numbers)),),
    ).fetchall()
    return {number: unpack(key) for number, key in found}


def _hot(connection: apsw.Connection, row: Sequence[Any]) -> bytes:
    if row[7]:
        return b""
    if len(row) > _BODY:
        body = row[_BODY]
    else:
        body = connection.execute("SELECT body FROM hot_body WHERE v = ?", (row[0],)).get
    if body is None:
        raise error(
            "internal",
            f"The body of version {row[3]} of {unpack(row[2])} is missing. Run `chartlake verify`.",
        )
    return bytes(body)
