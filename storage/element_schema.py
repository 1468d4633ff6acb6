"""Which elements of a resource type its flat columns read, as the Arrow schema of a JSON reader.

Everything else of a body is skipped by the reader. Elements have the shape that R4 gives them
(array or not, object, string, number, boolean): the reader refuses a body with another shape.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache

import pyarrow as pa

from schemas import path_functions as run
from schemas.element_path import Branch, Evaluator, Key
from schemas.structure import PRIMITIVE_TYPES, TYPES
from schemas.views import column_paths

NUMBER_TYPES = frozenset({"decimal", "integer", "positiveInt", "unsignedInt"})


class Unsupported(Exception):
    """A path does what is not done for many resources at once; `schemas.views.flatten` does."""


@dataclass(eq=False)
class _Node:
    """An element that is read: its children by JSON key, or none for a primitive."""

    type: str
    many: bool = False
    children: dict[str, _Node] = field(default_factory=dict)

    def arrow(self) -> pa.DataType:
        """The Arrow type. Children in the order of their keys: alike elements have one type."""
        if self.type in PRIMITIVE_TYPES:
            kind = pa.float64() if self.type in NUMBER_TYPES else pa.string()
            found = pa.bool_() if self.type == "boolean" else kind
        else:
            found = pa.struct([(key, node.arrow()) for key, node in sorted(self.children.items())])
        return pa.list_(found) if self.many else found


class _Walk:
    """Follows paths through R4's types, noting each element."""

    def __init__(self) -> None:
        self.alike: list[list[_Node]] = []
        self.calculates = False

    def evaluator(self, start: _Node, found: Evaluator) -> list[_Node]:
        return [node for branch in found.branches for node in self.branch([start], branch)]

    def branch(self, nodes: list[_Node], branch: Branch) -> list[_Node]:
        for step in branch.steps:
            nodes = self._step(nodes, step)
        return nodes

    def _step(self, nodes: list[_Node], step: object) -> list[_Node]:
        match step:
            case Key(name):
                return [_child(node, name) for node in nodes]
            case run.Nth():
                return nodes
            case run.WithUrl():
                for node in nodes:
                    _child(node, "url")
                return nodes
            case run.OfResourceType(types) if len(types) == 1:
                (only,) = types
                return [_as_type(node, only) for node in nodes]
            case run.Where(criterion) if isinstance(criterion, Evaluator):
                self._each(nodes, [criterion])
                return nodes
            case run.Select(projection) if isinstance(projection, Evaluator):
                return self._each(nodes, [projection])
            case run.Conditional(criterion, when_true, otherwise):
                self._each(nodes, [criterion])
                return self._each(nodes, [when_true, otherwise])
            case run.Computed(inner, function):
                found: list[_Node] = []
                for one in inner:
                    if not isinstance(one, Branch):
                        raise Unsupported
                    found += self.branch(nodes, one)
                if isinstance(function, run.Nth):
                    self.alike.append(found)
                    return found
                return []
            case run.Operation(left, right, function):
                self.calculates |= isinstance(function, run.Arithmetic)
                self._each(nodes, [left, right])
                return []
            case run.Constant():
                return []
        raise Unsupported

    def _each(self, nodes: list[_Node], evaluators: Iterable[object]) -> list[_Node]:
        found: list[_Node] = []
        for one in evaluators:
            if not isinstance(one, Evaluator):
                raise Unsupported
            for node in nodes:
                found += self.evaluator(node, one)
        self.alike.append(found)
        return found


def _child(node: _Node, name: str) -> _Node:
    table = TYPES.get(node.type)
    known = table.json_names.get(name) if table is not None else None
    if known is None or known[1] == "xhtml":
        raise Unsupported
    element, kind = known
    return node.children.setdefault(name, _Node(kind, element.many))


def _as_type(node: _Node, resource_type: str) -> _Node:
    """A resource in another one (`contained`), read as if all of them were of one type."""
    if node.type == "Resource":
        node.type = resource_type
        node.children["resourceType"] = _Node("code")
    elif node.type != resource_type:
        raise Unsupported
    return node


def _make_alike(groups: Sequence[Sequence[_Node]]) -> None:
    """Give elements that come together in one list the same children."""
    changed = True
    while changed:
        changed = False
        for group in groups:
            merged: dict[str, _Node] = {}
            for node in group:
                for key, child in node.children.items():
                    mine = merged.setdefault(key, child)
                    if mine is not child:
                        changed |= _merge(mine, child)
            for node in group:
                if node.type not in PRIMITIVE_TYPES and node.children != merged:
                    node.children = dict(merged)
                    changed = True


def _merge(into: _Node, other: _Node) -> bool:
    if into.type != other.type or into.many != other.many:
        raise Unsupported
    changed = False
    for key, child in other.children.items():
        mine = into.children.get(key)
        if mine is None:
            into.children[key] = child
            changed = True
        elif mine is not child:
            changed |= _merge(mine, child)
    return changed


@dataclass(frozen=True)
class Elements:
    """What is read of the bodies of a type; `calculates` when a path computes with decimals."""

    schema: pa.Schema
    calculates: bool


@cache
def elements(resource_type: str) -> Elements:
    """The elements that the flat columns of a type need. Raises `Unsupported`."""
    root, walk = _Node(resource_type), _Walk()
    for _, branches in column_paths(resource_type):
        for branch in branches:
            walk.branch([root], branch)
    _make_alike(walk.alike)
    fields = [(key, node.arrow()) for key, node in sorted(root.children.items())]
    return Elements(pa.schema(fields), walk.calculates)
