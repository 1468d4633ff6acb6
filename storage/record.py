"""All that the lake has about a patient or an encounter: its compartment, and what that refers to.

https://hl7.org/fhir/R4/patient-operation-everything.html,
https://hl7.org/fhir/R4/encounter-operation-everything.html
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from schemas.clinical_dates import cared_for_in
from schemas.compartments import COMPARTMENTS, ITSELF, PATIENT_PARAMS
from schemas.dates import MAX_US, MIN_US
from schemas.outcomes import FhirError, error
from schemas.structure import RESOURCE_TYPES
from storage.erase.references import Key, references
from storage.listing import Listing
from storage.versions import Version

if TYPE_CHECKING:
    from storage.lake_at import LakeAt

MAX_RESOURCES = 200_000
"""Resources in the record of one patient; who has more of them asks for a bulk export."""

_AT_ONCE = "1000"


@dataclass(frozen=True)
class Scope:
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


def listed(view: LakeAt, scope: Scope) -> Listing:
    """What is in a record. Raises FhirError: `not-found`, `deleted`, `too-large`."""
    focus = view.read(scope.compartment, scope.id)
    own = _own_patients(focus)
    members: dict[Key, bool] = {(scope.compartment, scope.id): _wanted(scope, focus)}
    referred: set[Key] = references(focus.body)
    for version in _compartment(view, scope):
        key = (version.resource_type, version.id)
        if key not in members:
            if len(members) >= MAX_RESOURCES:
                raise error(
                    "too-large",
                    f"This record has more than {MAX_RESOURCES:,} resources.",
                    scope.compartment,
                )
            members[key] = _wanted(scope, version)
            referred |= references(version.body)
    included, withheld = _supporting(view, scope, members, referred, own)
    chosen = [key for key, wanted in members.items() if wanted]
    first, rest = chosen[:1], sorted(chosen[1:])
    if first and first[0] != (scope.compartment, scope.id):
        first, rest = [], sorted(chosen)
    return Listing((*first, *rest, *sorted(included)), len(chosen), withheld)


def _compartment(view: LakeAt, scope: Scope) -> Iterator[Version]:
    """The versions of the compartment, type by type; one may come several times."""
    reference = f"{scope.compartment}/{scope.id}"
    for resource_type, params in COMPARTMENTS[scope.compartment].items():
        for param in params:
            if param == ITSELF:
                continue
            asked = [(param, reference), ("_count", _AT_ONCE), ("_total", "none")]
            cursor: str | None = None
            while True:
                more = [("_cursor", cursor)] if cursor else []
                page = view.search(resource_type, [*asked, *more], strict=True, audit_log=False)
                yield from page.versions
                cursor = page.next
                if cursor is None:
                    break


def _own_patients(focus: Version) -> frozenset[str]:
    """The patients whose record it is: of an encounter, its subject."""
    if focus.resource_type == "Patient":
        return frozenset({focus.id})
    return frozenset(id for kind, id in references(focus.body) if kind == "Patient")


def _supporting(
    view: LakeAt,
    scope: Scope,
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
            if _wanted(scope, version):
                found.append(key)
            if key[0] not in PATIENT_PARAMS:
                following |= {target for target in targets if target[0] not in PATIENT_PARAMS}
            if len(members) + len(found) > MAX_RESOURCES:
                raise error(
                    "too-large",
                    f"This record has more than {MAX_RESOURCES:,} resources.",
                    scope.compartment,
                )
        ahead = sorted(following - seen)
        seen |= following
    return found, withheld


def _current(view: LakeAt, key: Key) -> Version | None:
    """The resource; None for a deleted one, one that never was, and text that is no reference."""
    if key[0] not in RESOURCE_TYPES or key[0] == "AuditEvent":
        return None
    try:
        return view.read(*key)
    except FhirError as failure:
        if failure.category in ("not-found", "deleted"):
            return None
        raise


def _of_others(key: Key, targets: set[Key], own: frozenset[str]) -> bool:
    """Whether a resource is a patient, or refers to patients, and to none of the record's own."""
    patients = {id for kind, id in targets if kind == "Patient"}
    if key[0] == "Patient":
        return key[1] not in own
    return bool(patients) and not patients & own


def _wanted(scope: Scope, version: Version) -> bool:
    if scope.types and version.resource_type not in scope.types:
        return False
    if scope.since is not None and version.last_updated <= scope.since:
        return False
    if (scope.low_us, scope.high_us) == (MIN_US, MAX_US):
        return True
    return cared_for_in(version.resource(), scope.low_us, scope.high_us)
