"""What becomes of the bodies of a batch: prepared, refused, or left to the ordinary way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from schemas.ids import is_id
from schemas.outcomes import FhirError, Issue
from schemas.parse import canonical_bytes, read_resource
from schemas.validation_mark import is_marked
from storage.bulk.prepared import PreparedSegment
from storage.bulk.preparing import MAX_BYTES, MAX_ROWS, Accepted, prepare_segment
from storage.index import DirectRows

ORDINARY_TYPES = frozenset({
    # Others are validated, searched or read by them, so they are stored one after another.
    "StructureDefinition", "SearchParameter", "ValueSet", "CodeSystem", "ConceptMap",
    "NamingSystem", "CompartmentDefinition", "OperationDefinition", "ImplementationGuide",
    # Their text is read, and their patient looked for, before they are stored.
    "DocumentReference",
    # The lake's own are looked for, and Bundles opened.
    "AuditEvent", "Bundle",
})  # fmt: skip
"""Types that the fast way leaves to the ordinary one."""

LEAST_ROWS = 256
"""Fewer resources of a type than this make no segment of their own, unless they are large."""
LEAST_BYTES = 2 * 2**20

Check = Callable[[dict[str, Any], str], list[Issue]]
"""As `Ingest.check`: raises FhirError, or gives what is to be said of the accepted resource."""


@dataclass(slots=True)
class Checked:
    """The bodies of a batch by their number: `refused` with the failure, `left` to the ordinary
    way; all others are in `segments`."""

    refused: dict[int, FhirError] = field(default_factory=dict)
    left: list[int] = field(default_factory=list)
    segments: list[PreparedSegment] = field(default_factory=list)


@dataclass(slots=True)
class _OfType:
    accepted: list[Accepted] = field(default_factory=list)
    ids: set[str] = field(default_factory=set)
    bytes: int = 0

    @property
    def is_full(self) -> bool:
        return len(self.accepted) >= MAX_ROWS or self.bytes >= MAX_BYTES

    @property
    def is_worth_a_segment(self) -> bool:
        return len(self.accepted) >= LEAST_ROWS or self.bytes >= LEAST_BYTES


def accept(bodies: Sequence[bytes], check: Check, rows: DirectRows, definitions: int) -> Checked:
    """Parse, check and prepare the bodies of a batch.

    `definitions`: by which search parameters `rows` makes rows. A resource without an id is left
    to the ordinary way, as is any but the first with the same id, and what was marked as invalid.
    """
    checked = Checked()
    types: dict[str, _OfType] = {}
    for place, body in enumerate(bodies):
        try:
            resource, encoded = read_resource(body)
            kind = resource["resourceType"]
            if kind in ORDINARY_TYPES:
                checked.left.append(place)
                continue
            tagged = "tag" in resource.get("meta", ())
            check(resource, kind)
        except FhirError as failure:
            checked.refused[place] = failure
            continue
        id = resource.get("id")
        of_type = types.get(kind)
        if of_type is None:
            of_type = types[kind] = _OfType()
        if not isinstance(id, str) or not is_id(id) or id in of_type.ids or of_type.is_full:
            checked.left.append(place)
            continue
        if tagged or "tag" in resource.get("meta", ()):
            # The check may have marked it as invalid, or unmarked it.
            if is_marked(resource):
                checked.left.append(place)
                continue
            encoded = canonical_bytes(resource)
        of_type.ids.add(id)
        of_type.bytes += len(encoded)
        of_type.accepted.append(Accepted(resource, encoded, place))
    for kind, of_type in types.items():
        if of_type.is_worth_a_segment:
            checked.segments.append(prepare_segment(kind, of_type.accepted, rows, definitions))
        else:
            checked.left += [one.place for one in of_type.accepted]
    checked.left.sort()
    return checked
