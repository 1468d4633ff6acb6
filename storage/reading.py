"""Reading single versions and the log of changes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ParamSpec

import apsw

from schemas.ids import is_id
from schemas.outcomes import FhirError, error
from storage.packed_ids import pack
from storage.terms import Terms
from storage.version_rows import COLUMNS, COLUMNS_AND_BODY, FROM, Bodies, patients
from storage.versions import Version

_TYPE = "(SELECT id FROM term WHERE text = ?)"

# Versions are numbered from 1 in SQLite's 64-bit integers.
_MAX_VERSION = 2**63 - 1

_READ = (
    f"SELECT {COLUMNS_AND_BODY} FROM {FROM} WHERE r.type = {_TYPE} AND r.id = ? AND r.t <= ? "
    "ORDER BY r.version_id DESC LIMIT 1"
)


P = ParamSpec("P")


def present(read: Callable[P, Version], *args: P.args, **kwargs: P.kwargs) -> Version | None:
    """What `Lake.read` gives; None for what was deleted or never stored."""
    try:
        return read(*args, **kwargs)
    except FhirError as failure:
        if failure.category in ("not-found", "deleted"):
            return None
        raise


def read(
    connection: apsw.Connection,
    bodies: Bodies,
    resource_type: str,
    id: str,
    t: int,
    keep: Callable[[Version, Sequence[str], int, int], None] | None = None,
) -> Version:
    """The version current at `t`. Raises FhirError `not-found` or `deleted`.

    One statement, so the connection need not be in a transaction. `keep` is told of the version,
    its patients, `t` and the number of its type.
    """
    if not is_id(id):
        raise not_found(resource_type, id)
    rows: list[Any] = connection.execute(_READ, (resource_type, pack(id), t)).fetchall()
    if not rows:
        raise not_found(resource_type, id)
    version = bodies.load(connection, rows)[0]
    if version.deleted:
        raise error(
            "deleted",
            f"{resource_type}/{_shown(id)} was deleted (version {version.version_id}). "
            "Its earlier versions are in its history.",
        )
    if keep is not None:
        keep(version, patients(connection, rows), t, rows[0][1])
    return version


def is_current(connection: apsw.Connection, resource_type: str, id: str, t: int) -> bool:
    """Whether there is a resource as of `t` that is not deleted. Reads no body."""
    return bool(
        connection.execute(
            f"SELECT NOT r.deleted FROM version r WHERE r.type = {_TYPE} AND r.id = ? "
            "AND r.t <= ? ORDER BY r.version_id DESC LIMIT 1",
            (resource_type, pack(id), t),
        ).get
    )


def vread(
    connection: apsw.Connection,
    bodies: Bodies,
    resource_type: str,
    id: str,
    version_id: int,
    t: int,
) -> Version:
    """One version that was there at `t`, tombstones included. Raises FhirError `not-found`.

    One statement, as `read`.
    """
    rows: list[Any] = []
    if 0 < version_id <= _MAX_VERSION and is_id(id):
        rows = connection.execute(
            f"SELECT {COLUMNS_AND_BODY} FROM {FROM} WHERE r.type = {_TYPE} AND r.id = ? "
            "AND r.version_id = ? AND r.t <= ?",
            (resource_type, pack(id), version_id, t),
        ).fetchall()
    if not rows:
        raise error(
            "not-found", f"There is no version {version_id} of {resource_type}/{_shown(id)}."
        )
    return bodies.load(connection, rows)[0]


def not_found(resource_type: str, id: str) -> FhirError:
    """The error for a resource that never was."""
    return error("not-found", f"{resource_type}/{_shown(id)} is not known.")


def changes(
    connection: apsw.Connection,
    bodies: Bodies,
    terms: Terms,
    since_t: int,
    types: Sequence[str] | None,
    limit: int,
    t: int,
) -> list[Version]:
    """Versions with `since_t < t`, up to those of commit `t`, in commit order, at most `limit`."""
    where, args = _after(connection, terms, since_t, types)
    rows = connection.execute(
        f"SELECT {COLUMNS} FROM {FROM} WHERE {where} AND r.t <= ? ORDER BY r.v LIMIT ?",
        (*args, t, limit),
    ).fetchall()
    return bodies.load(connection, rows)


def count_changes(
    connection: apsw.Connection, terms: Terms, since_t: int, types: Sequence[str] | None
) -> int:
    """How many versions have `t > since_t`."""
    where, args = _after(connection, terms, since_t, types)
    return int(connection.execute(f"SELECT count(*) FROM version r WHERE {where}", args).get)


def _after(
    connection: apsw.Connection, terms: Terms, since_t: int, types: Sequence[str] | None
) -> tuple[str, tuple[int, ...]]:
    first = connection.execute(
        "SELECT first_v FROM commit_log WHERE t > ? ORDER BY t LIMIT 1", (since_t,)
    ).get
    if first is None:
        return "0", ()
    if types is None:
        return "r.v >= ?", (first,)
    found = [terms.find(connection, name) for name in dict.fromkeys(types)]
    numbers = [number for number in found if number is not None]
    marks = ", ".join("?" * len(numbers))
    return f"r.type IN ({marks}) AND r.v >= ?", (*numbers, first)


def consumer_cursor(connection: apsw.Connection, name: str) -> int:
    """Where a consumer stands; 0 for a new one."""
    found = connection.execute("SELECT t FROM consumer_cursor WHERE name = ?", (name,)).get
    return int(found or 0)


def _shown(id: str) -> str:
    return id[:64]
