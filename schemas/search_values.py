"""The index values of a resource: what each of its search parameters finds in it.

The parameters of a resource type are merged into one tree of JSON keys, so that a resource is
walked once, and only where some parameter looks.
https://hl7.org/fhir/R4/search.html
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from schemas import value_converters
from schemas.composite_values import CompositeOf
from schemas.element_path import Key, Step
from schemas.fhirpath_values import FhirPathValues, followed
from schemas.folding import normalized
from schemas.index_values import (
    CompositeValue,
    DateValue,
    IndexValue,
    NumberValue,
    PositionValue,
    QuantityValue,
    ReferenceValue,
    StringValue,
    TokenValue,
    UriValue,
)
from schemas.search_params import (
    STORAGE_PARAMS,
    SearchParam,
    search_params,
)
from schemas.value_converters import Converter

__all__ = [
    "Action",
    "CompositeValue",
    "DateValue",
    "IndexValue",
    "Node",
    "NumberValue",
    "PositionValue",
    "QuantityValue",
    "ReferenceValue",
    "StringValue",
    "TokenValue",
    "UriValue",
    "extract",
    "extract_params",
    "extract_repeated",
    "normalized",
    "value_tree",
]


@dataclass(frozen=True)
class Action:
    """What to do with a value found: convert it for a parameter, after the remaining steps."""

    param: str
    convert: Converter
    rest: tuple[Step, ...]


@dataclass
class Node:
    """What to do with the values of one JSON key, and where to go on within them."""

    children: dict[str, Node] = field(default_factory=dict)
    actions: list[Action] = field(default_factory=list)


def extract(resource: dict[str, Any]) -> list[IndexValue]:
    """Every index value, each once; none of `_id` and `_lastUpdated`, which the storage knows.

    Those that others have the values of (`SearchParam.indexed_as`), and those of
    `search_params.UNSUPPORTED`, have none. Never raises for odd content: what cannot be read as
    its type has no value.
    """
    return list(dict.fromkeys(extract_repeated(resource)))


def extract_repeated(resource: dict[str, Any], tree: Node | None = None) -> list[IndexValue]:
    """As `extract`, but a value that the resource repeats may be there more than once.

    `tree`: the parameters of the resource's type; R4's own when it is None.
    """
    kind = resource.get("resourceType")
    if not isinstance(kind, str):
        return []
    return _values(value_tree(kind) if tree is None else tree, resource)


def extract_params(resource: dict[str, Any], params: tuple[str, ...]) -> list[IndexValue]:
    """The index values of some parameters only; cheaper than all of them."""
    kind = resource.get("resourceType")
    if not isinstance(kind, str):
        return []
    return list(dict.fromkeys(_values(_tree_of(kind, params), resource)))


def _values(tree: Node, resource: dict[str, Any]) -> list[IndexValue]:
    out: list[IndexValue] = []
    _walk(tree, resource, out)
    # What is computed from the resource as a whole (`Patient.deceased.exists() and …`).
    for action in tree.actions:
        _act(action, [resource], out)
    return out


def _walk(node: Node, item: dict[str, Any], out: list[IndexValue]) -> None:
    children = node.children
    for key, value in item.items():
        child = children.get(key)
        if child is None:
            continue
        values = value if type(value) is list else (value,)
        for action in child.actions:
            if action.rest:
                _act(action, list(values), out)
                continue
            for one in values:
                if one is not None:
                    action.convert(action.param, one, out)
        if child.children:
            for one in values:
                if type(one) is dict:
                    _walk(child, one, out)


def _act(action: Action, items: list[Any], out: list[IndexValue]) -> None:
    items = [item for item in items if item is not None]
    for step in action.rest:
        items = step(items)
    for item in items:
        action.convert(action.param, item, out)


@cache
def value_tree(resource_type: str) -> Node:
    """The parameters of a resource type, by the JSON keys that lead to their values."""
    known = search_params(resource_type)
    return merged_tree(known, indexed_codes(known))


def indexed_codes(known: Mapping[str, SearchParam]) -> list[str]:
    """The parameters that have values of their own."""
    return [code for code, param in known.items() if not param.indexed_as]


@cache
def _tree_of(resource_type: str, params: tuple[str, ...]) -> Node:
    return merged_tree(search_params(resource_type), params)


def merged_tree(known: Mapping[str, SearchParam], codes: Iterable[str]) -> Node:
    """The parameters of some codes, by the JSON keys that lead to their values."""
    root = Node()
    for code in codes:
        if code in STORAGE_PARAMS or code not in known:
            continue
        found = followed(known[code])
        if found is None:
            values = FhirPathValues(known[code].expression, known[code].type)
            root.actions.append(Action(code, values, ()))
            continue
        for branch in found:
            convert = value_converters.converter(known[code], branch)
            if convert is None:
                continue
            # A composite goes its way from the resource itself.
            steps = () if isinstance(convert, CompositeOf) else branch.steps
            node, count = root, 0
            # A filter or an index ends the shared part: `[0]` counts over whole arrays.
            while count < len(steps):
                step = steps[count]
                if not isinstance(step, Key):
                    break
                node = node.children.setdefault(step.name, Node())
                count += 1
            action = Action(code, convert, steps[count:])
            if action not in node.actions:
                node.actions.append(action)
    return root
