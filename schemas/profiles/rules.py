"""What a profile demands of an element beyond R4, ready to be applied: `Rule`, `Slicing`.

A rule is there only where the profile says more than R4's own tables do; the rest of the tree is
left out, so that applying a profile costs as much as it adds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from schemas.places import Place


class Value(NamedTuple):
    """One value of an element: its JSON, the `_name` object of a primitive, its type, its place."""

    json: Any
    sibling: Any
    type_name: str
    place: Place

    @property
    def node(self) -> dict[str, Any]:
        """The object that has the value's own elements; empty for a bare primitive."""
        found = self.json if isinstance(self.json, dict) else self.sibling
        return found if isinstance(found, dict) else {}


@dataclass(frozen=True, slots=True)
class Binding:
    """A value set that codes have to be from. `value_sets` are all to be met; `required` or not."""

    required: bool
    value_set: str


@dataclass(frozen=True, slots=True)
class Constraint:
    """An invariant of the profile. `test` has a value, the resource it is in, the walk."""

    key: str
    severity: str
    human: str
    test: Callable[[Value, dict[str, Any], Any], bool]


@dataclass(frozen=True, slots=True)
class ValueRule:
    """A test of one value; `problem` completes a sentence that begins with the place."""

    test: Callable[[Any], bool]
    code: str
    problem: str


@dataclass(slots=True)
class Rule:
    """What is demanded of one element (or slice). `least`/`most` count its values; None: no limit.

    `keys` are its JSON keys, each with that of a primitive's `_name` object or None, and the type
    that it says. `types` are those allowed where they are fewer
    than R4's. `profiles` and `targets` are canonicals by type: of each, one has to be met by the
    value itself, or by what a reference leads to.
    """

    label: str
    name: str
    keys: tuple[tuple[str, str | None, str], ...]
    many: bool
    least: int = 0
    most: int | None = None
    types: frozenset[str] | None = None
    profiles: Mapping[str, tuple[str, ...]] | None = None
    targets: tuple[str, ...] = ()
    values: tuple[ValueRule, ...] = ()
    bindings: tuple[Binding, ...] = ()
    constraints: tuple[Constraint, ...] = ()
    children: tuple[Rule, ...] = ()
    slicing: Slicing | None = None
    same_as: Callable[[], Rule | None] | None = None  # contentReference


@dataclass(slots=True)
class Slice:
    """A named part of the values of an element: those for which all of `tests` hold."""

    name: str
    tests: tuple[SliceTest, ...]
    rule: Rule


@dataclass(slots=True)
class Slicing:
    """How the values of an element are told apart (R4 profiling.html#slicing)."""

    rules: str
    ordered: bool
    slices: tuple[Slice, ...]


# (validation going on, value) → whether the value is of the slice.
SliceTest = Callable[[Any, Value], bool]
