"""What one evaluation needs: where it stands, what it was given, and its limits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from schemas.fhirpath.errors import FhirPathError
from schemas.fhirpath.nodes import Node
from schemas.fhirpath.values import Items

MAX_ITEMS = 100_000
"""Items of one collection."""

MAX_STEPS = 1_000_000
"""Work of one evaluation: calls of functions, and items and characters that they look at; some
seconds at most."""


@dataclass(frozen=True)
class Environment:
    """What an expression may ask of the world outside the resource; each hook is optional.

    `resolve(reference)` gives the resource that a reference names, or None. `member_of(value,
    url)` says whether a code, Coding or CodeableConcept (as JSON) is in a value set, None when
    that cannot be told; `subsumes(a, b)` whether one Coding subsumes another; `conforms_to(
    resource, url)` whether a resource conforms to a profile; `trace(name, items)` takes what
    `trace()` logs, which goes nowhere else. `now` is the moment of the evaluation. With
    `references_have_types`, what `resolve` does not find is an empty resource of the type that the
    reference's text names.
    """

    resolve: Callable[[str], dict[str, Any] | None] | None = None
    member_of: Callable[[Any, str], bool | None] | None = None
    subsumes: Callable[[Any, Any], bool | None] | None = None
    conforms_to: Callable[[dict[str, Any], str], bool | None] | None = None
    trace: Callable[[str, Items], None] | None = None
    now: datetime | None = None
    references_have_types: bool = False


NOTHING = Environment()


class Run:
    """The state of one evaluation. `this` has the one item of `$this`; `variables` are those of
    the caller and of `defineVariable`."""

    __slots__ = (
        "context", "environment", "index", "moment", "resource", "root", "steps", "this", "total",
        "variables",
    )  # fmt: skip

    def __init__(
        self,
        context: Node | Any,
        resource: Node | None,
        root: Node | None,
        variables: Mapping[str, Any],
        environment: Environment,
    ) -> None:
        self.context = context
        self.resource = resource
        self.root = root
        self.variables = variables
        self.environment = environment
        self.this: Items = [] if context is None else [context]
        self.index: int | None = None
        self.total: Items = []
        self.moment: datetime | None = None
        self.steps = 0

    def now(self) -> datetime:
        """The same moment for the whole evaluation."""
        if self.moment is None:
            self.moment = self.environment.now or datetime.now(UTC)
        return self.moment

    def enter(self, items: int) -> tuple[Items, int | None, Mapping[str, Any]]:
        """Begins a loop over so many items; gives what `leave` puts back."""
        self.spend(items)
        return self.this, self.index, self.variables

    def leave(self, outer: tuple[Items, int | None, Mapping[str, Any]]) -> None:
        """Ends a loop: `$this`, `$index` and the variables are those outside it again."""
        self.this, self.index, self.variables = outer

    def spend(self, steps: int) -> None:
        """Counts the work. Raises FhirPathError of kind `limit` when it is too much."""
        self.steps += steps
        if self.steps > MAX_STEPS:
            raise FhirPathError(f"The evaluation takes more than {MAX_STEPS:,} steps.", "limit")


def checked(items: Items) -> Items:
    """The items. Raises FhirPathError of kind `limit` for more than `MAX_ITEMS`."""
    if len(items) > MAX_ITEMS:
        raise FhirPathError(f"A collection of more than {MAX_ITEMS:,} items.", "limit")
    return items


Step = Callable[[Run, Items], Items]
"""A compiled expression: from the evaluation's state and the items in focus to the result."""
