"""What was deleted since a moment and is still deleted, as of a commit."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple

import apsw

from storage.packed_ids import unpack

_PAGE = 5_000


class Deletion(NamedTuple):
    """A deleted resource. `patient` is the owner of its record; None where it had none."""

    id: str
    patient: str | None
    when_us: int


def deletions(
    connection: apsw.Connection, type_number: int, since: datetime, t: int
) -> Iterator[Deletion]:
    """Resources of a type whose version current at `t` is a deletion made after `since`."""
    since_us = int(since.timestamp() * 1_000_000)
    last_v = 0
    while True:
        rows: list[Any] = connection.execute(
            "SELECT r.v, r.id, p.packed, c.instant_us FROM version r "
            "JOIN commit_log c ON c.t = r.t LEFT JOIN patient p ON p.id = r.patient "
            "WHERE r.type = ?1 AND r.deleted AND r.t <= ?2 AND (r.t_end IS NULL OR r.t_end > ?2) "
            "AND c.instant_us > ?3 AND r.v > ?4 ORDER BY r.v LIMIT ?5",
            (type_number, t, since_us, last_v, _PAGE),
        ).fetchall()
        for v, id, patient, when_us in rows:
            last_v = v
            yield Deletion(unpack(id), None if patient is None else unpack(patient), when_us)
        if len(rows) < _PAGE:
            return
