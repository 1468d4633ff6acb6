"""From resources to a segment without numbers: bodies, flat columns, index blocks, their order.

Everything that costs time is done here, and nothing here needs the lake but the numbers of texts
(`DirectRows`): processes that only work do it side by side, one writer stores what they made.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from schemas.parse import canonical_bytes
from storage import segment_columns
from storage.bulk.prepared import STAMP, Bodies, PreparedSegment
from storage.flat_columns import flattened
from storage.index import DirectRows, blocks_of_rows
from storage.operations import body_parts
from storage.packed_ids import pack

MAX_ROWS = 25_000
MAX_BYTES = 64 * 2**20
"""Bounds of one segment, as of one that a flush writes: what has to be in memory at once."""


class Accepted(NamedTuple):
    """A resource that may be stored: as parsed, with an id; `encoded`: `canonical_bytes` of it,
    where they are at hand; `place`: its number among what was given."""

    resource: dict[str, Any]
    encoded: bytes | None
    place: int


def prepare_segment(
    resource_type: str, accepted: Sequence[Accepted], rows: DirectRows, definitions: int
) -> PreparedSegment:
    """The segment of some resources of one type, at least one, each id once.

    The resources are changed: `meta.versionId` and `meta.lastUpdated` are the lake's.
    """
    bodies = [_template(one.resource, one.encoded) for one in accepted]
    for one in accepted:
        _without_stamp(one.resource)
    found = [rows.of(one.resource) for one in accepted]
    patients = [patient for _, patient in found]
    whole = [body for body, _ in bodies]
    flat = _flat_columns(resource_type, whole)
    order = _order(resource_type, patients, flat)
    listed = order.tolist()
    parts = blocks_of_rows(
        np.arange(len(listed)), [False] * len(listed), [found[n][0] for n in listed]
    )
    ids = [str(accepted[n].resource["id"]) for n in listed]
    return PreparedSegment(
        resource_type,
        rows.intern(resource_type),
        [pack(id) for id in ids],
        ids,
        [patients[n] for n in listed],
        _stream(flat.take(pa.array(order))),
        _joined([bodies[n] for n in listed]),
        parts,
        definitions,
        np.array([accepted[n].place for n in listed], np.int64),
    )


def _template(resource: dict[str, Any], encoded: bytes | None) -> tuple[bytes, int]:
    """The body as a first version, its moment left open, and where its stamp begins.

    What `operations.body_parts` gives, from the encoded resource where its beginning is plain.
    """
    if encoded is not None:
        head = b'{"resourceType":"%b","id":"%b"' % (
            resource["resourceType"].encode(),
            resource["id"].encode(),
        )
        if encoded.startswith(head):
            at = len(head)
            meta = resource.get("meta")
            if meta is None:
                return b'%b,"meta":{%b}%b' % (encoded[:at], STAMP, encoded[at:]), at + 9
            if type(meta) is dict and encoded.startswith(b',"meta":{', at):
                at += 9
                rest = {k: v for k, v in meta.items() if k not in ("versionId", "lastUpdated")}
                end = at + len(canonical_bytes(meta)) - 1
                kept = canonical_bytes(rest)[1:] if rest else b"}"
                comma = b"," if rest else b""
                return b"".join((encoded[:at], STAMP, comma, kept, encoded[end:])), at
    before, after = body_parts(resource)
    return before + STAMP + after, len(before)


def _without_stamp(resource: dict[str, Any]) -> None:
    meta = resource.get("meta")
    if isinstance(meta, dict):
        meta.pop("versionId", None)
        meta.pop("lastUpdated", None)


def _flat_columns(resource_type: str, bodies: Sequence[bytes]) -> pa.Table:
    columns = segment_columns.flat_fields(resource_type)
    found = flattened(resource_type, bodies)
    arrays = [array for array, kept in zip(found, columns, strict=True) if kept is not None]
    fields = [field for field in columns if field is not None]
    # A number for each row: types without a view have a table too.
    numbered = [pa.array(np.arange(len(bodies))), *arrays]
    return pa.Table.from_arrays(numbered, schema=pa.schema([pa.field("n", pa.int64()), *fields]))


def _order(resource_type: str, patients: Sequence[str | None], flat: pa.Table) -> np.ndarray:
    """The rows as `segment_columns.sorted_by_patient` has them."""
    table = flat.append_column("patient_id", pa.array(patients, pa.string()))
    keys = ["patient_id", segment_columns.sort_column(resource_type), "n"]
    wanted = [key for key in keys if key is not None]
    found: np.ndarray = (
        table.select(wanted).sort_by([(key, "ascending") for key in wanted])["n"].to_numpy()
    )
    return found


def _stream(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table.combine_chunks())
    return bytes(sink.getvalue())


def _joined(bodies: Sequence[tuple[bytes, int]]) -> Bodies:
    ends = np.cumsum([len(body) for body, _ in bodies], dtype=np.int64)
    begins = np.concatenate([[0], ends[:-1]])
    stamps = begins + np.array([at for _, at in bodies], np.int64)
    return Bodies(b"".join(body for body, _ in bodies), ends, stamps)
