"""Rows that no flat column holds: components of Observations, and Medications by reference.

Both are read out of bodies once a segment, then kept in the column cache.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from schemas.codes import codings, concept_text
from storage.analytics import segment_columns
from storage.analytics.column_cache import CACHE
from storage.analytics.source import SegmentSource, SnapshotSource

_ABOUT = {
    "code_system": pa.string(),
    "code": pa.string(),
    "code_display": pa.string(),
    "code_text": pa.string(),
    "codes": pa.list_(pa.string()),
}
_COMPONENT = pa.schema(
    {
        "row": pa.int64(),
        "component": pa.int64(),
        **_ABOUT,
        "value_number": pa.float64(),
        "value_comparator": pa.string(),
        "value_unit": pa.string(),
        "value_code": pa.string(),
        "value_text": pa.string(),
    }
)
_MEDICATION = pa.schema({"row": pa.int64(), "reference": pa.string(), **_ABOUT})

# What a component takes over from its Observation.
COMPONENT_PARENT = (
    "id", "patient_id", "category", "categories", "status", "effective", "effective_text",
    "issued", "encounter", "source", "nlp_traits", "version_id", "last_updated", "t",
)  # fmt: skip
COMPONENT_COLUMNS = {
    "id": "VARCHAR",
    "patient_id": "VARCHAR",
    "component": "BIGINT",
    "code_system": "VARCHAR",
    "code": "VARCHAR",
    "code_display": "VARCHAR",
    "code_text": "VARCHAR",
    "codes": "VARCHAR[]",
    "category": "VARCHAR",
    "categories": "VARCHAR[]",
    "status": "VARCHAR",
    "effective": "TIMESTAMPTZ",
    "effective_text": "VARCHAR",
    "issued": "TIMESTAMPTZ",
    "value_number": "DOUBLE",
    "value_comparator": "VARCHAR",
    "value_unit": "VARCHAR",
    "value_code": "VARCHAR",
    "value_text": "VARCHAR",
    "encounter": "VARCHAR",
    "source": "VARCHAR",
    "nlp_traits": "VARCHAR[]",
    "version_id": "BIGINT",
    "last_updated": "TIMESTAMPTZ",
    "t": "BIGINT",
}

Extract = Callable[[int, dict[str, Any]], list[dict[str, Any]]]


def observation_components(snapshot: SnapshotSource) -> pa.Table | None:
    """A row for each component of each current Observation, numbered from 0; None for none."""
    return _derived(
        snapshot,
        "Observation",
        "components",
        _COMPONENT,
        _components,
        COMPONENT_PARENT,
        ds.field("component_codes").is_valid(),
    )


def medications(snapshot: SnapshotSource) -> pa.Table | None:
    """`reference` (`Medication/id`) and code columns of each current Medication."""
    return _derived(snapshot, "Medication", "medications", _MEDICATION, _medication, (), None)


def component_codes(snapshot: SnapshotSource) -> frozenset[str]:
    """Every `system|code` that some component of an Observation has, current or not."""
    found: set[str] = set()
    for segment in snapshot.segments("Observation"):
        found |= CACHE.get_or(
            segment.cache_key,
            "component code set",
            lambda segment=segment: _distinct(  # type: ignore[misc]
                segment_columns.columns(segment, ["component_codes"])["component_codes"]
            ),
            lambda codes: 64 + 100 * len(codes),
        )
    hot = snapshot.hot_rows("Observation")
    if hot.num_rows:
        found |= _distinct(hot["component_codes"])
    return frozenset(found)


def _distinct(lists: pa.ChunkedArray) -> frozenset[str]:
    return frozenset(pc.unique(pc.list_flatten(lists)).to_pylist())


def _derived(
    snapshot: SnapshotSource,
    resource_type: str,
    what: str,
    schema: pa.Schema,
    extract: Extract,
    parent: Sequence[str],
    having: ds.Expression | None,
) -> pa.Table | None:
    names = ["v", "deleted", *parent]

    def rows_of(source: pa.Table) -> pa.Table:
        found: list[dict[str, Any]] = []
        for row, (body, deleted) in enumerate(
            zip(source["body"].to_pylist(), source["deleted"].to_pylist(), strict=True)
        ):
            if not deleted:
                found += extract(row, msgspec.json.decode(body))
        table = pa.Table.from_pylist(found, schema)
        held = source.select(names).take(table["row"])
        for name in names:
            table = table.append_column(held.field(name), held[name])
        return table.drop_columns(["row"])

    def read(segment: SegmentSource) -> pa.Table:
        dataset = segment_columns.dataset([segment])
        try:
            table = dataset.to_table(columns=[*names, "body"], filter=having)
        except (OSError, pa.ArrowException) as failure:
            raise segment.failure(failure) from None
        return rows_of(table)

    tables = [
        CACHE.get_or(
            segment.cache_key,
            what,
            lambda segment=segment: read(segment),  # type: ignore[misc]
            lambda table: table.nbytes,
        )
        for segment in snapshot.segments(resource_type)
    ]
    hot = snapshot.hot_rows(resource_type)
    if hot.num_rows:
        tables.append(rows_of(hot.filter(having) if having is not None else hot))
    found = [table for table in tables if table.num_rows]
    if not found:
        return None
    table = pa.concat_tables(found)
    hidden = snapshot.superseded(resource_type)
    if len(hidden):
        table = table.filter(pc.invert(pc.is_in(table["v"], value_set=hidden)))
    return table.drop_columns(["v", "deleted"])


def _about(concept: object) -> dict[str, Any]:
    found = codings(concept)
    first = found[0] if found else {}
    return {
        "code_system": first.get("system"),
        "code": first.get("code"),
        "code_display": first.get("display"),
        "code_text": concept_text(concept),
        "codes": [f"{c.get('system') or ''}|{c['code']}" for c in found if c.get("code")] or None,
    }


def _components(row: int, observation: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "row": row,
            "component": number,
            **_about(component.get("code")),
            **_value(component),
        }
        for number, component in enumerate(observation.get("component") or [])
    ]


def _value(component: dict[str, Any]) -> dict[str, Any]:
    quantity = component.get("valueQuantity") or {}
    number = quantity.get("value", component.get("valueInteger"))
    concept = component.get("valueCodeableConcept")
    text = component.get("valueString") or concept_text(concept)
    return {
        "value_number": None if number is None else float(number),
        "value_comparator": quantity.get("comparator"),
        "value_unit": quantity.get("code") or quantity.get("unit"),
        "value_code": next((c.get("code") for c in codings(concept)), None),
        "value_text": text,
    }


def _medication(row: int, medication: dict[str, Any]) -> list[dict[str, Any]]:
    reference = f"Medication/{medication.get('id')}"
    return [{"row": row, "reference": reference, **_about(medication.get("code"))}]
