"""What a search asks of a resource, as a tree: criteria, joined by and, or, not and by references.

https://hl7.org/fhir/R4/search.html#chaining, #has, https://hl7.org/fhir/R4/search_filter.html
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from storage.query.criterion import Criterion


@dataclass(frozen=True, slots=True)
class AllOf:
    """Every part holds; true when there is none."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """At least one part holds."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class NotOf:
    """The part does not hold."""

    part: Node


@dataclass(frozen=True, slots=True)
class Link:
    """The reference parameter `param` names a current `target_type` of which `inner` holds."""

    param: str
    target_type: str
    inner: Node


@dataclass(frozen=True, slots=True)
class Chain:
    """One of the links holds (`subject:Patient.name`; one a type that the reference may have)."""

    given: str
    links: tuple[Link, ...]


@dataclass(frozen=True, slots=True)
class Reverse:
    """A current `source_type`, of which `inner` holds, names the resource by `param` (`_has`)."""

    given: str
    source_type: str
    param: str
    inner: Node


@dataclass(frozen=True, slots=True)
class InList:
    """The resource is an entry of one of the Lists (`_list`)."""

    given: str
    list_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class InHierarchy:
    """The resource is one of some of its type, or (below) part of one, at whatever distance.

    `above`: or one of them is part of it. `param` is the reference to what it is part of.
    """

    given: str
    param: str
    ids: tuple[str, ...]
    above: bool


@dataclass(frozen=True, slots=True)
class InCompartment:
    """One of the reference parameters names `Type/id`, or it is that resource `itself`."""

    compartment_type: str
    compartment_id: str
    params: tuple[str, ...]
    itself: bool


@dataclass(frozen=True, slots=True)
class Compared:
    """A comparison of `_filter` that no search parameter's value syntax says.

    `operator` is eq, ne, co, sw, ew (strings; ne: any kind) or po (dates); `value` as it came.
    """

    given: str
    param: str
    kind: str
    operator: str
    value: str


Node: TypeAlias = (
    Criterion
    | AllOf
    | AnyOf
    | NotOf
    | Chain
    | Reverse
    | InList
    | InHierarchy
    | InCompartment
    | Compared
)
