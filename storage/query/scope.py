"""Where a search looks: one type, several, or a compartment.

https://hl7.org/fhir/R4/search.html#searchcontexts, https://hl7.org/fhir/R4/http.html#vsearch
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from schemas.compartments import COMPARTMENTS, ITSELF
from schemas.ids import is_id
from schemas.outcomes import error
from schemas.structure import RESOURCE_TYPES
from storage.query.tree import InCompartment


@dataclass(frozen=True, slots=True)
class Scope:
    """The types that are searched (none: all that the compartment, or the lake, has).

    `compartment`: type and id of the resource whose compartment is searched.
    """

    types: tuple[str, ...] = ()
    compartment: tuple[str, str] | None = None

    def texts(self) -> list[str]:
        """The scope as a part of a cursor's question."""
        return [",".join(sorted(self.types)), "/".join(self.compartment or ())]

    def checked(self) -> Scope:
        """The same, its types known and each once. Raises FhirError."""
        for one in self.types:
            if one not in RESOURCE_TYPES:
                raise error("unknown-type", f"{one[:64]!r} is not a resource type of FHIR R4.")
        if self.compartment is not None:
            kind, id = self.compartment
            if kind not in COMPARTMENTS:
                raise error(
                    "not-found",
                    f"{kind[:64]!r} has no compartment: those of R4 are "
                    f"{', '.join(sorted(COMPARTMENTS))}.",
                )
            if not is_id(id):
                raise error("value", "An id has 1 to 64 letters, digits, dots and dashes.")
            members = _members(kind)
            outside = [one for one in self.types if one not in members]
            if outside:
                raise error(
                    "not-supported",
                    f"{outside[0]} is never in a compartment of {kind}, by R4's definition.",
                )
        return Scope(tuple(dict.fromkeys(self.types)), self.compartment)

    def all_types(self, present: Sequence[str]) -> tuple[str, ...]:
        """The types to search, of a lake that has those `present`."""
        if self.types:
            return self.types
        wanted = _members(self.compartment[0]) if self.compartment else RESOURCE_TYPES
        return tuple(sorted(one for one in present if one in wanted))

    def within(self, types: Sequence[str]) -> list[InCompartment]:
        """The compartment as a node, for each of the types; none where there is none."""
        if self.compartment is None:
            return []
        kind, id = self.compartment
        found = []
        for one in types:
            params = COMPARTMENTS[kind].get(one, ())
            itself = ITSELF in params or one == kind
            found.append(InCompartment(kind, id, tuple(p for p in params if p != ITSELF), itself))
        return found


def _members(kind: str) -> frozenset[str]:
    return frozenset({*COMPARTMENTS[kind], kind})


def within_compartment(
    scope: Scope, params: Sequence[tuple[str, str]]
) -> tuple[Scope, list[tuple[str, str]]]:
    """A search of one type in a compartment as one with a parameter that says the same.

    For types that R4 puts into the compartment by one parameter.
    """
    assert scope.compartment is not None
    kind, id = scope.compartment
    (name,) = COMPARTMENTS[kind][scope.types[0]]
    return Scope(scope.types), [*params, (name, f"{kind}/{id}")]
