"""Of which types the resources decide an answer: it stays the same while others are written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from storage.query.criterion import CODE_SETS, LAST_UPDATED, Criterion
from storage.query.tree import (
    AllOf,
    AnyOf,
    Chain,
    Compared,
    InCompartment,
    InHierarchy,
    Node,
    NotOf,
    Reverse,
)


def depends_on(asked: Mapping[str, Iterable[Node]]) -> frozenset[str] | None:
    """The types whose resources decide what nodes hold of, by the type that they ask of.

    None where it is not only resources that do: the day, or what is known of codes.
    """
    types: set[str] = set()
    for resource_type, nodes in asked.items():
        types.add(resource_type)
        if not all(_add(types, resource_type, node) for node in nodes):
            return None
    return frozenset(types)


def _add(types: set[str], resource_type: str, node: Node) -> bool:
    """Add the types of a node; false where they do not tell."""
    types.add(resource_type)
    if isinstance(node, Criterion):
        return _of_stored(node)
    if isinstance(node, AllOf | AnyOf):
        return all(_add(types, resource_type, part) for part in node.parts)
    if isinstance(node, NotOf):
        return _add(types, resource_type, node.part)
    if isinstance(node, Chain):
        return all(_add(types, link.target_type, link.inner) for link in node.links)
    if isinstance(node, Reverse):
        return _add(types, node.source_type, node.inner)
    # Lists are resources of yet another type, and have an answer of their own.
    return isinstance(node, Compared | InCompartment | InHierarchy)


def _of_stored(criterion: Criterion) -> bool:
    """Whether stored resources alone decide a criterion."""
    if criterion.kind in ("age", LAST_UPDATED) or criterion.modifier in CODE_SETS:
        return False
    # Approximately: the longer ago, the wider.
    return not any(value.startswith("ap") for value in criterion.values)
