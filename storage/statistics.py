"""What is in a lake, in numbers; no PHI."""

from __future__ import annotations

from typing import Any

import apsw

from storage.hot_rows import hot_types
from storage.lake_folder import LakeFolder
from storage.terms import Terms


def stats(connection: apsw.Connection, terms: Terms, folder: LakeFolder) -> dict[str, Any]:
    """`t`, current `resources` by type, `versions`, hot rows and bytes, `segments`, `bytes`."""
    hot = hot_types(connection, terms)
    rows: list[Any] = connection.execute(
        "SELECT type, count FROM resource_count WHERE count > 0"
    ).fetchall()
    counts = {terms.text(connection, number): count for number, count in rows}
    elsewhere = connection.execute(
        "SELECT ifnull(sum(bytes), 0) FROM segment WHERE EXISTS "
        "(SELECT 1 FROM lake WHERE name = 'segments_url' AND value <> '')"
    ).get
    return {
        "t": connection.execute("SELECT ifnull(max(t), 0) FROM commit_log").get,
        "resources": dict(sorted(counts.items())),
        "versions": _versions(connection),
        "hot_rows": sum(one.rows for one in hot),
        "hot_bytes": sum(one.bytes for one in hot),
        "segments": connection.execute("SELECT count(*) FROM segment WHERE state <> 2").get,
        "bytes": folder.bytes_on_disk() + elsewhere,
    }


def _versions(connection: apsw.Connection) -> int:
    """How many versions there are: `v` counts them all, but those that were erased."""
    given, erased = connection.execute(
        "SELECT max(ifnull((SELECT max(v) FROM version), 0), "
        "ifnull((SELECT cast(value AS INTEGER) FROM lake WHERE name = 'last_v'), 0)), "
        "(SELECT ifnull(sum(versions), 0) FROM erasure)"
    ).get
    return int(given - erased)
