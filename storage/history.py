"""History of one resource, in pages. https://hl7.org/fhir/R4/http.html#history"""

from __future__ import annotations

from typing import Any

import apsw

from storage.packed_ids import pack
from storage.query.page import Cursors, Position
from storage.reading import not_found
from storage.version_rows import COLUMNS, FROM, Bodies
from storage.versions import Page


def history(
    connection: apsw.Connection,
    bodies: Bodies,
    cursors: Cursors,
    t: int,
    resource_type: str,
    id: str,
    count: int | None,
    cursor: str | None,
) -> Page:
    """Versions as of `t` (the cursor's, when one is given), newest first.

    Raises FhirError: `not-found`, `value` (the cursor of something else).
    """
    question = ["history", resource_type, id]
    where = "r.type = (SELECT id FROM term WHERE text = ?) AND r.id = ? AND r.t <= ?"
    args: list[Any] = [resource_type, pack(id), t]
    if cursor is not None:
        after = cursors.read(cursor, question)
        args[2] = after.t
    else:
        counted: Any = connection.execute(f"SELECT count(*) FROM version r WHERE {where}", args).get
        after = Position(t, 2**63 - 1, int(counted))
    total = after.total
    if not total:
        raise not_found(resource_type, id)
    # Versions of one resource are numbered in the order of v.
    rows: list[Any] = connection.execute(
        f"SELECT {COLUMNS} FROM {FROM} WHERE {where} AND r.v < ? "
        "ORDER BY r.version_id DESC LIMIT ?",
        (*args, after.v, -1 if count is None else count + 1),
    ).fetchall()
    following = None
    if count is not None and len(rows) > count:
        rows = rows[:count]
        if rows:
            following = cursors.write(Position(after.t, rows[-1][0], total), question)
    return Page(bodies.load(connection, rows), total, following)
