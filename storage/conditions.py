"""What the condition of a conditional interaction matches, seen so that a commit can rely on it.

https://hl7.org/fhir/R4/http.html#cond-update. A condition is a search; see `recent_versions` for
how its answer is kept true until it is acted upon.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from schemas.folding import normalized
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

# Of a string parameter: what is found begins with the words, is the words, or contains them.
_STRING_MODIFIERS = frozenset({"", "exact", "contains"})


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
    needles: tuple[bytes, ...] | None = None
    ids: frozenset[bytes | str] = frozenset()
    for name, value in params:
        bare, _, modifier = name.partition(":")
        found = known.get(bare)
        if bare == "_id" and not modifier:
            texts = split(value, ",")
            if all(is_id(text) for text in texts):
                ids, needles = frozenset(pack(text) for text in texts), ()
            continue
        if bare == "_lastUpdated":
            continue
        if found is None or "." in name or modifier not in ("", "exact", "contains", "missing"):
            # It may depend on other resources (a chain, a list, a value set).
            return Guard(None, 0, None)
        if needles is None and found.kind in ("token", "string"):
            needles = _needles(found.kind, modifier, value)
    return Guard(type_number, 0, needles, ids)


def _needles(kind: str, modifier: str, value: str) -> tuple[bytes, ...] | None:
    """Texts of which one is in the index rows of whatever matches; None when that is not sure."""
    if (kind == "token" and modifier) or modifier not in _STRING_MODIFIERS:
        return None
    found = []
    for text in split(value, ","):
        if kind == "token":
            text = unescape(split(text, "|", 1)[-1])
        else:
            text = normalized(unescape(text))
        if not text or not text.isascii():
            return None
        found.append(text.lower().encode())
    return tuple(found)
