"""The values of composite parameters: those of their components, within one repetition.

https://hl7.org/fhir/R4/search.html#composite
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from schemas.element_path import Branch, Key
from schemas.index_values import (
    CompositeValue,
    DateValue,
    IndexValue,
    NumberValue,
    QuantityValue,
    ReferenceValue,
    StringValue,
    TokenValue,
    UriValue,
)

UCUM_SUFFIX = ":ucum"
"""After a quantity parameter: its amounts in the base units of UCUM."""

_CLASSES: dict[str, type[IndexValue]] = {
    one.type: one
    for one in (
        DateValue,
        NumberValue,
        QuantityValue,
        ReferenceValue,
        StringValue,
        TokenValue,
        UriValue,
    )
}

Out = list[IndexValue]
Convert = Callable[[str, Any, Out], None]


@dataclass(frozen=True)
class Part:
    """How the values of one component are found in a repetition (or in the resource)."""

    type: str
    of_resource: bool
    branches: tuple[tuple[Branch, Convert], ...]

    @property
    def keys(self) -> frozenset[str] | None:
        """The JSON keys of the repetition without all of which there is no value; None: unknown."""
        found: set[str] = set()
        for branch, _ in self.branches:
            first = branch.steps[0] if branch.steps else None
            if self.of_resource or not isinstance(first, Key):
                return None
            found.add(first.name)
        return frozenset(found)


@dataclass(frozen=True)
class CompositeOf:
    """Converts a resource to the values of a composite; a repetition that lacks one has none."""

    root: Branch
    parts: tuple[Part, ...]
    needed: tuple[frozenset[str], ...]

    def __call__(self, param: str, resource: Any, out: Out) -> None:
        for item in self.root([resource]):
            if type(item) is dict and all(any(key in item for key in keys) for keys in self.needed):
                self._add(param, resource, item, out)

    def _add(self, param: str, resource: Any, item: Any, out: Out) -> None:
        found: list[Sequence[IndexValue]] = []
        for part in self.parts:
            values: Out = []
            start = [resource if part.of_resource else item]
            for branch, convert in part.branches:
                for one in branch(start):
                    convert("", one, values)
            wanted = _CLASSES[part.type]
            mine = [one for one in values if type(one) is wanted and one.param in ("", UCUM_SUFFIX)]
            if not mine:
                return
            found.append(mine)
        for combined in itertools.product(*found):
            suffix = UCUM_SUFFIX if any(one.param for one in combined) else ""
            out.append(CompositeValue(param + suffix, combined))


def composite_of(root: Branch, parts: Sequence[Part]) -> CompositeOf:
    """The converter of a composite whose repetitions `root` finds."""
    keys = [part.keys for part in parts]
    # The last component is the one that is most often missing.
    needed = tuple(one for one in reversed(keys) if one is not None)
    return CompositeOf(root, tuple(parts), needed)
