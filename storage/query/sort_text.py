"""`_sort`: the keys of an order, from their text (https://hl7.org/fhir/R4/search.html#sort)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from schemas.outcomes import error
from storage.query.criterion import ID, LAST_UPDATED, Known, require_ready
from storage.query.limits import SearchLimits, beyond

_SORTED_KINDS = frozenset({"date", "string", "number", "quantity", "token", "reference", "uri"})


@dataclass(frozen=True, slots=True)
class SortKey:
    """One key of `_sort`: a parameter, its kind as in `Criterion`, and its direction."""

    param: str
    kind: str
    descending: bool


def sort_keys(
    types: Sequence[str], text: str | None, known: Known, limits: SearchLimits
) -> tuple[SortKey, ...]:
    """The keys that a text names. Raises FhirError `not-supported` for what cannot be sorted by."""
    if text is None:
        return ()
    names = text.split(",")
    if len(names) > limits.max_sort_keys:
        raise beyond("_sort", "has too many keys", limits.max_sort_keys, "search_max_sort_keys")
    return tuple(_key(types, one, known) for one in names)


def _key(types: Sequence[str], text: str, known: Known) -> SortKey:
    descending = text.startswith("-")
    name = text.removeprefix("-")
    if name in (ID, LAST_UPDATED):
        return SortKey(name, name, descending)
    kinds = set()
    for resource_type in types:
        found = known(resource_type).get(name)
        if found is None or found.indexed_as:
            kinds.add("")
            continue
        require_ready("_sort", found)
        kinds.add(found.kind)
    if len(kinds) != 1 or not kinds <= _SORTED_KINDS:
        whose = types[0] if len(types) == 1 else "several types"
        raise error(
            "not-supported",
            f"Sorting {whose} by {name[:64]!r} is not supported: _sort takes _id, _lastUpdated "
            "and search parameters (of the same kind in all types), but for composites and what "
            "combines others.",
            "_sort",
        )
    return SortKey(name, kinds.pop(), descending)
