"""Reading encrypted segments: whole columns, a patient's rows, or lazily as a dataset."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from schemas.outcomes import FhirError, error
from storage.analytics.column_cache import CACHE
from storage.analytics.source import BodyReader, SegmentSource

# Never kept decoded: as large as the lake itself, or nearly unique in every row.
_NEVER_DICTIONARY = frozenset({"id", "body"})


# A segment's opened pages: their table, a cipher, a file descriptor.
_READER_BYTES = 64 * 1024

# Decrypts and decodes segments side by side; each thread opens its own file.
_POOL = ThreadPoolExecutor(max(1, min(4, os.cpu_count() or 1)), "chartlake-columns")


@dataclass(frozen=True)
class Footer:
    """What a segment's encrypted footer says, kept so that a query opens only what it reads.

    `patient_ranges` has the least and greatest `patient_id` of each row group, or None where the
    writer left no statistics; `v_range` the same of the segment's `v`. `column_bytes` is what
    columns take decompressed, by the segment's first row group. `any_deleted` is False where no
    row is a deletion.
    """

    schema: pa.Schema
    patient_ranges: tuple[tuple[str, str] | None, ...]
    column_bytes: dict[str, int]
    v_range: tuple[int, int] | None
    any_deleted: bool


@contextmanager
def _open(segment: SegmentSource, dictionary: Sequence[str] = ()) -> Iterator[pq.ParquetFile]:
    """The segment's file. Raises FhirError `internal` when it is missing, altered or cut off."""
    try:
        with pq.ParquetFile(
            segment.path,
            filesystem=segment.filesystem,
            decryption_properties=segment.decryption_properties,
            read_dictionary=list(dictionary) or None,
        ) as file:
            yield file
    except (OSError, pa.ArrowException) as failure:
        raise segment.failure(failure) from None


def unreadable() -> FhirError:
    """Some segment is not what was written."""
    return error("internal", "a segment of the lake cannot be read: run `chartlake verify`")


def footer(segment: SegmentSource) -> Footer:
    """The segment's footer (cached)."""

    def read() -> Footer:
        with _open(segment) as file:
            metadata, schema = file.metadata, file.schema_arrow
            groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
            sizes: dict[str, int] = {}
            at: dict[str, int] = {}
            if groups:
                # All columns of all row groups would take longer to go through than to read one.
                share = metadata.num_rows / groups[0].num_rows
                for index in range(metadata.num_columns):
                    column = groups[0].column(index)
                    name = column.path_in_schema.split(".", 1)[0]
                    at[name] = index
                    sizes[name] = sizes.get(name, 0) + int(column.total_uncompressed_size * share)
            patients = tuple(_range(group, at.get("patient_id")) for group in groups)
            versions = [_range(group, at.get("v")) for group in groups]
            deleted = [_range(group, at.get("deleted")) for group in groups]
        known = [one for one in versions if one is not None]
        v_range = (min(v for v, _ in known), max(v for _, v in known)) if known else None
        return Footer(
            schema,
            patients,
            sizes,
            v_range if len(known) == len(groups) else None,
            any(one is None or one[1] for one in deleted),
        )

    return CACHE.get_or(segment.cache_key, "footer", read, lambda _: 4096)


def _range(group: pq.RowGroupMetaData, column: int | None) -> tuple[Any, Any] | None:
    """The least and greatest value of a column in a row group, where the writer left them."""
    found = group.column(column) if column is not None else None
    if found is None or not found.is_stats_set:
        return None
    statistics = found.statistics
    return (statistics.min, statistics.max) if statistics and statistics.has_min_max else None


def load(segments: Sequence[SegmentSource], names: Sequence[str]) -> None:
    """Bring columns of several segments into the cache, on all cores."""

    def lacks(segment: SegmentSource) -> bool:
        key = segment.cache_key
        known: Footer | None = CACHE.get(key, "footer")
        return known is None or any(
            CACHE.get(key, name) is None for name in names if name in known.schema.names
        )

    missing = [segment for segment in segments if lacks(segment)]
    if len(missing) > 1:
        list(_POOL.map(lambda segment: columns(segment, names, threads=False), missing))


def columns(
    segment: SegmentSource, names: Iterable[str], *, threads: bool = True
) -> dict[str, pa.ChunkedArray]:
    """Whole columns, decrypted and cached; strings dictionary-encoded (smaller and faster).

    A column that the segment was written without (an older release's segment) is left out.
    """
    path = segment.cache_key
    schema = footer(segment).schema
    found: dict[str, pa.ChunkedArray] = {}
    missing = []
    for name in names:
        if name not in schema.names:
            continue
        column = CACHE.get(path, name)
        if column is None:
            missing.append(name)
        else:
            found[name] = column
    if missing:
        encoded = [n for n in missing if encoded_type(n, schema.field(n).type) is not None]
        with _open(segment, encoded) as file:
            table = file.read(columns=missing, use_threads=threads)
        for name in missing:
            column = table.column(name)
            found[name] = column
            CACHE.put(path, name, column, column.nbytes)
    return found


def encoded_type(name: str, arrow_type: pa.DataType) -> pa.DataType | None:
    """The dictionary type in which a column is held in memory, or None if it is held as it is."""
    if name in _NEVER_DICTIONARY or not (
        pa.types.is_string(arrow_type) or pa.types.is_large_string(arrow_type)
    ):
        return None
    return pa.dictionary(pa.int32(), arrow_type)


def current_rows(segment: SegmentSource, hidden: pa.Array) -> pa.ChunkedArray | None:
    """A mask of the segment's rows that are current, or None when all of them are.

    `hidden` has the `v` of what is not current. The mask is cached under what of `hidden` can be
    in this segment, so a commit costs a new mask only where it superseded something.
    """
    path = segment.cache_key
    if len(hidden):
        low, high = footer(segment).v_range or CACHE.get_or(
            path, "v range", lambda: _v_range(segment), lambda _: 64
        )
        hidden = hidden.filter(pc.and_(pc.greater_equal(hidden, low), pc.less_equal(hidden, high)))
    digest = hashlib.blake2b(_bytes(hidden), digest_size=16).hexdigest()

    def mask() -> tuple[pa.ChunkedArray | None]:
        if not len(hidden) and not footer(segment).any_deleted:
            return (None,)
        gone = columns(segment, ["deleted"])["deleted"]
        if len(hidden):
            v = columns(segment, ["v"])["v"]
            gone = pc.or_(gone, pc.is_in(v, value_set=hidden))
        return (pc.invert(gone) if pc.any(gone).as_py() else None,)

    return CACHE.get_or(
        path, f"current {digest}", mask, lambda held: 64 + (held[0].nbytes if held[0] else 0)
    )[0]


def _v_range(segment: SegmentSource) -> tuple[int, int]:
    found = pc.min_max(columns(segment, ["v"])["v"]).as_py()
    return found["min"], found["max"]


def _bytes(numbers: pa.Array) -> bytes:
    out = pa.BufferOutputStream()
    batch = pa.record_batch([numbers], ["v"])
    with pa.ipc.new_stream(out, batch.schema) as writer:
        writer.write_batch(batch)
    return out.getvalue().to_pybytes()


def patient_rows(segment: SegmentSource, patient_id: str, names: Sequence[str]) -> pa.Table | None:
    """The rows of one patient, reading only row groups whose statistics allow the patient."""
    groups = [
        group
        for group, patients in enumerate(footer(segment).patient_ranges)
        if patients is None or patients[0] <= patient_id <= patients[1]
    ]
    if not groups:
        return None
    return _matching_rows(segment, groups, "patient_id", pa.array([patient_id], pa.string()), names)


def rows_where(
    segment: SegmentSource, key: str, values: pa.Array, names: Sequence[str]
) -> pa.Table | None:
    """The rows whose `key` is one of `values`."""
    groups = list(range(len(footer(segment).patient_ranges)))
    return _matching_rows(segment, groups, key, values, names)


def _matching_rows(
    segment: SegmentSource, groups: list[int], key: str, values: pa.Array, names: Sequence[str]
) -> pa.Table | None:
    wanted = [name for name in dict.fromkeys([*names, key]) if name != "body"]
    places: list[pa.Array] = []
    pieces: list[pa.Table] = []
    with _open(segment) as file:
        begins = [0]
        for group in range(file.num_row_groups):
            begins.append(begins[-1] + file.metadata.row_group(group).num_rows)
        for group in groups:
            # The key column first: most row groups that may hold a value do not.
            matching = pc.is_in(file.read_row_group(group, [key])[0], value_set=values)
            found = pc.indices_nonzero(matching.combine_chunks())
            if len(found):
                pieces.append(file.read_row_group(group, wanted).take(found))
                places.append(pc.add(found.cast(pa.int64()), begins[group]))
    if not pieces:
        return None
    table = pa.concat_tables(pieces)
    if "body" in names:
        rows = pa.concat_arrays(places).to_pylist()
        bodies = pa.array(list(read_bodies(segment, rows)), pa.binary())
        table = table.append_column("body", bodies)
    return table


def read_bodies(segment: SegmentSource, rows: Sequence[int]) -> Iterator[bytes]:
    """The bodies in some rows, a page of them at a time. Raises FhirError."""
    try:
        reader: BodyReader = CACHE.get_or(
            segment.cache_key, "bodies", segment.open_bodies, lambda _: _READER_BYTES
        )
        yield from reader.read(rows)
    except (OSError, ValueError, pa.ArrowException) as failure:
        raise segment.failure(failure) from None


def dataset(segments: Sequence[SegmentSource]) -> ds.Dataset:
    """The segments as one lazy dataset; DuckDB pushes projections and filters into it."""
    fragments = []
    for segment in segments:
        file_format = ds.ParquetFileFormat(
            default_fragment_scan_options=ds.ParquetFragmentScanOptions(
                decryption_properties=segment.decryption_properties, pre_buffer=False
            )
        )
        fragments.append(file_format.make_fragment(segment.path, segment.filesystem))
    # Segments of an older release may lack columns; they are null there.
    schema = pa.unify_schemas([footer(segment).schema for segment in segments])
    return ds.FileSystemDataset(fragments, schema, ds.ParquetFileFormat(), segments[0].filesystem)
