"""Read-only SQL over the views of one snapshot."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from typing import Any

import duckdb
import pyarrow as pa

from schemas.outcomes import FhirError, error
from storage import audit_trail
from storage.analytics import scan
from storage.analytics.body_places import BodyPlaces, NoPlaces
from storage.analytics.session import Session, open_session
from storage.analytics.source import SnapshotSource
from storage.analytics.sql_errors import no_such_view, query_error, timeout_error, unread_segment
from storage.analytics.statement import Statement, inspect
from storage.analytics.table import Table

_MISSING_TABLE = re.compile(r"Table with name (\S+) does not exist")

# Rows are taken from DuckDB in batches of so many, so that a cut-off answer costs little more
# than the rows that are kept.
_BATCH_ROWS = 8192

# An answer is held in memory whole; 100,000 bodies of 20 KB would be 2 GB.
_MAX_RESULT_BYTES = 512 * 2**20


def run(
    snapshot: SnapshotSource,
    query: str,
    parameters: Sequence[Any] | Mapping[str, Any] = (),
    timeout_s: float = 30,
    max_rows: int = 100_000,
) -> Table:
    """Answer one SELECT, WITH, FROM, VALUES, DESCRIBE, SHOW, SUMMARIZE or EXPLAIN statement.

    `parameters` are bound: a sequence for `?` and `$1`, a mapping for `$name`. Views are those of
    `scan.view_names()`, each as of `snapshot.t`, without deleted resources. Times are UTC.

    Raises FhirError: `invalid` (syntax, unknown view or column, failure on a value),
    `not-supported` (more than one statement, or not a read), `timeout` (longer than
    `timeout_s` seconds), `too-large` (more memory than allowed). No message quotes data.
    """
    deadline = time.monotonic() + timeout_s
    with open_session(timeout_s) as session:
        try:
            statement = inspect(session.connection, query)
        except duckdb.Error as exc:
            raise query_error(exc) from None
    if statement.passes_bodies:
        try:
            with open_session(timeout_s) as session:
                places = BodyPlaces()
                register_views(session, snapshot, statement, places)
                _tell_views(statement)
                answer = _fetch(session, query, parameters, max_rows)
                return _with_bodies(session, answer, places)
        except (NoPlaces, duckdb.Error, OSError, pa.ArrowException):
            if time.monotonic() >= deadline:
                raise timeout_error(timeout_s) from None
            # Whatever is wrong with the query is told of it as it was sent.
    with open_session(deadline - time.monotonic()) as session:
        try:
            register_views(session, snapshot, statement)
            _tell_views(statement)
            if session.timed_out:
                raise timeout_error(timeout_s)
            return _fetch(session, query, parameters, max_rows)
        except FhirError:
            raise
        except (duckdb.Error, OSError, pa.ArrowException) as exc:
            if session.timed_out or "INTERRUPT" in str(exc)[:16]:
                raise timeout_error(timeout_s) from None
            raise _explain(session, snapshot, exc, query) from None


def register_views(
    session: Session,
    snapshot: SnapshotSource,
    statement: Statement,
    places: BodyPlaces | None = None,
) -> None:
    """Register each view that the statement names, with no more columns than it can mean.

    With `places`, their columns `body` hold these.
    """
    lists_views = statement.lists_relations
    for view in scan.view_names():
        if view in statement.tables:
            names = None if view in statement.whole else statement.names
            scan.register(session.connection, snapshot, view, names, places)
        elif lists_views:
            scan.register_empty(session.connection, view)


def _with_bodies(session: Session, answer: Table, places: BodyPlaces) -> Table:
    others = answer.arrow.nbytes

    def check(body_bytes: int) -> None:
        if session.timed_out:
            raise timeout_error(session.timeout_s)
        _check_size(others + body_bytes)

    return Table(places.filled(answer.arrow, check), truncated=answer.truncated)


def _check_size(size_bytes: int) -> None:
    if size_bytes > _MAX_RESULT_BYTES:
        raise error(
            "too-large",
            f"the answer is larger than {_MAX_RESULT_BYTES // 2**20} MiB; select fewer "
            "columns or fewer rows",
        )


def _tell_views(statement: Statement) -> None:
    """For the audit log: the views that are read, whether the query then succeeds or not."""
    trail = audit_trail.current()
    if trail is not None:
        trail.parameters = tuple(v for v in scan.view_names() if v in statement.tables)


def _fetch(
    session: Session, query: str, parameters: Sequence[Any] | Mapping[str, Any], max_rows: int
) -> Table:
    bound = dict(parameters) if isinstance(parameters, Mapping) else list(parameters)
    relation = session.connection.sql(query, params=bound or None)
    if relation is None:
        raise error("not-supported", "the statement gives no rows")
    reader = relation.to_arrow_reader(_BATCH_ROWS)
    batches: list[pa.RecordBatch] = []
    rows = size_bytes = 0
    truncated = False
    for batch in reader:
        if rows + batch.num_rows > max_rows:
            batch = batch.slice(0, max_rows - rows)
            truncated = True
        rows += batch.num_rows
        size_bytes += batch.nbytes
        _check_size(size_bytes)
        batches.append(batch)
        if truncated:
            break
    return Table(pa.Table.from_batches(batches, reader.schema), truncated=truncated)


def _explain(session: Session, snapshot: SnapshotSource, exc: Exception, query: str) -> FhirError:
    unread = unread_segment(snapshot, exc)
    if unread is not None:
        return unread
    missing = _MISSING_TABLE.search(str(exc))
    if isinstance(exc, duckdb.CatalogException) and missing:
        return no_such_view(missing[1], scan.view_names())
    if isinstance(exc, duckdb.BinderException):
        # The views were registered with the columns that the query names, so DuckDB could only
        # suggest among those. Bind once more against all columns, for its better suggestion.
        try:
            for view in scan.view_names():
                scan.register_empty(session.connection, view)
            session.connection.sql(f"DESCRIBE {query}")
        except duckdb.Error as second:
            return query_error(second)
    return query_error(exc)
