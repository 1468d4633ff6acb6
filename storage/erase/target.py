"""What an erase was asked for, and which resources go with it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from schemas.codes import is_nlp_derived
from schemas.ids import parse_reference
from schemas.parse import parse_resource
from storage.audit_record import Entity
from storage.erase.ownership import OWN, SHARED, relation
from storage.erase.references import Key, needle, references, shown

ERASE, PURGE = "erase", "purge"
KINDS = (ERASE, PURGE)

# Events that the note reader leaves of a note that it could not read; see service.derived_facts.
_NLP_FAILURE = "nlp-failure-"


@dataclass(frozen=True)
class Target:
    """`keys` are named one by one (`erase`); or all of `patient`'s record (`purge`).

    `keep_derived`: leave what the NLP read in an erased note. `shared`: also erase what is another
    patient's record as well, see `storage.erase.ownership`.
    """

    kind: str
    keys: frozenset[Key]
    patient: str | None = None
    keep_derived: bool = False
    shared: bool = False

    @classmethod
    def from_request(cls, kind: str, request: dict[str, Any]) -> Target:
        """The target of a job's request."""
        keys = frozenset(_key(text) for text in request["resources"])
        patient = next(iter(keys))[1] if kind == PURGE else None
        return cls(kind, keys, patient, bool(request["keep_derived"]), bool(request["shared"]))

    def request(self, reason: str, agent: str) -> dict[str, Any]:
        """The request of a job: references, options, the reason and who asks."""
        return {
            "resources": sorted(shown(key) for key in self.keys),
            "keep_derived": self.keep_derived,
            "shared": self.shared,
            "reason": reason,
            "agent": agent,
        }

    def named(self) -> tuple[list[Entity], list[str]]:
        """What was named, for the audit log: resources, and the patient of a purge."""
        entities = [Entity(resource_type, id, 0, "D") for resource_type, id in sorted(self.keys)]
        return entities, [self.patient] if self.patient is not None else []

    @property
    def needle(self) -> bytes | None:
        """Bytes in every body that is of the patient's record but the Patient; None for `erase`."""
        return None if self.patient is None else needle(("Patient", self.patient))

    def of_patient(self, body: bytes) -> str | None:
        """Whether one version is of the patient's record: `OWN`, `SHARED` or None."""
        if self.patient is None:
            return None
        resource = parse_resource(body)
        if resource["resourceType"] == "Provenance":
            return None  # Goes by all of its targets, see `follows`.
        found = relation(resource, self.patient)
        return OWN if found == SHARED and self.shared and _may_share(resource) else found

    def follows(self, key: Key, body: bytes, selected: Collection[Key]) -> bool:
        """Whether a version goes with what is selected, being about nothing else.

        That is a Provenance all of whose targets are selected, what the NLP read in a selected
        note, and its record of a note that it could not read.
        """
        if key[0] == "AuditEvent" and key[1].startswith(_NLP_FAILURE):
            return references(body) <= set(selected)
        derived = b"nlp-derived" in body and not self.keep_derived
        if key[0] != "Provenance" and not derived:
            return False
        resource = parse_resource(body)
        if derived and is_nlp_derived(resource):
            source = resource["meta"].get("source")
            return isinstance(source, str) and _local(source) in selected
        targets = [_local(str(target.get("reference"))) for target in resource.get("target", [])]
        return (
            key[0] == "Provenance"
            and not is_nlp_derived(resource)
            and bool(targets)
            and all(target in selected for target in targets)
        )


def binaries(body: bytes) -> set[Key]:
    """Binary resources that a body refers to."""
    return {key for key in references(body) if key[0] == "Binary"} if b'"Binary/' in body else set()


def _may_share(resource: dict[str, Any]) -> bool:
    """Another person's own Patient is never part of someone's record."""
    return resource["resourceType"] != "Patient"


def _local(reference: str) -> Key | None:
    parsed = parse_reference(reference)
    if parsed.kind != "relative" or parsed.resource_type is None or parsed.id is None:
        return None
    return parsed.resource_type, parsed.id


def _key(text: str) -> Key:
    resource_type, _, id = text.partition("/")
    return resource_type, id
