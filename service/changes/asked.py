"""An interaction that changes a resource: as it was asked, and what became of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from schemas.ids import is_id
from schemas.outcomes import FhirError, Issue, error
from service.changes.patch_document import Patch
from service.representation import REPRESENTATION_PARAMETERS
from service.whole_number import whole_number
from storage.lake import ANY_VERSION, Version

Resource = dict[str, Any]
Params = tuple[tuple[str, str], ...]


class Places(NamedTuple):
    """How the parts of a request are named in issues; `entry` is empty outside of Bundles.

    `if_none_exist`: the condition stands in that header or element, and not in the address.
    """

    entry: str = ""
    if_none_exist: bool = False

    @property
    def prefix(self) -> str:
        """What stands before the elements of the resource, in the place of its type."""
        return f"{self.entry}.resource." if self.entry else ""

    @property
    def url(self) -> str:
        """The address."""
        return f"{self.entry}.request.url" if self.entry else "url"

    @property
    def condition(self) -> str:
        """The condition."""
        return self._named("If-None-Exist", "ifNoneExist") if self.if_none_exist else self.url

    @property
    def if_match(self) -> str:
        """The version that must be current."""
        return self._named("If-Match", "ifMatch")

    @property
    def if_none_match(self) -> str:
        """That there must be no current version."""
        return self._named("If-None-Match", "ifNoneMatch")

    def _named(self, header: str, element: str) -> str:
        return f"{self.entry}.request.{element}" if self.entry else header


OUTSIDE = Places()
"""Of a request that is in no Bundle."""


class Change(NamedTuple):
    """One create, update, patch or delete.

    `method` is its HTTP verb. `id` is empty where a `condition` (the parameters of a search) says
    which resource is meant, and for a create, whose condition is that nothing matches. `if_match`
    is a version or `ANY_VERSION`; `if_none_match`: only if there is no current version. `base` is
    the FHIR base URL at which it was asked: references below it are to what is here.
    """

    method: str
    resource_type: str
    id: str = ""
    resource: Resource | None = None
    patch: Patch | None = None
    condition: Params | None = None
    if_match: int | None = None
    if_none_match: bool = False
    full_url: str | None = None
    places: Places = OUTSIDE
    base: str = ""


class Done(NamedTuple):
    """What became of a change: the version stored, deleted or matched (None: there is none).

    `status`: 201 created, 200, or 204 deleted; `issues`: what the client should know of it.
    `deleted`: how many resources a delete has hidden. `advice`: what validation has to say of what
    is valid, for who asks (`Prefer: return=OperationOutcome`).
    """

    version: Version | None
    status: int
    issues: Sequence[Issue] = ()
    deleted: int = 0
    advice: Sequence[Issue] = ()

    @property
    def stored(self) -> Version:
        """The version, of a change that always leaves one (create, update, patch)."""
        assert self.version is not None
        return self.version


def condition_of(query: str, place: str) -> Params:
    """The parameters of a conditional interaction's search. Raises FhirError `invalid`."""
    given = parse_qsl(query.lstrip("?"), keep_blank_values=True)
    params = [(name, value) for name, value in given if name not in REPRESENTATION_PARAMETERS]
    if not params:
        raise error("invalid", "There is no search parameter in the condition.", place)
    return tuple(params)


def check_update_id(resource: Resource, id: str, prefix: str = "") -> None:
    """Raises FhirError unless the body of an update has the id of its address."""
    place = f"{prefix or resource['resourceType'] + '.'}id"
    if resource.get("id") is None:
        raise error("required", "An update names the id of the resource.", place)
    if resource["id"] != id:
        raise error("invalid", "The id in the body is not the id in the address.", place)
    if not is_id(id):
        raise error("value", "An id has 1 to 64 letters, digits, dots and dashes.", place)


def parse_if_match(header: str | None, place: str = "If-Match") -> int | None:
    """The version of `If-Match: W/"3"`, `ANY_VERSION` for `*`. Raises `invalid` when malformed."""
    if not header:
        return None
    text = header.strip()
    if text == "*":
        return ANY_VERSION
    number = whole_number(text.removeprefix("W/").strip('"'))
    if number is None:
        raise error("invalid", 'It must look like W/"3": one version of this server.', place)
    return number


def parse_if_none_match(header: str | None, place: str = "If-None-Match") -> bool:
    """Whether `If-None-Match: *` is said. Raises `not-supported` for a version on a change."""
    if not header:
        return False
    if header.strip() != "*":
        raise error("not-supported", "With a change it can only be *: create, never update.", place)
    return True


def relocated(issue: Issue, prefix: str) -> Issue:
    """An issue of a resource that stands at `prefix` of a Bundle, its places told from there."""
    if not prefix:
        return issue
    places = tuple(
        place if place.startswith("Bundle.") else prefix + place.partition(".")[2]
        for place in issue.expression
    )
    return replace(issue, expression=places)


def located(failure: FhirError, place: str) -> FhirError:
    """The failure, its issues placed at one place."""
    issues = [Issue(i.severity, i.code, i.diagnostics, (place,)) for i in failure.issues]
    return FhirError(failure.category, issues)
