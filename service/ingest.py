"""The main path: bytes → parse → validate → commit. Read this first.

Every write, from REST, bundles, notes or bulk files, comes through `service.changes.store` or
`Ingest.commit`; what they return is durable and visible to the next reader.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

from schemas.ids import parse_reference
from schemas.notes import note_text
from schemas.outcomes import FhirError, Issue, error
from schemas.parse import parse_resource
from schemas.summary import subset_issues
from schemas.validation_mark import is_marked
from service.changes.asked import Change, Done, relocated
from service.changes.policy import Policy
from service.changes.store import store
from service.settings import Settings
from service.validation import Validation
from storage.lake import Commit, Delete, Lake, Put

Resource = dict[str, Any]
ReadBinary = Callable[[str], tuple[str, bytes]]


class Ingest:
    """Accepts resources into one lake."""

    def __init__(
        self,
        lake: Lake,
        *,
        max_note_bytes: int,
        policy: Policy | None = None,
        validation: Validation | None = None,
    ) -> None:
        """`max_note_bytes`: the largest text of one note that is accepted.

        `validation`: how closely resources are looked at; by default at the level `strict`.
        """
        self.lake = lake
        self.validation = validation or Validation(lake)
        self.max_note_bytes = max_note_bytes
        self.policy = policy or Policy()

    @classmethod
    def of(cls, lake: Lake, settings: Settings) -> Self:
        """The main path of a lake, as the settings of its datastore have it."""
        return cls(
            lake,
            max_note_bytes=settings.max_note_bytes,
            policy=Policy.of(settings),
            validation=Validation.of(lake, settings),
        )

    def check(self, resource: Resource, expected_type: str, prefix: str = "") -> list[Issue]:
        """Refuse (`unprocessable`, 422) a resource that is not valid at this datastore's level.

        Every write path calls it with what is about to be stored, after references to entries of
        the same Bundle were rewritten. `prefix`: where the resource stands
        (`Bundle.entry[3].resource.`), for the places in the issues.

        Returns what is to be said of the accepted resource: warnings, given back in an
        OperationOutcome. May change the resource (`meta.tag`): store it as it is afterwards.
        """
        try:
            issues = self.validation.check(resource, expected_type)
            if cut := subset_issues(resource):
                raise FhirError("unprocessable", cut)
        except FhirError as failure:
            issues = [relocated(issue, prefix) for issue in failure.issues]
            raise FhirError(failure.category, issues) from None
        return [relocated(issue, prefix) for issue in issues] if issues else issues

    def parse(self, body: bytes, expected_type: str) -> Resource:
        """A resource of the expected type from bytes, not validated. Raises `FhirError`."""
        resource = parse_resource(body)
        if resource["resourceType"] != expected_type:
            raise error(
                "invalid",
                f"The body is a {resource['resourceType']}, the address is for {expected_type}.",
                f"{resource['resourceType']}",
            )
        return resource

    def create(self, resource: Resource) -> Done:
        """Store a new resource under a new id (R4 http.html#create)."""
        return self.change(Change("POST", resource["resourceType"], resource=resource))

    def change(self, change: Change) -> Done:
        """Do one create, update, patch or delete, see `service.changes`. Raises FhirError."""
        return store(self, [change])[0]

    def commit(self, operations: Sequence[Put | Delete]) -> Commit:
        """All operations in one commit, or none."""
        return self.lake.transact(operations)

    def check_note(
        self,
        resource: Resource,
        pending: Mapping[tuple[str, str], Resource] | None = None,
        prefix: str = "",
    ) -> None:
        """Refuse a DocumentReference whose text cannot be read or whose patient is not known.

        One that was accepted although it is not valid (level `minimal`) is not looked at.

        `pending`: resources of the same transaction, by (type, id). `prefix`: where the resource
        stands (`Bundle.entry[3].resource.`), for the places in the issues.
        """
        if resource["resourceType"] != "DocumentReference" or is_marked(resource):
            return
        pending = pending or {}
        try:
            self._check_subject(resource, pending)
            note_text(resource, self.binary_reader(pending), max_bytes=self.max_note_bytes)
        except FhirError as failure:
            if not prefix:
                raise
            raise FhirError(
                failure.category, [relocated(i, prefix) for i in failure.issues]
            ) from None

    def binary_reader(
        self, pending: Mapping[tuple[str, str], Resource] | None = None
    ) -> ReadBinary:
        """A reader of `Binary` content by id, from `pending` first, then from the lake."""

        def read_binary(id: str) -> tuple[str, bytes]:
            resource = (pending or {}).get(("Binary", id))
            if resource is None:
                resource = self.lake.read("Binary", id).resource()
            try:
                data = base64.b64decode(resource.get("data", ""), validate=False)
            except binascii.Error:
                raise error("value", "Binary.data is not base64.", "Binary.data") from None
            return resource.get("contentType", ""), data

        return read_binary

    def _check_subject(self, note: Resource, pending: Mapping[tuple[str, str], Resource]) -> None:
        text = note.get("subject", {}).get("reference")
        if text is None:
            return
        reference = parse_reference(text)
        if reference.kind == "conditional":
            raise error(
                "value",
                "A conditional reference is not resolved here; name the patient.",
                "DocumentReference.subject",
            )
        if reference.kind != "relative" or reference.resource_type != "Patient":
            return
        if ("Patient", reference.id) in pending:
            return
        self.require(f"Patient/{reference.id}", "DocumentReference.subject")

    def require(self, reference: str, expression: str) -> None:
        """Raise `business-rule` (422) naming `expression` unless `Type/id` is in the lake."""
        resource_type, _, id = reference.partition("/")
        try:
            self.lake.read(resource_type, id)
        except FhirError:
            raise error(
                "business-rule",
                f"{reference} is not in the lake: store it before the note.",
                expression,
            ) from None
