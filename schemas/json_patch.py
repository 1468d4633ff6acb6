"""JSON Patch: a list of operations on a JSON document (RFC 6902).

https://hl7.org/fhir/R4/http.html#patch. All operations are done, in their order, or none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from schemas.json_pointer import index_of, tokens_of
from schemas.outcomes import FhirError, error

MAX_OPERATIONS = 10_000
MAX_COPIED_BYTES = 67_108_864
"""How much the operations of one patch may put in, roughly: each `copy` could double a document."""

_NEEDS_VALUE = frozenset({"add", "replace", "test"})
_NEEDS_FROM = frozenset({"move", "copy"})
_OPERATIONS = _NEEDS_VALUE | _NEEDS_FROM | {"remove"}


@dataclass(frozen=True)
class Operation:
    """One operation; `source` is the pointer `from` of a move or copy, else empty."""

    kind: str
    path: tuple[str, ...]
    source: tuple[str, ...]
    value: Any
    place: str


def read_json_patch(document: Any, place: str = "patch") -> list[Operation]:
    """The operations of a parsed patch document. Raises FhirError `invalid`, naming which.

    `place` names the document in issues: `patch[2].path`.
    """
    if not isinstance(document, list):
        raise error("invalid", "A JSON Patch is an array of operations.", place)
    if len(document) > MAX_OPERATIONS:
        text = f"A JSON Patch has at most {MAX_OPERATIONS:,} operations here."
        raise error("too-large", text, place)
    return [_operation(one, f"{place}[{index}]") for index, one in enumerate(document)]


def _operation(given: Any, place: str) -> Operation:
    if not isinstance(given, dict):
        raise error("invalid", "An operation of a JSON Patch is an object.", place)
    kind = given.get("op")
    if not isinstance(kind, str) or kind not in _OPERATIONS:
        known = ", ".join(sorted(_OPERATIONS))
        raise error("invalid", f"op must be one of {known}.", f"{place}.op")
    if kind in _NEEDS_VALUE and "value" not in given:
        raise error("invalid", f"{kind} needs a value.", f"{place}.value")
    path = _pointer(given, "path", place)
    source = _pointer(given, "from", place) if kind in _NEEDS_FROM else ()
    if kind == "move" and source != path and path[: len(source)] == source:
        raise error("invalid", "A value cannot be moved into itself.", f"{place}.path")
    return Operation(kind, path, source, given.get("value"), place)


def _pointer(given: dict[str, Any], name: str, place: str) -> tuple[str, ...]:
    text = given.get(name)
    if not isinstance(text, str):
        raise error("invalid", f"{name} must be a JSON Pointer.", f"{place}.{name}")
    return tokens_of(text, f"{place}.{name}")


def apply_json_patch(document: Any, operations: Sequence[Operation]) -> Any:
    """The document after the operations. `document` may be changed: give one of your own.

    Raises FhirError `unprocessable` (422): a place that is not there, a `test` that fails;
    `too-large` when the copies get too many.
    """
    run = _Run(document)
    for operation in operations:
        run.do(operation)
    return run.document


class _Run:
    """The document between two operations."""

    def __init__(self, document: Any) -> None:
        self.document = document
        self._budget = MAX_COPIED_BYTES

    def do(self, operation: Operation) -> None:
        kind, path, place = operation.kind, operation.path, operation.place
        if kind == "add":
            self._add(path, self._copy(operation.value, place), place)
        elif kind == "remove":
            self._remove(path, f"{place}.path")
        elif kind == "replace":
            self._replace(path, self._copy(operation.value, place), place)
        elif kind == "move":
            value = self._get(operation.source, f"{place}.from")
            if operation.source != path:
                self._remove(operation.source, f"{place}.from")
                self._add(path, value, place)
        elif kind == "copy":
            value = self._get(operation.source, f"{place}.from")
            self._add(path, self._copy(value, place), place)
        elif not same_json(self._get(path, f"{place}.path"), operation.value):
            raise error("unprocessable", "The test fails: another value is there.", f"{place}.path")

    def _get(self, path: Sequence[str], place: str) -> Any:
        node = self.document
        for token in path:
            if type(node) is dict and token in node:
                node = node[token]
                continue
            index = index_of(token) if type(node) is list else None
            if index is None or index >= len(node):
                raise _missing(place)
            node = node[index]
        return node

    def _add(self, path: Sequence[str], value: Any, place: str) -> None:
        if not path:
            self.document = value
            return
        place = f"{place}.path"
        parent, last = self._get(path[:-1], place), path[-1]
        if type(parent) is dict:
            parent[last] = value
            return
        if type(parent) is not list:
            raise _missing(place)
        index = len(parent) if last == "-" else index_of(last)
        if index is None or index > len(parent):
            raise _missing(place)
        parent.insert(index, value)

    def _remove(self, path: Sequence[str], place: str) -> None:
        if not path:
            raise error("unprocessable", "The whole resource cannot be removed.", place)
        self._get(path, place)
        parent, last = self._get(path[:-1], place), path[-1]
        if type(parent) is dict:
            del parent[last]
        else:
            del parent[int(last)]

    def _replace(self, path: Sequence[str], value: Any, place: str) -> None:
        self._get(path, f"{place}.path")
        if not path:
            self.document = value
            return
        parent, last = self._get(path[:-1], place), path[-1]
        if type(parent) is dict:
            parent[last] = value
        else:
            parent[int(last)] = value

    def _copy(self, value: Any, place: str) -> Any:
        """A value of its own: what is put in at two places must not change at both."""
        self._budget -= 8 + (len(value) if type(value) is str else 0)
        if self._budget < 0:
            text = f"The patch puts in more than {MAX_COPIED_BYTES:,} bytes."
            raise error("too-large", text, place)
        try:
            if type(value) is dict:
                self._budget -= sum(map(len, value))
                return {key: self._copy(one, place) for key, one in value.items()}
            if type(value) is list:
                return [self._copy(one, place) for one in value]
        except RecursionError:
            raise error("unprocessable", "The patch nests values too deeply.", place) from None
        return value


def same_json(one: Any, other: Any) -> bool:
    """Whether two JSON values are equal (RFC 6902 4.6): numbers by value, objects in any order."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, (int, Decimal)) and isinstance(other, (int, Decimal)):
        return one == other
    if type(one) is not type(other):
        return False
    if type(one) is dict:
        return one.keys() == other.keys() and all(same_json(v, other[k]) for k, v in one.items())
    if type(one) is list:
        return len(one) == len(other) and all(map(same_json, one, other))
    return bool(one == other)


def _missing(place: str) -> FhirError:
    return error("unprocessable", "The resource has nothing at this place.", place)
