"""The search parameters of R4, from HL7's own definitions, and which of them can be evaluated.

https://hl7.org/fhir/R4/searchparameter-registry.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any

from schemas.element_path import Branch, branches
from schemas.structure import RESOURCE_TYPES, load_definitions

# Not values of a resource: the storage answers them from the version itself.
STORAGE_PARAMS = frozenset({"_id", "_lastUpdated"})


@dataclass(frozen=True)
class SearchParam:
    """One search parameter of one resource type (`base`).

    `type` is token, date, string, reference, number, quantity or uri; `targets` the resource types
    that a reference may name, empty for any; `expression` its FHIRPath.
    """

    code: str
    type: str
    base: str
    expression: str
    targets: tuple[str, ...]
    url: str


@dataclass(frozen=True)
class Unsupported:
    """A search parameter of R4 that is not evaluated, and why."""

    code: str
    type: str
    base: str
    reason: str
    url: str


def _applies(described: dict[str, Any], resource_type: str) -> bool:
    bases = described["base"]
    return (
        resource_type in bases
        or "Resource" in bases
        or ("DomainResource" in bases and resource_type not in ("Bundle", "Binary", "Parameters"))
    )


def _reason(described: dict[str, Any], resource_type: str) -> str | None:
    """Why the parameter cannot be evaluated for the type, or None when it can."""
    if described["type"] in ("composite", "special"):
        return f"{described['type']} parameters are not evaluated"
    if described["code"] == "phonetic":
        return "names are not matched by their sound"
    if not described["expression"]:
        return "R4 defines it without an expression"
    try:
        found = branches(described["expression"], resource_type)
    except ValueError as failure:
        return str(failure)
    return None if found else "its expression names no element of this type"


def _load() -> tuple[dict[str, dict[str, SearchParam]], list[Unsupported]]:
    described = load_definitions("search_parameters.json.gz")
    by_type: dict[str, dict[str, SearchParam]] = {name: {} for name in sorted(RESOURCE_TYPES)}
    unsupported = []
    for resource_type, found in by_type.items():
        for one in described:
            if not _applies(one, resource_type):
                continue
            reason = _reason(one, resource_type)
            code, kind, url = one["code"], one["type"], one["url"]
            if reason is not None:
                unsupported.append(Unsupported(code, kind, resource_type, reason, url))
                continue
            found[code] = SearchParam(
                code, kind, resource_type, one["expression"], tuple(one["target"]), url
            )
    return by_type, unsupported


_BY_TYPE, _UNSUPPORTED = _load()

UNSUPPORTED: tuple[Unsupported, ...] = tuple(_UNSUPPORTED)
"""Every parameter that R4 defines for a type and that is not evaluated, with the reason."""


def search_params(resource_type: str) -> Mapping[str, SearchParam]:
    """The parameters that can be searched by, code → parameter; none for an unknown type.

    `_id` and `_lastUpdated` are among them: the storage answers these two itself.
    """
    return MappingProxyType(_BY_TYPE.get(resource_type, {}))


@cache
def param_branches(resource_type: str, code: str) -> tuple[Branch, ...]:
    """The compiled expression of a parameter. Raises KeyError for one that is not there."""
    return tuple(branches(_BY_TYPE[resource_type][code].expression, resource_type))
