"""DuckDB's exceptions as FhirError, with every data value taken out of the message.

Messages of the parser and the binder speak of the query and the catalog and are kept, less the
literals. Messages of a running query may quote the data ("Could not convert string 'Smith'"), so
they are written anew from the kind of the error.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence

import duckdb
import pyarrow as pa

from schemas.outcomes import FhirError, error
from storage.analytics.segment_columns import unreadable
from storage.analytics.source import SnapshotSource

# What DuckDB says when a relation that Arrow reads for it breaks off.
_STREAM = "reading the stream registered as"

_PREFIX = re.compile(r"\A[A-Za-z ]+ Error: ")
_SOURCE_LINE = re.compile(r"\n+LINE \d+:.*\Z", re.DOTALL)
_LITERAL = re.compile(r"'(?:[^']|'')*'")
_SIGNATURE = re.compile(r"'(\w+\([A-Z0-9_, \[\]()]*\))'")
_CAST = re.compile(r"\bto ([A-Z][A-Z0-9_]*)\b")
_SOURCE_COLUMN = re.compile(r"from source column (\w+)")

_UNBOUND = (duckdb.ParserException, duckdb.SyntaxException, duckdb.BinderException)

# DuckDB's own words (the start of the message) → what was wrong and what to do.
_RUNNING = {
    "Conversion Error": "a value could not be converted{to}{column}; use TRY_CAST, which gives "
    "NULL for what cannot be converted",
    "Out of Range Error": "a value is out of the range of its type (an overflow, or a date that "
    "does not exist); cast to a wider type or use TRY_CAST",
    "Invalid Input Error": "a function was given an input that it does not accept; filter such "
    "rows out first or use the function's TRY form",
}


def without_values(message: str) -> str:
    """A parser's or binder's message on one line, without literals and source excerpt."""
    text = _SOURCE_LINE.sub("", message)
    text = _PREFIX.sub("", text)
    text = _SIGNATURE.sub(r"\1", text)
    text = _LITERAL.sub("'…'", text)
    return " ".join(text.split())


def timeout_error(timeout_s: float) -> FhirError:
    """The query ran longer than it may."""
    return error(
        "timeout",
        f"the query was stopped after {timeout_s:g} s; filter by patient_id, code or date, "
        "aggregate less, or ask for a longer timeout",
    )


def no_such_view(name: str, views: Sequence[str]) -> FhirError:
    """The query names a table that is no view of the lake."""
    near = difflib.get_close_matches(name.lower(), views, n=1)
    hint = f" (did you mean {near[0]}?)" if near else ""
    return error("invalid", f"there is no view {name}{hint}; the views are {', '.join(views)}")


def unread_segment(snapshot: SnapshotSource, exc: Exception) -> FhirError | None:
    """The FhirError for a query whose data could not be read; None when it failed of itself."""
    known = None
    if isinstance(exc, OSError | pa.ArrowException) or _STREAM in str(exc):
        known = snapshot.failure(exc)
    if known is None and _STREAM in str(exc):
        # The Arrow side failed under DuckDB: a segment is missing, altered or cut off.
        return unreadable()
    return known


def query_error(exc: Exception) -> FhirError:
    """The FhirError for an exception that DuckDB (or Arrow, streaming from it) raised."""
    message = str(exc)
    head = message.split(":", 1)[0]
    if isinstance(exc, duckdb.OutOfMemoryException) or head == "Out of Memory Error":
        return error(
            "too-large",
            "the query needs more memory than the lake allows and nothing is ever spilled to "
            "disk; select fewer columns, filter first, or aggregate in steps",
        )
    if isinstance(exc, duckdb.PermissionException) or head == "Permission Error":
        return error(
            "not-supported",
            "the query tried to reach a file, the network or a setting; a query reads the views "
            "of this lake and nothing else",
        )
    if isinstance(exc, _UNBOUND):
        return error("invalid", f"the SQL is not valid: {without_values(message)}")
    if isinstance(exc, duckdb.CatalogException):
        return error("invalid", f"the SQL names what does not exist: {without_values(message)}")
    if "Parameter argument/count mismatch" in message or "Values were not provided" in message:
        return error("invalid", "the parameters given are not the ones that the query names")
    if "More than one row returned by a subquery" in message:
        return error("invalid", "a subquery used as a value returned more than one row")
    if head in _RUNNING:
        cast, column = _CAST.search(message), _SOURCE_COLUMN.search(message)
        text = _RUNNING[head].format(
            to=f" to {cast[1]}" if cast else "", column=f" in column {column[1]}" if column else ""
        )
        return error("invalid", f"the query failed while running: {text}")
    return error("invalid", f"the query failed while running ({type(exc).__name__})")
