"""Reading encrypted segments: whole columns, a patient's rows, or lazily as a dataset."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from schemas.outcomes import FhirError, error
from storage.analytics.column_cache import CACHE
from storage.analytics.source import SegmentSource

# Never kept decoded: as large as the lake itself, or nearly unique in every row.
_NEVER_DICTIONARY = frozenset({"id", "body"})


@dataclass(frozen=True)
class Footer:
    """What a segment's encrypted footer says, kept so that a query opens only what it reads.

    `patient_ranges` has the least and greatest `patient_id` of each row group, or None where the
    writer left no statistics.
    """

    schema: pa.Schema
    patient_ranges: tuple[tuple[str, str] | None, ...]
    column_bytes: dict[str, int]


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
            sizes: dict[str, int] = {}
            ranges: list[tuple[str, str] | None] = []
            for group in range(metadata.num_row_groups):
                row_group = metadata.row_group(group)
                patients = None
                for index in range(row_group.num_columns):
                    column = row_group.column(index)
                    name = column.path_in_schema.split(".", 1)[0]
                    sizes[name] = sizes.get(name, 0) + column.total_uncompressed_size
                    if name == "patient_id" and column.is_stats_set:
                        statistics = column.statistics
                        if statistics is not None and statistics.has_min_max:
                            patients = (statistics.min, statistics.max)
                ranges.append(patients)
        return Footer(schema, tuple(ranges), sizes)

    return CACHE.get_or(segment.cache_key, "footer", read, lambda _: 4096)


def columns(segment: SegmentSource, names: Iterable[str]) -> dict[str, pa.ChunkedArray]:
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
            table = file.read(columns=missing)
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
        low, high = CACHE.get_or(path, "v range", lambda: _v_range(segment), lambda _: 64)
        hidden = hidden.filter(pc.and_(pc.greater_equal(hidden, low), pc.less_equal(hidden, high)))
    digest = hashlib.blake2b(_bytes(hidden), digest_size=16).hexdigest()

    def mask() -> tuple[pa.ChunkedArray | None]:
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
    wanted = list(dict.fromkeys([*names, key]))
    with _open(segment) as file:
        # The key column first: bodies are a hundred times larger, and most row groups that may
        # hold a value do not.
        holding = [
            group
            for group in groups
            if pc.any(pc.is_in(file.read_row_group(group, [key])[0], value_set=values)).as_py()
        ]
        if not holding:
            return None
        table = file.read_row_groups(holding, wanted)
    return table.filter(pc.is_in(table[key], value_set=values))


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
