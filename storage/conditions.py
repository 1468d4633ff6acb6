"""What the condition of a conditional interaction matches, seen so that a commit can rely on it.

https://hl7.org/fhir/R4/http.html#cond-update. A condition is a search; see `recent_versions` for
how its answer is kept true until it is acted upon.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from schemas.ids import is_id
from schemas.outcomes import error
from schemas.search_params import search_params
from storage.packed_ids import pack
from storage.query.escapes import split, unescape
from storage.recent_versions import Guard
from storage.versions import Version

# They shape a result; a condition only says which resources are meant.
_SHAPES = frozenset({
    "_sort", "_count", "_total", "_include", "_revinclude", "_summary", "_elements", "_contained",
    "_containedType", "_cursor", "_offset", "_page", "_score", "at",
})  # fmt: skip

IDENTIFIER = "identifier"
"""What nearly all conditions are about; only versions that have its value concern these."""

# Modifiers that ask the resource itself.
_OF_ITSELF = frozenset({"", "exact", "contains", "missing"})


@dataclass(frozen=True, slots=True)
class Matches:
    """What a condition matched (`limit` versions at most), and the guard of that answer."""

    versions: list[Version]
    guard: Guard


def check_condition(params: Sequence[tuple[str, str]], place: str) -> None:
    """Raises FhirError `invalid` for no criteria at all, and for what is no criterion."""
    if not params:
        raise error("invalid", "There is no search parameter in the condition.", place)
    for name, _ in params:
        bare = name.partition(":")[0]
        if bare in _SHAPES:
            raise error("invalid", f"A condition has criteria only, not {bare}.", place)


def unsettled_guard(
    resource_type: str, type_number: int, params: Sequence[tuple[str, str]]
) -> Guard:
    """The guard of a condition, before it is known since when and for which resources."""
    known = search_params(resource_type)
    identifiers: frozenset[str] | None = None
    ids: frozenset[bytes | str] = frozenset()
    for name, value in params:
        bare, _, modifier = name.partition(":")
        if bare == "_lastUpdated":
            continue
        if bare == "_id" and not modifier:
            texts = split(value, ",")
            if all(is_id(text) for text in texts):
                ids, identifiers = frozenset(pack(text) for text in texts), frozenset()
            continue
        if bare not in known or "." in name or modifier not in _OF_ITSELF:
            # It may depend on other resources (a chain, a list, a value set).
            return Guard(None, 0, None)
        if bare == IDENTIFIER and not modifier and identifiers is None:
            identifiers = _identifiers(value)
    return Guard(type_number, 0, identifiers, ids)


def _identifiers(value: str) -> frozenset[str] | None:
    """The values of which a match has one; None where only a system is asked for."""
    found = frozenset(unescape(split(text, "|", 1)[-1]) for text in split(value, ","))
    return None if "" in found else found
