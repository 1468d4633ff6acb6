"""R4's compartments, and the Patient compartments that a resource is in.

https://hl7.org/fhir/R4/compartmentdefinition.html
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from schemas.index_values import IndexValue, ReferenceValue
from schemas.search_values import extract_params
from schemas.structure import load_definitions

ITSELF = "{def}"
"""Stands among the parameters of a compartment for the resource that the compartment is of."""

COMPARTMENTS: Mapping[str, Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        compartment: MappingProxyType({kind: tuple(params) for kind, params in members.items()})
        for compartment, members in load_definitions("compartments.json").items()
    }
)
"""Compartment → resource type → the search parameters that put a resource in one."""

PATIENT_PARAMS: Mapping[str, tuple[str, ...]] = COMPARTMENTS["Patient"]
"""Resource type → the search parameters that put a resource in a Patient compartment."""


def patient_ids(resource: dict[str, Any]) -> list[str]:
    """Logical ids of the patients whose compartments it is in, each once, the owner first.

    The owner is the one of the definition's first parameter (`subject` before `performer`). A
    Patient is in its own compartment. Only relative references (`Patient/1`) count: an absolute
    one names a patient of some other server.
    """
    kind = resource.get("resourceType")
    params = PATIENT_PARAMS.get(kind, ()) if isinstance(kind, str) else ()
    return patient_ids_in(resource, extract_params(resource, params) if params else ())


def patient_ids_in(resource: dict[str, Any], values: Iterable[IndexValue]) -> list[str]:
    """The same, from index values of the resource that were extracted already."""
    kind = resource.get("resourceType")
    found: list[str] = []
    if kind == "Patient" and isinstance(resource.get("id"), str):
        found.append(resource["id"])
    params = PATIENT_PARAMS.get(kind, ()) if isinstance(kind, str) else ()
    if not params:
        return found
    by_param: dict[str, list[str]] = {}
    for value in values:
        if (
            type(value) is ReferenceValue
            and value.resource_type == "Patient"
            and value.url is None
            and value.id is not None
            and value.param in params
        ):
            by_param.setdefault(value.param, []).append(value.id)
    for param in params:
        found += by_param.get(param, ())
    return list(dict.fromkeys(found))
