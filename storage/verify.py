"""Is everything on the disk what it should be?

Every page of the database and every byte of every segment is read, which checks their
authentication tags; then rows, bodies and index are compared with one another.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import apsw
import pyarrow as pa

from schemas.param_set import R4, ParamSet
from storage import former_segments
from storage.database import Database
from storage.index_check import DATABASE, IndexCheck
from storage.segment_files import SUFFIX
from storage.segment_store import RETIRED, SETTLING, Segment, SegmentStore
from storage.terms import Terms
from storage.version_rows import Bodies

_EXAMPLES = 5
_RESTORE = "restore a backup"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it should be: where, and what. Names ids and types, no content.

    `of_index`: rebuilding the search index mends it.
    """

    place: str
    problem: str
    of_index: bool = False

    def __str__(self) -> str:
        return f"{self.place}: {self.problem}"


def verify(
    database: Database,
    store: SegmentStore,
    terms: Terms,
    bodies: Bodies,
    audit: Callable[[apsw.Connection], Iterable[Finding]],
    *,
    sample: int | None = None,
    checked: Counter[str] | None = None,
    params: ParamSet = R4,
) -> list[Finding]:
    """Everything found wrong, in one consistent state of the lake; empty when nothing is.

    Added to `checked` is how much was looked at, by what it is. Damage to pages or missing keys end
    the check, and damage to segments leaves the index out: what is not counted was not checked.
    """
    checked = Counter() if checked is None else checked
    # Before the transaction begins: it knows of every file that was begun before it.
    store.keystore.reload()
    try:
        files = store.files.list()
    except OSError as failure:
        raise store.files.failure(failure) or failure from None
    keys = store.keystore.segment_names()
    with database.reading() as connection:
        found = list(_database(connection))
        if found:
            return found
        checked["pages of hot.db"] += connection.execute("PRAGMA page_count").get
        found += _keys(connection, store, keys)
        if found:
            return found
        checked["keys of segments"] += len(keys)
        broken: set[int] = set()
        for segment in store.all(connection):
            problems = list(_segment(connection, store, segment))
            if problems:
                broken.add(segment.id)
            found += problems
            checked["segments"] += 1
            checked["versions in segments"] += segment.file.rows
        found += _unknown_files(connection, store, files)
        found += _unfinished_erase(connection)
        found += _versions(connection)
        checked["versions"] += connection.execute("SELECT count(*) FROM version").get
        found += audit(connection)
        checked["audit events"] += connection.execute("SELECT count(*) FROM audit").get
        if not broken:
            check = IndexCheck(connection, terms, bodies, sample, params)
            # What cannot be read at all is not mended by working it out again.
            found += [
                Finding(place, problem, of_index=place != DATABASE)
                for place, problem in check.problems()
            ]
            checked["versions compared with the index"] += check.compared
    return found


def _database(connection: apsw.Connection) -> Iterator[Finding]:
    """SQLite's own check, which reads every page and so checks each page's tag."""
    try:
        for (line,) in connection.execute("PRAGMA integrity_check(10)").fetchall():
            if line != "ok":
                yield Finding(DATABASE, f"{'; '.join(str(line).splitlines())}; {_RESTORE}")
    except apsw.Error as failure:
        yield Finding(DATABASE, f"a page cannot be read ({type(failure).__name__}); {_RESTORE}")


def _keys(connection: apsw.Connection, store: SegmentStore, before: set[str]) -> Iterator[Finding]:
    """Every segment must have its key, and no key may be of no segment.

    `before` are the keys from before the transaction; those that came or went since are no matter.
    """
    store.keystore.reload()
    there = store.keystore.segment_names()
    known = {file for (file,) in connection.execute("SELECT file FROM segment_begun")}
    known |= former_segments.kept(connection) | former_segments.doomed(connection)
    for resource_type, name, state in connection.execute(
        "SELECT t.text, s.file, s.state FROM segment s JOIN term t ON t.id = s.type ORDER BY s.id"
    ):
        known.add(name)
        # The key of a retired one goes first.
        if name not in there | before and state != RETIRED:
            yield Finding(
                f"lake/{resource_type}/{name}{SUFFIX}",
                "its key is missing in keys/keystore.json; bring back the current key store",
            )
    for name in sorted((there & before) - known):
        yield Finding(
            "keys/keystore.json",
            f"it has a key for a segment {name} that the database does not know",
        )


def _segment(
    connection: apsw.Connection, store: SegmentStore, segment: Segment
) -> Iterator[Finding]:
    where = (segment.resource_type, segment.file.name)
    place = f"lake/{where[0]}/{where[1]}{SUFFIX}"
    recorded_digest, state, min_v, max_v = connection.execute(
        "SELECT sha256, state, min_v, max_v FROM segment WHERE id = ?", (segment.id,)
    ).get
    try:
        if store.files.sha256(*where) != recorded_digest:
            yield Finding(place, "it is damaged: it is not the file that was written")
            return
        with segment.file.open() as file:
            numbers: list[int] = []
            empty: list[bool] = []
            for group in range(file.num_row_groups):
                table = file.read_row_group(group)
                numbers += table["v"].to_pylist()
                empty += [not body.as_py() for body in table["body"]]
    except (OSError, ValueError, pa.ArrowException) as failure:
        told = segment.file.failure(failure)
        if told.category == "unavailable":
            raise told from None
        if isinstance(failure, FileNotFoundError):
            problem = "the file is missing; bring it back from a backup"
        else:
            problem = f"it is damaged: reading it fails ({type(failure).__name__})"
        # Erased or replaced since this check began: it is not missed.
        if told.category != "conflict":
            yield Finding(place, problem)
        return
    if len(numbers) != segment.file.rows:
        yield Finding(place, f"it has {len(numbers)} rows, not {segment.file.rows}")
        return
    placed: list[Any] = connection.execute(
        "SELECT segment_row, v FROM version WHERE v BETWEEN ? AND ? AND segment = ?",
        (min_v, max_v, segment.id),
    ).fetchall()
    rows = dict(enumerate(numbers))
    settled = len(placed) == len(rows) or state == SETTLING
    if not settled or any(rows.get(row) != v for row, v in placed):
        yield Finding(place, "its rows are not the versions that the database says it holds")
        return
    deleted = {
        v
        for (v,) in connection.execute(
            "SELECT v FROM version WHERE v BETWEEN ? AND ? AND type = "
            "(SELECT type FROM segment WHERE id = ?) AND deleted",
            (min_v, max_v, segment.id),
        )
    }
    wrong = sum((v in deleted) != gone for v, gone in zip(numbers, empty, strict=True))
    if wrong:
        yield Finding(place, f"{wrong} versions have a body and are deletions, or the reverse")


def _unknown_files(
    connection: apsw.Connection, store: SegmentStore, files: list[str]
) -> Iterator[Finding]:
    rows: list[Any] = connection.execute(
        "SELECT s.file, t.text FROM segment s JOIN term t ON t.id = s.type "
        "UNION ALL SELECT b.file, t.text FROM segment_begun b JOIN term t ON t.id = b.type"
    ).fetchall()
    known = dict(rows)
    for file in files:
        folder, _, name = file.rpartition("/")
        if known.get(name.split(".", 1)[0]) != folder and store.files.exists(file):
            yield Finding(
                f"lake/{file}", "the database does not know this file; it may be of another backup"
            )


def _unfinished_erase(connection: apsw.Connection) -> Iterator[Finding]:
    """What an erase took out leaves remnants until it is finished."""
    count = connection.execute("SELECT count(*) FROM erased_version").get
    if count:
        yield Finding(
            "hot.db",
            f"an erase of {count} versions is not finished; it goes on when the service starts, "
            "or with `chartlake erase --resume`",
        )


def _versions(connection: apsw.Connection) -> Iterator[Finding]:
    """The version table against itself, the commit log and the hot bodies."""
    checks = {
        "versions have neither a hot body nor a row in a segment": (
            "SELECT r.v FROM version r LEFT JOIN hot_body b ON b.v = r.v "
            "WHERE r.segment IS NULL AND b.v IS NULL AND NOT r.deleted"
        ),
        "hot bodies belong to no version": (
            "SELECT v FROM hot_body WHERE v NOT IN (SELECT v FROM version)"
        ),
        "versions are of a commit that is not in the log": (
            "SELECT v FROM version WHERE t NOT IN (SELECT t FROM commit_log)"
        ),
        "versions are not followed by the one that superseded them": (
            "SELECT r.v FROM version r LEFT JOIN version n ON n.type = r.type AND n.id = r.id "
            "AND n.version_id = r.version_id + 1 WHERE ifnull(r.t_end, 0) <> ifnull(n.t, 0)"
        ),
        "resource counts are wrong": (
            "SELECT type FROM resource_count c WHERE count <> (SELECT count(*) FROM version r "
            "WHERE r.type = c.type AND r.t_end IS NULL AND NOT r.deleted)"
        ),
    }
    for problem, query in checks.items():
        rows = [row[0] for row in connection.execute(query).fetchall()]
        if rows:
            examples = ", ".join(str(number) for number in rows[:_EXAMPLES])
            yield Finding("hot.db", f"{len(rows)} {problem} (rows {examples})")
