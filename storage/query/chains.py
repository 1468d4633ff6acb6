"""One parameter of a search as a node of the tree: a criterion, a chain, `_has`, `_list`.

https://hl7.org/fhir/R4/search.html#chaining. A chain goes over every type that its reference
parameter may name, unless the type is written (`subject:Patient.name`): each type that has the
parameter at its end is asked, each by its own definition. Where those definitions are of different
kinds (a token here, a string there), the value would mean different things, and the chain is
refused until a type is written.
"""

from __future__ import annotations

from dataclasses import dataclass

from schemas.ids import is_id
from schemas.outcomes import FhirError, error
from schemas.search_params import SearchParam
from schemas.structure import RESOURCE_TYPES
from storage.query.criterion import (
    OF_RELATED,
    Criterion,
    Known,
    bad_value,
    criterion,
    is_canonical,
    require_ready,
    unsupported,
)
from storage.query.escapes import split, unescape
from storage.query.hierarchy import hierarchies, in_hierarchy
from storage.query.limits import SearchLimits, beyond
from storage.query.tree import AllOf, Chain, InList, Link, Node, Reverse

HAS = "_has"
LIST = "_list"

# https://hl7.org/fhir/R4/lifecycle.html#current: lists that the server works out.
_CURRENT: dict[str, tuple[str, tuple[tuple[str, str], ...]]] = {
    "$current-problems": (
        "Condition",
        (
            ("clinical-status", "active,recurrence,relapse"),
            ("verification-status:not", "refuted,entered-in-error"),
        ),
    ),
    "$current-allergies": (
        "AllergyIntolerance",
        (
            ("clinical-status", "active"),
            ("verification-status:not", "refuted,entered-in-error"),
        ),
    ),
    "$current-drug-allergies": (
        "AllergyIntolerance",
        (
            ("category", "medication"),
            ("clinical-status", "active"),
            ("verification-status:not", "refuted,entered-in-error"),
        ),
    ),
    "$current-medications": ("MedicationStatement", (("status", "active"),)),
}


@dataclass(frozen=True, slots=True)
class Reading:
    """How parameters are read: which there are, and how far they may go."""

    known: Known
    limits: SearchLimits


def node(reading: Reading, resource_type: str, given: str, value: str) -> Node | None:
    """The node of one parameter; None when the type has no such parameter.

    Raises FhirError for what is known but cannot be applied as it was given.
    """
    return _node(reading, resource_type, given, value, given, 0)


def reference_param(reading: Reading, resource_type: str, name: str) -> SearchParam | None:
    """The reference parameter of a type by that name, if there is one.

    Raises FhirError `unavailable` for one that is still being indexed.
    """
    found = reading.known(resource_type).get(name)
    if found is None or found.type != "reference":
        return None
    require_ready(name, found)
    return found


def may_name(param: SearchParam, target_type: str) -> bool:
    """Whether a reference parameter may name resources of a type."""
    return not param.targets or target_type in param.targets or "Resource" in param.targets


def _node(
    reading: Reading, resource_type: str, name: str, value: str, given: str, depth: int
) -> Node | None:
    if depth > reading.limits.max_chain_depth:
        raise beyond(
            given, "is too deep a chain", reading.limits.max_chain_depth, "search_max_chain_depth"
        )
    if name == HAS or name.startswith(HAS + ":"):
        return _reverse(reading, resource_type, name, value, given, depth)
    if name == LIST and not depth:
        return _list(reading, resource_type, given, value)
    head, dot, rest = name.partition(".")
    if dot:
        return _chain(reading, resource_type, head, rest, value, given, depth)
    found = criterion(resource_type, name, value, reading.known)
    if found is None or found.modifier not in OF_RELATED or found.kind != "reference":
        return found
    assert found.defined is not None
    if is_canonical(found.defined):
        return found
    if next(hierarchies(found.defined, reading.known), None) is None:
        raise unsupported(given, "it leads to nothing that has versions or is part of another")
    return in_hierarchy(found, found.defined, reading.known)


def _chain(
    reading: Reading,
    resource_type: str,
    head: str,
    rest: str,
    value: str,
    given: str,
    depth: int,
) -> Node | None:
    name, colon, written = head.partition(":")
    found = reading.known(resource_type).get(name)
    if found is None:
        return None
    if found.type != "reference":
        raise unsupported(given, f"{name[:64]!r} is no reference, so nothing can follow it")
    require_ready(given, found)
    if not rest:
        raise unsupported(given, "no parameter follows the dot")
    if colon and (written not in RESOURCE_TYPES or not may_name(found, written)):
        raise unsupported(given, f"{name[:64]!r} does not refer to such a type")
    wide = not found.targets or "Resource" in found.targets
    targets = [written] if colon else sorted(RESOURCE_TYPES) if wide else list(found.targets)
    links, failures = [], []
    for target in targets:
        try:
            inner = _node(reading, target, rest, value, given, depth + 1)
        except FhirError as failure:
            failures.append(failure)
            continue
        if inner is not None:
            links.append(Link(name, target, inner))
    if failures:
        # What one of the types refuses is refused: leaving that type out would find too little.
        raise failures[0]
    if not links:
        raise unsupported(given, f"no type that {name[:64]!r} refers to has the parameter after it")
    kinds = {link.inner.kind for link in links if isinstance(link.inner, Criterion)}
    if len(kinds) > 1:
        types = ", ".join(link.target_type for link in links[:6])
        raise unsupported(
            given,
            f"its last parameter is not of one kind in the types that it leads to ({types}); "
            f"write the type, as in {name[:64]}:{links[0].target_type}",
        )
    return Chain(given, tuple(links))


def _reverse(
    reading: Reading, resource_type: str, name: str, value: str, given: str, depth: int
) -> Node:
    parts = name.split(":", 3)
    if len(parts) != 4 or not all(parts):
        raise unsupported(given, "_has is written _has:Type:reference-parameter:parameter")
    _, source, param, rest = parts
    if source not in RESOURCE_TYPES:
        raise error(
            "not-supported", f"{source[:64]!r} is not a resource type of FHIR R4.", given[:64]
        )
    found = reference_param(reading, source, param)
    if found is None:
        raise unsupported(given, f"{source} has no reference parameter {param[:64]!r}")
    if not may_name(found, resource_type):
        raise unsupported(given, f"{param[:64]!r} of {source} never refers to {resource_type}")
    inner = _node(reading, source, rest, value, given, depth + 1)
    if inner is None:
        raise unsupported(given, f"{source} has no parameter {rest.partition(':')[0][:64]!r}")
    return Reverse(given, source, param, inner)


def _list(reading: Reading, resource_type: str, given: str, value: str) -> Node:
    if value.startswith("$"):
        if value not in _CURRENT:
            raise bad_value(given, f"the lists worked out here are {', '.join(_CURRENT)}")
        kind, criteria = _CURRENT[value]
        if kind != resource_type:
            raise bad_value(given, f"it lists resources of type {kind}")
        nodes = [criterion(kind, name, text, reading.known) for name, text in criteria]
        return AllOf(tuple(one for one in nodes if one is not None))
    ids = [unescape(one).removeprefix("List/") for one in split(value, ",")]
    if not all(is_id(one) for one in ids):
        raise bad_value(given, "it is the id of a List")
    return InList(given, tuple(dict.fromkeys(ids)))
