"""Flat views: each resource version as one row, defined by SQL on FHIR ViewDefinitions.

One file a resource type; a view is fed by one type or by several with the same columns.
https://sql-on-fhir.org/ig/latest/StructureDefinition-ViewDefinition.html
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any

from schemas.dates import date_range, to_datetime
from schemas.element_path import Branch, branches, evaluator, root_keys
from schemas.structure import RESOURCE_TYPES

VIEWS: dict[str, tuple[str, ...]] = {
    "patient": ("Patient",),
    "condition": ("Condition",),
    "observation": ("Observation",),
    "medication": (
        "MedicationRequest",
        "MedicationStatement",
        "MedicationAdministration",
        "MedicationDispense",
    ),
    "encounter": ("Encounter",),
    "procedure": ("Procedure",),
    "immunization": ("Immunization",),
    "allergy": ("AllergyIntolerance",),
    "diagnostic_report": ("DiagnosticReport",),
    "document": ("DocumentReference",),
    "claim": ("Claim",),
    "family_history": ("FamilyMemberHistory",),
    "nlp_entity": (
        "Condition",
        "Observation",
        "MedicationStatement",
        "Procedure",
        "AllergyIntolerance",
        "FamilyMemberHistory",
    ),
}
"""View name → the resource types whose versions are its rows."""

VIEW_FILTERS: Mapping[str, str] = MappingProxyType({"nlp_entity": "source = 'nlp'"})
"""View name → an SQL condition on its own columns that its rows meet; most views have none."""

# Columns that the storage adds to every row; no view may define one of these.
STORAGE_COLUMNS = frozenset(
    {"v", "t", "id", "resource_type", "patient_id", "version_id", "last_updated"}
    | {"method", "deleted", "body"}
)

_COMMON_ONLY = frozenset({"nlp_entity"})
_KINDS = {
    "boolean": "boolean",
    "date": "date",
    "dateTime": "timestamp",
    "instant": "timestamp",
    "decimal": "double",
    "integer": "double",
    "string": "string",
    "code": "string",
    "uri": "string",
}
_KEYS = frozenset({"name", "path", "type", "collection", "description"})


@dataclass(frozen=True)
class FlatColumn:
    """A column: `kind` is string, double, boolean, date, timestamp or list<string>."""

    name: str
    kind: str


def flat_columns(resource_type: str) -> list[FlatColumn]:
    """The columns of a resource type's rows, in order; none for a type without a view."""
    view = _compiled(resource_type)
    return list(view.columns) if view is not None else []


def column_paths(resource_type: str) -> list[tuple[FlatColumn, tuple[Branch, ...]]]:
    """Each of `flat_columns`, with the compiled path that its values are found at.

    For whoever evaluates many resources at once; `flatten` is what the result must equal.
    """
    view = _compiled(resource_type)
    return list(zip(view.columns, view.paths, strict=True)) if view is not None else []


def view_columns(view: str) -> list[FlatColumn]:
    """The columns of a view: of all its types, or for `nlp_entity` those that all have.

    Raises KeyError for a view that is not there.
    """
    by_type = [flat_columns(resource_type) for resource_type in VIEWS[view]]
    names = list(dict.fromkeys(column for columns in by_type for column in columns))
    if view in _COMMON_ONLY:
        return [column for column in names if all(column in columns for columns in by_type)]
    return names


def flatten(resource: dict[str, Any]) -> dict[str, Any]:
    """The row of a resource: a value for each of its type's columns, None where it has none.

    Timestamps are aware UTC datetimes, the first moment of what is written; a date is the first
    day. Never raises: content that is not of the column's kind is None.
    """
    kind = resource.get("resourceType")
    view = _compiled(kind) if isinstance(kind, str) else None
    if view is None:
        return {}
    row = view.empty.copy()
    for key in resource:
        for name, path, convert in view.by_key.get(key, ()):
            row[name] = convert(path(resource))
    for name, path, convert in view.always:
        row[name] = convert(path(resource))
    return row


Cell = tuple[str, Callable[[dict[str, Any]], list[Any]], Callable[[list[Any]], Any]]


@dataclass(frozen=True)
class _Compiled:
    """A compiled definition: cells by a key of the resource without which they are empty."""

    columns: tuple[FlatColumn, ...]
    paths: tuple[tuple[Branch, ...], ...]
    empty: dict[str, Any]
    by_key: dict[str, list[Cell]]
    always: list[Cell]


@cache
def _compiled(resource_type: str) -> _Compiled | None:
    definition = _definitions().get(resource_type)
    return _compile(definition) if definition is not None else None


@cache
def _definitions() -> dict[str, dict[str, Any]]:
    """Resource type → its ViewDefinition."""
    found = {}
    for file in sorted(resources.files("schemas.views").iterdir(), key=lambda f: f.name):
        if file.name.endswith(".json"):
            definition = json.loads(file.read_text("utf-8"))
            found[definition["resource"]] = definition
    return found


def _compile(definition: dict[str, Any]) -> _Compiled:
    """Compiles a definition. Raises ValueError for one that is outside what is supported."""
    name, resource_type = definition["name"], definition["resource"]
    if resource_type not in RESOURCE_TYPES:
        raise ValueError(f"view {name}: {resource_type!r} is not a resource type of R4")
    columns: list[FlatColumn] = []
    paths: list[tuple[Branch, ...]] = []
    by_key: dict[str, list[Cell]] = {}
    always: list[Cell] = []
    seen = set(STORAGE_COLUMNS)
    for select in definition["select"]:
        if select.keys() != {"column"}:
            raise ValueError(f"view {name}: only select.column is supported, one row a resource")
        for described in select["column"]:
            label = described.get("name")
            if described.keys() - _KEYS or label in seen or described.get("type") not in _KINDS:
                raise ValueError(
                    f"view {name}, column {label!r}: unknown key or type, or a name taken already"
                )
            seen.add(label)
            kind = _KINDS[described["type"]]
            if described.get("collection"):
                if kind != "string":
                    raise ValueError(f"view {name}, column {label!r}: lists are of strings only")
                kind = "list<string>"
            columns.append(FlatColumn(label, kind))
            found = branches(described["path"], resource_type)
            paths.append(tuple(found))
            cell = (label, evaluator(found), _CONVERT[kind])
            keys = root_keys(found)
            for key in keys or ():
                by_key.setdefault(key, []).append(cell)
            if keys is None:
                always.append(cell)
    empty = dict.fromkeys(column.name for column in columns)
    return _Compiled(tuple(columns), tuple(paths), empty, by_key, always)


def _string(items: list[Any]) -> str | None:
    if not items:
        return None
    value = items[0]
    return value if type(value) is str else None


def _strings(items: list[Any]) -> list[str] | None:
    found = [item for item in items if type(item) is str]
    return found or None


def _double(items: list[Any]) -> float | None:
    if items and type(items[0]) in (int, Decimal):
        try:
            return float(items[0])
        except OverflowError:
            return None
    return None


def _boolean(items: list[Any]) -> bool | None:
    return items[0] if items and type(items[0]) is bool else None


def _date(items: list[Any]) -> Any:
    moment = _timestamp(items)
    return moment.date() if moment is not None else None


def _timestamp(items: list[Any]) -> Any:
    if not items or type(items[0]) is not str:
        return None
    try:
        return to_datetime(date_range(items[0])[0])
    except ValueError:
        return None


_CONVERT: dict[str, Callable[[list[Any]], Any]] = {
    "string": _string,
    "list<string>": _strings,
    "double": _double,
    "boolean": _boolean,
    "date": _date,
    "timestamp": _timestamp,
}
