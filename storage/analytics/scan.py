"""The views of a snapshot as DuckDB relations, decrypted only as far as they are read.

Columns that a query can be seen to need come from the column cache. A query that computes with
bodies goes through a lazy dataset instead, so that its filters and projections decide what is
decrypted; for one that only hands them through, places stand for them until the answer is known.
Which of these is used never changes an answer.
"""

from __future__ import annotations

from collections.abc import Sequence

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from schemas import views
from schemas.structure import RESOURCE_TYPES
from schemas.views import VIEW_FILTERS, VIEWS
from storage.analytics import derived_rows, segment_columns
from storage.analytics.body_places import EXPRESSION, PLACE, BodyPlaces, NoPlaces
from storage.analytics.column_cache import CACHE
from storage.analytics.source import SnapshotSource

RESOURCE_VIEW = "resource"
COMPONENT_VIEW = "observation_component"

# What a medication that is only referred to takes from its Medication resource.
_FROM_MEDICATION = ("code_system", "code", "code_display", "code_text", "codes")

_SQL_TYPES = {
    "string": "VARCHAR",
    "double": "DOUBLE",
    "boolean": "BOOLEAN",
    "date": "DATE",
    "timestamp": "TIMESTAMPTZ",
    "list<string>": "VARCHAR[]",
}

# Columns that every view has, before and after its flat columns.
_BEFORE = {"id": "VARCHAR", "patient_id": "VARCHAR", "resource_type": "VARCHAR"}
_AFTER = {"version_id": "BIGINT", "last_updated": "TIMESTAMPTZ", "t": "BIGINT", "body": "VARCHAR"}


def view_names() -> list[str]:
    """Every view that a query may name."""
    return [*VIEWS, COMPONENT_VIEW, RESOURCE_VIEW]


def view_types(view: str) -> Sequence[str]:
    """The resource types that feed a view."""
    if view == COMPONENT_VIEW:
        return ("Observation",)
    return sorted(RESOURCE_TYPES) if view == RESOURCE_VIEW else VIEWS[view]


def view_columns(view: str) -> dict[str, str]:
    """Column name → DuckDB type, in the order of `SELECT *`."""
    if view == COMPONENT_VIEW:
        return derived_rows.COMPONENT_COLUMNS
    found = dict(_BEFORE)
    if view != RESOURCE_VIEW:
        found |= {column.name: _SQL_TYPES[column.kind] for column in views.view_columns(view)}
    return found | _AFTER


def register(
    connection: duckdb.DuckDBPyConnection,
    snapshot: SnapshotSource,
    view: str,
    names: frozenset[str] | None,
    places: BodyPlaces | None = None,
) -> None:
    """Make `view` a relation of `connection`, showing the versions current in `snapshot`.

    `names` limits the columns to those whose lower-case name is in it (None: all columns). With
    `places`, the column `body` holds these instead of bodies, where the view has that column.
    """
    if view == COMPONENT_VIEW:
        table = derived_rows.observation_components(snapshot)
        if table is None:
            register_empty(connection, view)
        else:
            connection.register(view, table.select(list(derived_rows.COMPONENT_COLUMNS)))
        return
    condition = VIEW_FILTERS.get(view, "")
    wanted = {
        name: sql_type
        for name, sql_type in view_columns(view).items()
        if names is None or name.lower() in names or name in condition.split()
    }
    about = [name for name in _FROM_MEDICATION if name in wanted]
    medications = None
    if view == "medication" and about:
        wanted["medication_reference"] = "VARCHAR"
        medications = derived_rows.medications(snapshot)
    branches = []
    for number, resource_type in enumerate(view_types(view)):
        branches += _type_branches(
            connection, snapshot, resource_type, wanted, f"{view}_{number}", places
        )
    if not branches:
        branches = [_empty_branch(wanted)]
    union = " UNION ALL ".join(branches)
    if condition:
        union = f"SELECT * FROM ({union}) WHERE {condition}"
    if medications is not None:
        connection.register("__lake_medications", medications)
        resolved = ", ".join(f"coalesce(x.{name}, m.{name}) AS {name}" for name in about)
        union = (
            f"SELECT x.* REPLACE ({resolved}) FROM ({union}) x LEFT JOIN __lake_medications m "
            "ON m.reference = split_part(x.medication_reference, '/_history/', 1)"
        )
    connection.execute(f'CREATE TEMP VIEW "{view}" AS {union}')


def register_empty(connection: duckdb.DuckDBPyConnection, view: str) -> None:
    """Make `view` a relation without rows but with all its columns: to see if a query binds."""
    branch = _empty_branch(view_columns(view))
    connection.execute(f'CREATE OR REPLACE TEMP VIEW "{view}" AS {branch}')


def _empty_branch(wanted: dict[str, str]) -> str:
    listed = [f'NULL::{sql_type} AS "{name}"' for name, sql_type in wanted.items()]
    return f"SELECT {', '.join(listed) or 'NULL AS none'} WHERE false"


def _type_branches(
    connection: duckdb.DuckDBPyConnection,
    snapshot: SnapshotSource,
    resource_type: str,
    wanted: dict[str, str],
    relation: str,
    places: BodyPlaces | None,
) -> list[str]:
    late = places if "body" in wanted else None
    decoded = [name for name in wanted if late is None or name != "body"]
    hot = snapshot.hot_rows(resource_type)
    segments = snapshot.segments(resource_type)
    if not segments and not hot.num_rows:
        return []
    hidden = snapshot.superseded(resource_type)
    if isinstance(hidden, pa.ChunkedArray):
        hidden = hidden.combine_chunks()
    branches = []
    if segments and not _fits_cache(segments, decoded):
        if late is not None:
            raise NoPlaces
        branches.append(_lazy_branch(connection, segments, hidden, wanted, relation, resource_type))
        segments = []
    if segments or hot.num_rows:
        table, masked = _current_columns(segments, hot, hidden, decoded, late)
        if not table.num_rows:
            return branches
        connection.register(f"__lake_{relation}_columns", table)
        selected = _selection(wanted, set(table.column_names), resource_type)
        where = " WHERE _current" if masked else ""
        branches.append(f'SELECT {selected} FROM "__lake_{relation}_columns"{where}')
    return branches


def _fits_cache(segments: Sequence[segment_columns.SegmentSource], wanted: Sequence[str]) -> bool:
    if "body" in wanted:
        return False
    footers = [segment_columns.footer(segment) for segment in segments]
    # Lists decode to several times their encoded size; half the cache is left to other queries.
    needed = sum(3 * footer.column_bytes.get(name, 0) for footer in footers for name in wanted)
    return needed <= CACHE.max_bytes // 2


def _lazy_branch(
    connection: duckdb.DuckDBPyConnection,
    segments: Sequence[segment_columns.SegmentSource],
    hidden: pa.Array,
    wanted: dict[str, str],
    relation: str,
    resource_type: str,
) -> str:
    dataset = segment_columns.dataset(segments)
    connection.register(f"__lake_{relation}_segments", dataset)
    selected = _selection(wanted, set(dataset.schema.names), resource_type)
    where = "NOT deleted"
    if len(hidden):
        connection.register(f"__lake_{relation}_hidden", pa.table({"v": hidden}))
        where += f' AND v NOT IN (SELECT v FROM "__lake_{relation}_hidden")'
    return f'SELECT {selected} FROM "__lake_{relation}_segments" WHERE {where}'


def _current_columns(
    segments: Sequence[segment_columns.SegmentSource],
    hot: pa.Table,
    hidden: pa.Array,
    names: Sequence[str],
    places: BodyPlaces | None,
) -> tuple[pa.Table, bool]:
    """The named columns of segments and hot rows, and whether a `_current` column is needed."""
    segment_columns.load(segments, names)
    pieces: list[tuple[dict[str, pa.ChunkedArray], pa.ChunkedArray | None, int]] = []
    for segment in segments:
        found = segment_columns.columns(segment, names)
        if places is not None:
            found[PLACE] = pa.chunked_array([places.of_segment(segment)])
        pieces.append((found, segment_columns.current_rows(segment, hidden), segment.rows))
    if hot.num_rows:
        gone = hot["deleted"]
        if len(hidden):
            gone = pc.or_(gone, pc.is_in(hot["v"], value_set=hidden))
        live = hot.filter(pc.invert(gone))
        if live.num_rows:
            held = {name: live[name] for name in names if name in live.column_names}
            if places is not None:
                held[PLACE] = pa.chunked_array([places.of_hot_rows(live["body"])])
            pieces.append((held, None, live.num_rows))
    masked = any(mask is not None for _, mask, _ in pieces)
    types: dict[str, pa.DataType] = {}
    for found, _, _ in pieces:
        for name, column in found.items():
            types.setdefault(name, segment_columns.encoded_type(name, column.type) or column.type)
    joined = {}
    for name, arrow_type in types.items():
        chunks: list[pa.Array] = []
        for found, _, rows in pieces:
            chunks += _chunks(found.get(name), arrow_type, rows)
        joined[name] = pa.chunked_array(chunks, arrow_type)
    if not joined:
        # A table without columns has no rows either, and `count(*)` wants to know how many.
        joined["_row"] = pa.chunked_array(
            [pa.nulls(rows, pa.int8()) for *_, rows in pieces], pa.int8()
        )
    if masked:
        flags: list[pa.Array] = []
        for _, mask, rows in pieces:
            flags += mask.chunks if mask is not None else [pa.repeat(pa.scalar(True), rows)]
        joined["_current"] = pa.chunked_array(flags, pa.bool_())
    return pa.table(joined), masked


def _chunks(column: pa.ChunkedArray | None, arrow_type: pa.DataType, rows: int) -> list[pa.Array]:
    if column is None:
        return [pa.nulls(rows, arrow_type)]
    if column.type != arrow_type:
        if pa.types.is_dictionary(arrow_type):
            column = column.cast(arrow_type.value_type).dictionary_encode()
        column = column.cast(arrow_type)
    return list(column.chunks)


def _selection(wanted: dict[str, str], present: set[str], resource_type: str) -> str:
    listed = []
    for name, sql_type in wanted.items():
        if name == "resource_type":
            listed.append(f"'{resource_type}' AS resource_type")
        elif name == "body" and PLACE in present:
            listed.append(f"{EXPRESSION} AS body")
        elif name not in present:
            listed.append(f'NULL::{sql_type} AS "{name}"')
        elif name == "body":
            listed.append("decode(body) AS body")
        else:
            listed.append(f'"{name}"')
    return ", ".join(listed) or "1 AS none"
