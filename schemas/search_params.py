"""The search parameters of R4, from HL7's own definitions, and which of them can be evaluated.

https://hl7.org/fhir/R4/searchparameter-registry.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from schemas.element_path import Branch, branches
from schemas.structure import RESOURCE_TYPES, load_definitions

# Not values of a resource: the storage answers them from the version itself.
STORAGE_PARAMS = frozenset({"_id", "_lastUpdated"})


@dataclass(frozen=True)
class Component:
    """A part of a composite parameter: its type, and its FHIRPath from where the composite is."""

    type: str
    expression: str


@dataclass(frozen=True)
class SearchParam:
    """One search parameter of one resource type (`base`).

    `type` is token, date, string, reference, number, quantity, uri, composite or special;
    `targets` the resource types that a reference may name, empty for any; `expression` its
    FHIRPath. `kind` says how its values are indexed: the type, or the types of its `components`
    (`token$quantity`), or `position`, `words` and `phonetic`; `age` is worked out from the birth
    date. `indexed_as` are the parameters that have its values, other than itself.
    """

    code: str
    type: str
    base: str
    expression: str
    targets: tuple[str, ...]
    url: str
    components: tuple[Component, ...] = ()
    indexed_as: tuple[str, ...] = ()
    pending: Callable[[], str] | None = field(default=None, compare=False)
    """Where it is not indexed yet: says how far that is. It cannot be searched by until then."""

    @property
    def kind(self) -> str:
        """How its values are indexed."""
        if self.type == "composite":
            return "$".join(one.type for one in self.components)
        if self.code == CONTENT:
            return "words"
        return _KINDS.get(self.code, self.type) if self.url in _SPECIAL else self.type


@dataclass(frozen=True)
class Unsupported:
    """A search parameter of R4 that is not evaluated, and why."""

    code: str
    type: str
    base: str
    reason: str
    url: str


_CORE = "http://hl7.org/fhir/SearchParameter/"

# R4 leaves it to the server how these are searched: the kind of their index, by code.
_KINDS = {"near": "position", "phonetic": "phonetic", "_text": "words", "age": "age"}
_SPECIAL = frozenset(
    _CORE + name
    for name in (
        "Location-near",
        "individual-phonetic",
        "Organization-phonetic",
        "InsurancePlan-phonetic",
        "DomainResource-text",
        "patient-extensions-Patient-age",
    )
)

# Expressions that R4 does not give, or gives with a type that FHIR does not have, by URL.
_EXPRESSIONS = {
    _CORE + "DomainResource-text": "DomainResource.text.div",
    _CORE + "patient-extensions-Patient-age": "Patient.birthDate",
    _CORE + "patient-extensions-Patient-birthOrderBoolean": (
        "iif(Patient.multipleBirth is integer, true, Patient.multipleBirth.ofType(boolean))"
    ),
}
_MISNAMED = {"DateTime": "dateTime"}
# Composites whose components have each other's expression in R4.
_SWAPPED = frozenset({_CORE + "DocumentReference-relationship"})

# How composites can be indexed; see storage.index.composite.
COMPOSITES = frozenset(
    {
        "token$quantity",
        "token$token",
        "token$date",
        "token$string",
        "reference$token",
        "token$number$number",
    }
)

CONTENT = "_content"
"""The words of whole resources: only where a SearchParameter of the lake asks for it."""

_OFF = (
    "every word of every resource would have to be indexed; it works for the types of a "
    "SearchParameter with this code that a datastore has been given"
)

_REASONS = {
    "_query": "no named queries are defined; _filter and operations are there instead",
}

# A language over the other parameters, in which there is nothing to be indexed: the storage reads
# it (storage.query.filter).
_LANGUAGE = "_filter"


def _applies(described: dict[str, Any], resource_type: str) -> bool:
    bases = described["base"]
    return (
        resource_type in bases
        or "Resource" in bases
        or ("DomainResource" in bases and resource_type not in ("Bundle", "Binary", "Parameters"))
    )


def _components(described: dict[str, Any], types: Mapping[str, str]) -> tuple[Component, ...]:
    found = []
    given = described["component"]
    if described["url"] in _SWAPPED:
        (first, one), (second, other) = given
        given = [(first, other), (second, one)]
    for url, expression in given:
        for wrong, right in _MISNAMED.items():
            expression = expression.replace(f"({wrong})", f"({right})")
        found.append(Component(types[url], expression))
    return tuple(found)


def unsupported_reason(param: SearchParam) -> str | None:
    """Why a parameter cannot be evaluated for its type, or None when it can."""
    if param.code in _REASONS:
        return _REASONS[param.code]
    if param.code == CONTENT and not param.expression:
        return _OFF
    if not param.expression:
        return "it has no expression"
    if param.type == "special" and param.kind == "special":
        return "special parameters are those of R4 only"
    if param.type == "composite" and param.kind not in COMPOSITES:
        return f"composites of {param.kind.replace('$', ' and ')} are not indexed"
    try:
        found = branches(param.expression, param.base)
        for branch in found if param.components else ():
            for component in param.components:
                component_branches(component, branch, param.base)
    except ValueError as failure:
        return str(failure)
    return None if found else "its expression names no element of this type"


def component_branches(
    component: Component, root: Branch, resource_type: str
) -> tuple[bool, tuple[Branch, ...]]:
    """The compiled expression of a component, and whether it starts at the resource.

    Otherwise it starts at an element that `root` finds. Raises ValueError as `branches` does.
    """
    of_resource = component.expression.startswith("%resource.")
    text = component.expression.removeprefix("%resource.")
    return of_resource, tuple(branches(text, resource_type if of_resource else root.type))


def _union(param: SearchParam, others: Mapping[str, SearchParam]) -> tuple[str, ...]:
    """Composites that have all values of this one, and no others.

    Nothing is sorted by a composite, so its values may stand under the names of others.
    """
    wanted = set(branches(param.expression, param.base))
    if len(wanted) < 2:
        return ()
    shared = [
        (other.code, set(branches(other.expression, other.base)))
        for other in others.values()
        if other.code != param.code and other.components == param.components
    ]
    within = [(code, found) for code, found in shared if found < wanted]
    return tuple(code for code, _ in within) if _covers(within, wanted) else ()


def _covers(within: list[tuple[str, set[Branch]]], wanted: set[Branch]) -> bool:
    return set().union(*(found for _, found in within)) == wanted if within else False


def _load() -> tuple[dict[str, dict[str, SearchParam]], list[Unsupported]]:
    described = load_definitions("search_parameters.json.gz")
    types = {one["url"]: one["type"] for one in described}
    by_type: dict[str, dict[str, SearchParam]] = {name: {} for name in sorted(RESOURCE_TYPES)}
    unsupported = []
    for resource_type, found in by_type.items():
        for one in described:
            if not _applies(one, resource_type) or one["code"] == _LANGUAGE:
                continue
            param = SearchParam(
                one["code"],
                one["type"],
                resource_type,
                _EXPRESSIONS.get(one["url"], one["expression"] or ""),
                tuple(one["target"]),
                one["url"],
                _components(one, types),
            )
            reason = unsupported_reason(param)
            if reason is None:
                found[param.code] = param
            else:
                unsupported.append(
                    Unsupported(param.code, param.type, resource_type, reason, param.url)
                )
        for code, param in found.items():
            if param.components:
                found[code] = replace(param, indexed_as=_union(param, found))
    return by_type, unsupported


_BY_TYPE, _UNSUPPORTED = _load()
_BY_URL = {one["url"]: one for one in load_definitions("search_parameters.json.gz")}

UNSUPPORTED: tuple[Unsupported, ...] = tuple(_UNSUPPORTED)
"""Every parameter that R4 defines for a type and that is not evaluated, with the reason."""


def search_params(resource_type: str) -> Mapping[str, SearchParam]:
    """The parameters that can be searched by, code → parameter; none for an unknown type.

    `_id` and `_lastUpdated` are among them: the storage answers these two itself.
    """
    return MappingProxyType(_BY_TYPE.get(resource_type, {}))


def param_branches(resource_type: str, code: str) -> tuple[Branch, ...]:
    """The compiled expression of a parameter. Raises KeyError for one that is not there."""
    return expression_branches(_BY_TYPE[resource_type][code].expression, resource_type)


@lru_cache(maxsize=8192)
def expression_branches(expression: str, resource_type: str) -> tuple[Branch, ...]:
    """The compiled expression of a parameter of a type. Raises ValueError."""
    return tuple(branches(expression, resource_type))


def by_url(url: str) -> dict[str, Any] | None:
    """R4's own definition with a canonical URL: `code`, `type`, `base`, `expression`, `target`."""
    return _BY_URL.get(url.partition("|")[0])
