"""FHIRPath Patch: operations on the elements of a resource, carried by Parameters.

https://hl7.org/fhir/R4/fhirpatch.html. All operations are done, in their order, or none.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from schemas import element_edits as edits
from schemas.element_edits import Value
from schemas.fhirpath import Expression, FhirPathError, Node, compile_expression
from schemas.fhirpath.nodes import holder_of, resource_node
from schemas.outcomes import FhirError, error
from schemas.structure import TYPES

Resource = dict[str, Any]

MAX_OPERATIONS = 1_000
"""Operations of one patch; each may look at every element of the resource."""

_MAX_DEPTH = 20

# What each operation has besides `type` and `path`; all of it is needed.
_PARTS = {
    "add": frozenset({"name", "value"}),
    "insert": frozenset({"index", "value"}),
    "delete": frozenset(),
    "replace": frozenset({"value"}),
    "move": frozenset({"source", "destination"}),
}
_TEXTS = frozenset({"type", "path", "name"})
_NUMBERS = frozenset({"index", "source", "destination"})
_TEXT_KEYS = ("valueCode", "valueString")
_NUMBER_KEYS = ("valueInteger", "valueUnsignedInt", "valuePositiveInt")
_LAST_NAME = re.compile(r"(?P<of>.+)\.(?P<name>[A-Za-z][A-Za-z0-9]*)", re.DOTALL)


@dataclass(frozen=True)
class Operation:
    """One operation; `place` is that of its parameter."""

    kind: str
    path: Expression
    name: str
    value: Value
    index: int
    source: int
    destination: int
    place: str


def read_fhirpath_patch(parameters: Resource, place: str = "Parameters") -> list[Operation]:
    """The operations that Parameters carry. Raises FhirError `invalid`, naming which.

    What is neither known nor needed is refused too: it would be without effect.
    """
    given = parameters.get("parameter", [])
    if not isinstance(given, list):
        raise error("invalid", "parameter is an array.", f"{place}.parameter")
    if len(given) > MAX_OPERATIONS:
        text = f"A FHIRPath Patch has at most {MAX_OPERATIONS:,} operations here."
        raise error("too-large", text, f"{place}.parameter")
    return [_operation(one, f"{place}.parameter[{index}]") for index, one in enumerate(given)]


def _operation(parameter: Any, place: str) -> Operation:
    if not isinstance(parameter, dict) or parameter.get("name") != "operation":
        raise error("invalid", "Each parameter is an operation, by its name.", f"{place}.name")
    texts: dict[str, str] = {}
    numbers: dict[str, int] = {}
    value: Value | None = None
    for index, part in enumerate(_parts(parameter, place)):
        at = f"{place}.part[{index}]"
        name = part.get("name")
        if name in texts or name in numbers or (name == "value" and value is not None):
            raise error("invalid", f"{name} is given twice.", at)
        if name in _TEXTS:
            texts[name] = str(_simple(part, _TEXT_KEYS, str, at))
        elif name in _NUMBERS:
            numbers[name] = int(_simple(part, _NUMBER_KEYS, int, at))
        elif name == "value":
            value = _value(part, at, 0)
        else:
            raise error("invalid", f"An operation has no part {str(name)[:64]!r}.", at)
    kind = texts.get("type", "")
    if kind not in _PARTS:
        raise error("invalid", f"type is one of {', '.join(_PARTS)}.", place)
    have = (texts.keys() | numbers.keys() | ({"value"} if value is not None else set())) - {"type"}
    wanted = _PARTS[kind] | {"path"}
    if have != wanted:
        missing, surplus = ", ".join(sorted(wanted - have)), ", ".join(sorted(have - wanted))
        text = f"{kind} needs {missing}." if missing else f"{kind} does not take {surplus}."
        raise error("invalid", text, place)
    if any(number < 0 for number in numbers.values()):
        raise error("invalid", "An index is a whole number from 0 on.", place)
    try:
        path = compile_expression(texts["path"])
    except FhirPathError as failure:
        raise error("invalid", f"The path is no FHIRPath: {failure}", place) from None
    return Operation(
        kind,
        path,
        texts.get("name", ""),
        value or Value(),
        numbers.get("index", 0),
        numbers.get("source", 0),
        numbers.get("destination", 0),
        place,
    )


def _parts(parameter: Resource, place: str) -> list[Resource]:
    parts = parameter.get("part", [])
    if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
        raise error("invalid", "part is an array of objects.", f"{place}.part")
    return parts


def _simple(part: Resource, keys: Sequence[str], kind: type, place: str) -> Any:
    found = [part[key] for key in keys if key in part]
    if len(found) != 1 or type(found[0]) is not kind or len(part) != 2:
        raise error("invalid", f"{part['name']} has a {' or '.join(keys)}.", place)
    return found[0]


def _value(part: Resource, place: str, depth: int) -> Value:
    if depth > _MAX_DEPTH:
        raise error("invalid", f"Values are nested deeper than {_MAX_DEPTH} levels.", place)
    keys = set(part) - {"name"}
    if keys == {"resource"} and isinstance(part["resource"], dict):
        return Value(str(part["resource"].get("resourceType", "")), part["resource"])
    if keys == {"part"}:
        inner = _parts(part, place)
        if inner:
            return Value(
                parts=tuple(
                    (str(one.get("name")), _value(one, f"{place}.part[{index}]", depth + 1))
                    for index, one in enumerate(inner)
                )
            )
    names = TYPES["Parameters.parameter"].elements["value"].json_names
    chosen = {key.removeprefix("_") for key in keys}
    if len(chosen) == 1 and (key := chosen.pop()) in names:
        return Value(names[key], part.get(key), part.get(f"_{key}"))
    raise error("invalid", "A value is one value[x], a resource, or parts of an anonymous type.",
                place)  # fmt: skip


def apply_fhirpath_patch(resource: Resource, operations: Sequence[Operation]) -> Resource:
    """The resource after the operations. `resource` is changed: give one of your own.

    Raises FhirError `unprocessable` (422): a path that finds nothing, several elements, or none of
    the resource's; a value that cannot be there.
    """
    for operation in operations:
        try:
            _DO[operation.kind](resource, operation)
        except FhirPathError as failure:
            raise _refused(operation, f"The path cannot be evaluated: {failure}") from None
    return resource


def _elements(resource: Resource, operation: Operation) -> list[Node]:
    found = operation.path.items(resource)
    nodes = [item for item in found if isinstance(item, Node) and _root(item) is resource]
    if len(nodes) != len(found):
        raise _refused(operation, "The path gives what is no element of the resource.")
    return nodes


def _root(node: Node) -> Any:
    while node.parent is not None:
        node = node.parent
    return node.value


def _element(resource: Resource, operation: Operation) -> Node:
    nodes = _elements(resource, operation)
    if len(nodes) != 1:
        raise _refused(operation, f"The path must find one element; it finds {len(nodes)}.")
    return nodes[0]


def _inner(resource: Resource, operation: Operation) -> Node:
    """The element to replace or delete, which is not the resource itself."""
    node = _element(resource, operation)
    if node.parent is None:
        raise _refused(operation, "The whole resource is no element of it.")
    return node


def _add(resource: Resource, operation: Operation) -> None:
    node = _element(resource, operation)
    name = edits.element_name(node.type, operation.name, operation.place)
    edits.add(node, name, operation.value, operation.place)


def _delete(resource: Resource, operation: Operation) -> None:
    if _elements(resource, operation):
        edits.remove(_inner(resource, operation))


def _replace(resource: Resource, operation: Operation) -> None:
    edits.replace(_inner(resource, operation), operation.value, operation.place)


def _insert(resource: Resource, operation: Operation) -> None:
    nodes = _elements(resource, operation)
    if nodes:
        parent, key = _list_of(nodes, operation)
        length = _length(parent, key)
    else:
        parent, key, length = *_empty_list(resource, operation), 0
    if operation.index > length:
        raise _refused(operation, f"The list has {length} items; index is 0 to {length}.")
    name = edits.element_name(parent.type, key, operation.place)
    edits.add(parent, name, operation.value, operation.place, operation.index)


def _move(resource: Resource, operation: Operation) -> None:
    nodes = _elements(resource, operation)
    if not nodes:
        raise _refused(operation, "The path finds nothing to move.")
    parent, key = _list_of(nodes, operation)
    length = _length(parent, key)
    if max(operation.source, operation.destination) >= length:
        raise _refused(operation, f"The list has {length} items, from 0 to {length - 1}.")
    edits.move(parent, key, operation.source, operation.destination)


def _list_of(nodes: list[Node], operation: Operation) -> tuple[Node, str]:
    """The list that all of the nodes are in, as its holder and key."""
    first = nodes[0]
    parent = first.parent
    same = all(node.parent is parent and node.key == first.key for node in nodes)
    if parent is None or first.index < 0 or not same:
        raise _refused(operation, "The path must find the items of one list.")
    return parent, first.key


def _length(parent: Node, key: str) -> int:
    holder = holder_of(parent)
    return max(len(holder.get(one, ())) for one in (key, f"_{key}"))


def _empty_list(resource: Resource, operation: Operation) -> tuple[Node, str]:
    """Where a list that is not there yet belongs: the path is an element's, and a name."""
    parted = _LAST_NAME.fullmatch(operation.path.text)
    if parted is not None:
        above = compile_expression(parted["of"]).items(resource_node(resource))
        if len(above) == 1 and isinstance(above[0], Node) and _root(above[0]) is resource:
            name = edits.element_name(above[0].type, parted["name"], operation.place)
            if edits.repeats(above[0].type, name):
                return above[0], name
    raise _refused(operation, "The path finds no list to insert into.")


def _refused(operation: Operation, text: str) -> FhirError:
    return error("unprocessable", text, operation.place)


_DO = {
    "add": _add,
    "insert": _insert,
    "delete": _delete,
    "replace": _replace,
    "move": _move,
}
