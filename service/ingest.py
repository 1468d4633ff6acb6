"""The main path: bytes → parse → validate → commit. Read this first.

Every write, from REST, bundles, notes or bulk files, comes through `create`, `update`, `delete` or
`commit`; what they return is durable, indexed and visible to the next reader.
"""

from __future__ import annotations

import base64
import binascii
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from schemas.ids import is_id, new_id, parse_reference
from schemas.notes import note_text
from schemas.outcomes import FhirError, Issue, error
from schemas.parse import parse_resource
from schemas.summary import subset_issues
from schemas.validate import validate
from service.whole_number import whole_number
from storage.lake import Commit, Delete, Lake, Put, Version

Resource = dict[str, Any]
ReadBinary = Callable[[str], tuple[str, bytes]]


class Created(NamedTuple):
    """Outcome of a create: the version, and whether it is new (False: a conditional match).

    `issues`: what validation has to say of what was stored, see `Ingest.check`.
    """

    version: Version
    created: bool
    issues: Sequence[Issue] = ()


class Ingest:
    """Accepts resources into one lake."""

    def __init__(self, lake: Lake, *, max_note_bytes: int) -> None:
        """`max_note_bytes`: the largest text of one note that is accepted."""
        self.lake = lake
        self.max_note_bytes = max_note_bytes
        # Conditional writes look before they write; the lock makes both one step.
        self.conditional = threading.Lock()

    def check(self, resource: Resource, expected_type: str, prefix: str = "") -> list[Issue]:
        """Refuse (`unprocessable`, 422) a resource that is not valid at this datastore's level.

        Every write path calls it with what is about to be stored, after references to entries of
        the same Bundle were rewritten. `prefix`: where the resource stands
        (`Bundle.entry[3].resource.`), for the places in the issues.

        Returns what is to be said of the accepted resource: warnings, given back in an
        OperationOutcome. May change the resource (`meta.tag`): store it as it is afterwards.
        """
        issues = validate(resource, expected_type) or subset_issues(resource)
        if issues:
            raise FhirError("unprocessable", [relocated(i, prefix) for i in issues])
        return []

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

    def create(self, body: bytes, resource_type: str, *, if_none_exist: str = "") -> Created:
        """Store a new resource under a new id (R4 http.html#create).

        `if_none_exist`: search parameters of a conditional create; one match is returned instead.
        """
        resource = self.parse(body, resource_type)
        issues = self.check(resource, resource_type)
        self.check_note(resource)
        if not if_none_exist:
            return Created(self._put_new(resource), True, issues)
        with self.conditional:
            match = find_one(self.lake, resource_type, if_none_exist, "If-None-Exist")
            if match is not None:
                return Created(match, created=False)
            return Created(self._put_new(resource), True, issues)

    def update(self, body: bytes, resource_type: str, id: str, if_match: int | None) -> Created:
        """Store a new version under a known id, creating it where absent (R4 http.html#update)."""
        resource = self.parse(body, resource_type)
        if resource.get("id") is None:
            raise error(
                "required", "An update names the id of the resource.", f"{resource_type}.id"
            )
        if resource["id"] != id:
            raise error(
                "invalid", "The id in the body is not the id in the address.", f"{resource_type}.id"
            )
        if not is_id(id):
            raise error(
                "value",
                "An id has 1 to 64 letters, digits, dots and dashes.",
                f"{resource_type}.id",
            )
        issues = self.check(resource, resource_type)
        self.check_note(resource)
        version = self.lake.transact([Put(resource, if_match=if_match)]).versions[0]
        return Created(version, version.version_id == 1, issues)

    def delete(self, resource_type: str, id: str, if_match: int | None = None) -> Version | None:
        """Hide a resource; its history stays (R4 http.html#delete). None when it never existed."""
        try:
            return self.lake.transact([Delete(resource_type, id, if_match)]).versions[0]
        except FhirError as failure:
            if failure.category == "not-found":
                return None
            raise

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

        `pending`: resources of the same transaction, by (type, id). `prefix`: where the resource
        stands (`Bundle.entry[3].resource.`), for the places in the issues.
        """
        if resource["resourceType"] != "DocumentReference":
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
                "A conditional reference is resolved inside a transaction only; name the patient.",
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

    def _put_new(self, resource: Resource) -> Version:
        stored = {**resource, "id": new_id()}
        put = Put(stored, method="POST", must_not_exist=True)
        return self.lake.transact([put]).versions[0]


def find_one(lake: Lake, resource_type: str, query: str, where: str) -> Version | None:
    """The single match of a conditional interaction, or None (R4 http.html#ccreate).

    Raises `precondition` (412) when several match, `invalid` for an empty query.
    """
    params = parse_qsl(query.lstrip("?"), keep_blank_values=True)
    if not params:
        raise error("invalid", f"{where}: there is no search parameter in the condition.", where)
    page = lake.search(resource_type, [*params, ("_count", "2")], strict=True)
    if len(page.versions) > 1:
        raise error("precondition", f"{where}: the condition matches several resources.", where)
    return page.versions[0] if page.versions else None


def parse_if_match(header: str | None, place: str = "If-Match") -> int | None:
    """Version number of an `If-Match: W/"3"` header. Raises `invalid` when malformed."""
    if not header:
        return None
    number = whole_number(header.strip().removeprefix("W/").strip('"'))
    if number is None:
        raise error("invalid", 'It must look like W/"3".', place)
    return number


def relocated(issue: Issue, prefix: str) -> Issue:
    """An issue of a resource that stands at `prefix` of a Bundle, its places told from there."""
    if not prefix:
        return issue
    places = tuple(
        place if place.startswith("Bundle.") else prefix + place.partition(".")[2]
        for place in issue.expression
    )
    return replace(issue, expression=places)
