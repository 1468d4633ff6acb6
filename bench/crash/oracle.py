"""What must be in a lake after a kill, held in the memory of the process that killed.

`Row`s are versions in commit order, as they were acknowledged. A commit that was begun and not
acknowledged may be there, whole, or not.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from schemas.outcomes import FhirError
from storage import former_segments
from storage.lake import Delete, Lake, Put

SAMPLED = 12  # resources, and moments, that are compared one by one


class Row(NamedTuple):
    """One version."""

    t: int
    resource_type: str
    id: str
    version_id: int
    deleted: bool
    body: bytes

    @property
    def key(self) -> tuple[str, str]:
        """Type and id."""
        return self.resource_type, self.id


Operations = Sequence[Put | Delete]


@dataclass
class Expected:
    """`log`: what was acknowledged. `pending`: commits that were begun, and nothing said since."""

    log: list[Row]
    pending: list[Operations] = field(default_factory=list)

    def hear(self, said: Iterable[tuple[Any, ...]]) -> None:
        """Take in what was said of commits: ("begin", n, operations), ("stored", n, rows)."""
        begun: dict[int, Operations] = {}
        for kind, *told in said:
            if kind == "begin":
                begun[told[0]] = told[1]
            elif kind == "stored":
                self.log += told[1]
                del begun[told[0]]
        self.pending = list(begun.values())

    def check(self, lake: Lake) -> list[Row]:
        """All that is in the lake; raises AssertionError where something is lost or by half."""
        there = rows(lake)
        known = {row.t for row in self.log}
        lost = sorted(set(self.log) - set(there))
        assert not lost, f"acknowledged, and not there: {[r[:4] for r in lost[:5]]}"
        others: dict[int, list[Row]] = {}
        for row in there:
            if row.t in known:
                assert row in self.log, f"more in a commit than was acknowledged: {row[:4]}"
            else:
                others.setdefault(row.t, []).append(row)
        begun = [sorted(map(_asked, operations)) for operations in self.pending]
        for t, found in others.items():
            assert sorted(map(_found, found)) in begun, f"commit {t} is there by half"
        return there


def rows(lake: Lake) -> list[Row]:
    """Every version that a lake has, in commit order."""
    return [
        Row(v.t, v.resource_type, v.id, v.version_id, v.deleted, v.body)
        for v in lake.changes(0, limit=1_000_000)
    ]


def content(log: Iterable[Row]) -> dict[tuple[str, str], str]:
    """Current resources without what the lake stamps on them."""
    return {key: _found(row)[2] for key, row in current(log).items()}


def current(log: Iterable[Row], t: int | None = None) -> dict[tuple[str, str], Row]:
    """What was there after commit `t`."""
    latest = {row.key: row for row in log if t is None or row.t <= t}
    return {key: row for key, row in latest.items() if not row.deleted}


def compare(lake: Lake, log: list[Row]) -> None:
    """Every way of reading gives what the log says: now, before, by id, by value, in SQL."""
    assert len({(row.key, row.version_id) for row in log}) == len(log)
    keys = sorted({row.key for row in log})
    for key in keys[:: max(len(keys) // SAMPLED, 1)]:
        mine = [row for row in log if row.key == key]
        page = lake.history(*key)
        assert [(v.version_id, v.t, v.deleted, v.body) for v in page.versions] == [
            (row.version_id, row.t, row.deleted, row.body) for row in reversed(mine)
        ], f"the history of {key}"
    moments = sorted({row.t for row in log} | {lake.t})
    for t in {*moments[:: max(len(moments) // 4, 1)], lake.t}:
        there = current(log, t)
        for key in keys[:: max(len(keys) // SAMPLED, 1)]:
            assert _read(lake, key, t) == (there[key].body if key in there else None), (key, t)
        _compare_searches(lake, there, t)
        for view, resource_type in (("patient", "Patient"), ("observation", "Observation")):
            counted = lake.sql(f"SELECT count(*) FROM {view}", at=t).rows()
            expected = sum(1 for key in there if key[0] == resource_type)
            assert counted == [(expected,)], f"SQL counts otherwise as of {t}"


def _compare_searches(lake: Lake, there: dict[tuple[str, str], Row], t: int) -> None:
    by_value: dict[tuple[str, str], set[str]] = {}
    for (resource_type, id), row in there.items():
        if resource_type == "Observation":
            resource = json.loads(row.body)
            for coding in resource["code"].get("coding", ()):
                by_value.setdefault(("code", coding["code"]), set()).add(id)
            subject = resource["subject"]["reference"]
            by_value.setdefault(("subject", subject), set()).add(id)
    asked = sorted(by_value)
    for name, value in asked[:: max(len(asked) // 6, 1)]:
        page = lake.search("Observation", [(name, value), ("_count", "1000")], at=t)
        found = {v.id for v in page.versions}
        assert found == by_value[name, value], f"a search by {name} as of {t}"
        assert page.total == len(found)


def no_orphans(lake: Lake) -> None:
    """Nothing is left of what was broken off: files, keys, notes, index parts, jobs."""
    lake._retirement.remove(grace_s=0)
    with lake._database.reading() as connection:
        known = {file for (file,) in connection.execute("SELECT file FROM segment")}
        former = former_segments.kept(connection)
        for table, where in (
            ("segment_begun", ""),
            ("erased_version", ""),
            ("former_segment", "WHERE run = 0"),
            ("index_part", "WHERE segment NOT IN (SELECT id FROM segment)"),
            ("index_block", "WHERE id >> 24 NOT IN (SELECT id FROM index_part)"),
            ("job", "WHERE state IN ('accepted', 'running')"),
        ):
            left = connection.execute(f"SELECT count(*) FROM {table} {where}").get
            assert left == 0, f"{left} rows left in {table}"
    files = {file.rpartition("/")[2] for file in lake._segments.files.list()}
    assert files == {f"{name}.parquet" for name in known}, "segment files"
    assert lake._keystore.segment_names() == known | former, "keys of segments"
    allowed = {"hot.db", "hot.db-wal", "hot.db-shm", "lock", "keystore.json", "copies.json"}
    for path in lake.folder.path.rglob("*"):
        if path.is_file() and path.suffix not in (".parquet", ".key"):
            assert path.name in allowed, f"{path.name} is left over"


def _read(lake: Lake, key: tuple[str, str], t: int) -> bytes | None:
    try:
        return lake.read(*key, at=t).body
    except FhirError as failure:
        assert failure.category in ("deleted", "not-found")
        return None


def _asked(operation: Put | Delete) -> tuple[str, str, str]:
    if isinstance(operation, Delete):
        return operation.resource_type, operation.id, ""
    resource = operation.resource
    return resource["resourceType"], resource["id"], without_stamps(dict(resource))


def _found(row: Row) -> tuple[str, str, str]:
    body = "" if row.deleted else without_stamps(json.loads(row.body))
    return row.resource_type, row.id, body


def without_stamps(resource: dict[str, Any]) -> str:
    meta = {
        name: value
        for name, value in resource.pop("meta", {}).items()
        if name not in ("versionId", "lastUpdated")
    }
    return json.dumps({**resource, "meta": meta}, sort_keys=True)
