"""What a router offers, told where it is registered: `service.surfaces` lists one `Surface` each.

From these the application takes its routes and the CapabilityStatement what it claims, so that
neither can have what the other lacks. Interactions and operations are known by their paths (R4
http.html#summary, operations.html#executing), so a route needs nothing but its path to be claimed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from fastapi import APIRouter
from fastapi.routing import APIRoute

from service.context import Context

Describe = Callable[[Context, str], Mapping[str, Any]]
"""Members of CapabilityStatement.rest.resource, for a resource type."""

ANY_TYPE = "*"


@dataclass(frozen=True)
class Surface:
    """One router below the FHIR base, and what it means for the CapabilityStatement.

    `writes`: all that it does is change something; a service that only reads refuses it.
    `definitions`: for each operation (a path that ends in `$name`) the canonical URL of its
    OperationDefinition. `describes` adds members to `rest.resource` of each type, such as
    `conditionalCreate`; `statement` adds members to the statement, such as `patchFormat` or
    `instantiates` (lists of several surfaces are joined). Neither counts for a service that only
    reads when the surface writes.
    """

    router: APIRouter
    writes: bool = False
    definitions: Mapping[str, str] = field(default_factory=dict)
    describes: Describe | None = None
    statement: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse an operation without a definition, when the service starts: never half a claim."""
        missing = {one.name for one in self.operations()} - set(self.definitions)
        if missing:
            raise ValueError(f"no OperationDefinition is named for {', '.join(sorted(missing))}")

    def operations(self) -> Iterator[Operation]:
        """The operations of the router; each once, whatever methods and levels it has."""
        found: dict[Operation, None] = {}
        for _method, path in routes_of(self.router):
            match = _OPERATION.fullmatch(path)
            if match is not None:
                kind = match["type"]
                place = None if kind is None else ANY_TYPE if kind == "{}" else kind
                found[Operation(place, match["name"])] = None
        return iter(found)

    def interactions(self) -> Iterator[str]:
        """The codes of R4 valueset-restful-interaction.html that the router answers."""
        for method, path in routes_of(self.router):
            yield from _INTERACTIONS.get((method, path), ())


class Operation(NamedTuple):
    """An operation: of `resource_type` (None: the system's, `*`: every type's), without its `$`."""

    resource_type: str | None
    name: str


_OPERATION = re.compile(r"(?:/(?P<type>\{\}|[A-Z]\w+)(?:/\{\})?)?/\$(?P<name>[\w-]+)")
_PARAMETER = re.compile(r"\{[^}]*\}")

_INTERACTIONS: dict[tuple[str, str], tuple[str, ...]] = {
    ("GET", "/{}/{}"): ("read",),
    ("GET", "/{}/{}/_history/{}"): ("vread",),
    ("PUT", "/{}/{}"): ("update",),
    ("PATCH", "/{}/{}"): ("patch",),
    ("DELETE", "/{}/{}"): ("delete",),
    ("GET", "/{}/{}/_history"): ("history-instance",),
    ("GET", "/{}/_history"): ("history-type",),
    ("POST", "/{}"): ("create",),
    ("GET", "/{}"): ("search-type",),
    ("GET", "/_history"): ("history-system",),
    ("GET", ""): ("search-system",),
    ("GET", "/"): ("search-system",),
    ("POST", ""): ("transaction", "batch"),
}

TYPE_INTERACTIONS = (
    "read",
    "vread",
    "update",
    "patch",
    "delete",
    "history-instance",
    "history-type",
    "create",
    "search-type",
)
"""In the order of the statement; the others are the system's."""

SYSTEM_INTERACTIONS = ("transaction", "batch", "search-system", "history-system")


def routes_of(router: APIRouter) -> Iterator[tuple[str, str]]:
    """Method and path of each route, its parameters as `{}`."""
    for route in router.routes:
        if isinstance(route, APIRoute):
            for method in sorted(route.methods or ()):
                yield method, _PARAMETER.sub("{}", route.path)


def joined(surfaces: Sequence[Surface], name: str) -> list[Any]:
    """The list `name` of the statement: what the surfaces give, each value once, in their order."""
    found: dict[Any, None] = {}
    for surface in surfaces:
        found.update(dict.fromkeys(surface.statement.get(name, ())))
    return list(found)


def routes_by_operation(
    surfaces: Sequence[Surface], prefix: str
) -> dict[tuple[str, str], APIRoute]:
    """Every route by method (in lower case) and path below the service's root."""
    return {
        (method.lower(), prefix + route.path): route
        for surface in surfaces
        for route in surface.router.routes
        if isinstance(route, APIRoute)
        for method in route.methods or ()
    }


def dependencies_of(route: APIRoute) -> set[Any]:
    """The functions that a route's parameters depend on, theirs included."""
    found: set[Any] = set()
    waiting = list(route.dependant.dependencies)
    while waiting:
        one = waiting.pop()
        found.add(one.call)
        waiting += one.dependencies
    return found
