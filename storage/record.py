"""All that the lake has about a patient or an encounter: its compartment, and what that refers to.

Provenances of what is in the compartment are included too, as R4 suggests.

https://hl7.org/fhir/R4/patient-operation-everything.html,
https://hl7.org/fhir/R4/encounter-operation-everything.html
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from schemas.clinical_dates import cared_for_in
from schemas.compartments import PATIENT_PARAMS
from schemas.dates import MAX_US, MIN_US
from schemas.outcomes import error
from schemas.structure import RESOURCE_TYPES
from storage.erase.references import Key, references
from storage.listing import Listing, all_pages
from storage.query.scope import Scope
from storage.reading import present
from storage.versions import Version

if TYPE_CHECKING:
    from storage.lake_at import LakeAt

MAX_RESOURCES = 200_000
"""Resources in the record of one patient; who has more of them asks for a bulk export."""


@dataclass(frozen=True)
class RecordOf:
    """Which part of a record: of a patient or an encounter (`compartment`), by its id.

    `types`: of these only (empty: of all). `since`: changed after this moment. `low_us`, `high_us`:
    with a date of care in this half-open interval; see `schemas.clinical_dates`.
    """

    compartment: str
    id: str
    types: frozenset[str] = frozenset()
    since: datetime | None = None
    low_us: int = MIN_US
    high_us: int = MAX_US

    def question(self) -> list[str]:
        """What a cursor must not be moved to."""
        since = self.since.isoformat() if self.since else ""
        bounds = [str(self.low_us), str(self.high_us), since]
        return ["record", self.compartment, self.id, *bounds, *sorted(self.types)]

    def listed(self, view: LakeAt) -> Listing:
        """What is in the record. Raises FhirError: `not-found`, `deleted`, `too-large`."""
        return listed(view, self)


def listed(view: LakeAt, asked: RecordOf) -> Listing:
    """What is in a record. Raises FhirError: `not-found`, `deleted`, `too-large`."""
    focus = view.read(asked.compartment, asked.id)
    own = _own_patients(focus)
    members: dict[Key, bool] = {(asked.compartment, asked.id): _wanted(asked, focus)}
    referred: set[Key] = references(focus.body)
    for version, is_member in _compartment(view, asked):
        key, targets = (version.resource_type, version.id), references(version.body)
        if not is_member:
            if not _of_others(key, targets, own):
                referred |= {key, *_shared(targets)}
        elif key not in members:
            if len(members) >= MAX_RESOURCES:
                raise error(
                    "too-large",
                    f"This record has more than {MAX_RESOURCES:,} resources.",
                    asked.compartment,
                )
            members[key] = _wanted(asked, version)
            referred |= targets
    included, withheld = _supporting(view, asked, members, referred, own)
    chosen = [key for key, wanted in members.items() if wanted]
    first, rest = chosen[:1], sorted(chosen[1:])
    if first and first[0] != (asked.compartment, asked.id):
        first, rest = [], sorted(chosen)
    return Listing((*first, *rest, *sorted(included)), len(chosen), withheld)


def _compartment(view: LakeAt, asked: RecordOf) -> Iterator[tuple[Version, bool]]:
    """What is in the compartment (True), and its Provenances (False), which no compartment has.

    A Provenance of several resources may come several times.
    """
    scope = Scope(compartment=(asked.compartment, asked.id))
    for page in all_pages(view, scope, [("_revinclude", "Provenance:target")]):
        yield from ((version, True) for version in page.versions)
        yield from ((version, False) for version in page.included)


def _own_patients(focus: Version) -> frozenset[str]:
    """The patients whose record it is: of an encounter, its subject."""
    if focus.resource_type == "Patient":
        return frozenset({focus.id})
    return frozenset(id for kind, id in references(focus.body) if kind == "Patient")


def _supporting(
    view: LakeAt,
    asked: RecordOf,
    members: dict[Key, bool],
    referred: set[Key],
    own: frozenset[str],
) -> tuple[list[Key], int]:
    """What the compartment refers to, and what that refers to, unless it is of other patients.

    Only what no Patient compartment has (practitioners, organizations, places, substances) is
    followed further.
    """
    found: list[Key] = []
    withheld = 0
    seen = set(members)
    ahead = sorted(referred - seen)
    seen |= referred
    while ahead:
        following: set[Key] = set()
        for key in ahead:
            version = _current(view, key)
            if version is None:
                continue
            targets = references(version.body)
            if _of_others(key, targets, own):
                withheld += 1
                continue
            if _wanted(asked, version):
                found.append(key)
            if key[0] not in PATIENT_PARAMS:
                following |= _shared(targets)
            if len(members) + len(found) > MAX_RESOURCES:
                raise error(
                    "too-large",
                    f"This record has more than {MAX_RESOURCES:,} resources.",
                    asked.compartment,
                )
        ahead = sorted(following - seen)
        seen |= following
    return found, withheld


def _shared(keys: set[Key]) -> set[Key]:
    """Those that no Patient compartment has: who and what records of many patients refer to."""
    return {key for key in keys if key[0] not in PATIENT_PARAMS}


def _current(view: LakeAt, key: Key) -> Version | None:
    """The resource; None for a deleted one, one that never was, and text that is no reference."""
    if key[0] not in RESOURCE_TYPES or key[0] == "AuditEvent":
        return None
    return present(view.read, *key)


def _of_others(key: Key, targets: set[Key], own: frozenset[str]) -> bool:
    """Whether a resource is a patient, or refers to patients, and to none of the record's own."""
    patients = {id for kind, id in targets if kind == "Patient"}
    if key[0] == "Patient":
        return key[1] not in own
    return bool(patients) and not patients & own


def _wanted(asked: RecordOf, version: Version) -> bool:
    if asked.types and version.resource_type not in asked.types:
        return False
    if asked.since is not None and version.last_updated <= asked.since:
        return False
    if (asked.low_us, asked.high_us) == (MIN_US, MAX_US):
        return True
    return cared_for_in(version.resource(), asked.low_us, asked.high_us)
