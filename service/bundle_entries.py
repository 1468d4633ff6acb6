"""Entries of batch and transaction Bundles: the request read, the response written.

R4 bundle.html#batch, http.html#transaction.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from schemas.ids import format_instant, is_id
from schemas.outcomes import FhirError, Issue, error, operation_outcome
from schemas.parse import parse_json
from schemas.structure import RESOURCE_TYPES
from schemas.validate import validate
from service.as_of import parse_at, view_at
from service.errors import status_of
from service.ingest import parse_if_match
from service.responses import etag
from service.searchset import searchset
from service.whole_number import whole_number
from storage.lake import Lake, Version

Resource = dict[str, Any]

METHODS = ("DELETE", "POST", "PUT", "GET")


@dataclass(frozen=True)
class Entry:
    """One entry of the Bundle: what is asked, and where it stands."""

    index: int
    method: str
    resource_type: str
    id: str
    query: str
    resource: Resource | None
    full_url: str | None
    if_match: int | None
    if_none_exist: str

    @property
    def place(self) -> str:
        """FHIRPath of the entry."""
        return f"Bundle.entry[{self.index}]"


@dataclass(frozen=True)
class Outcome:
    """What became of an entry: a stored version, or one that was there already."""

    version: Version | None
    status: str
    resource: dict[str, Any] | None = None  # what a GET asked for
    outcome: dict[str, Any] | None = None  # what the client should know


def check_envelope(bundle: Resource) -> list[Resource]:
    """The entries of a Bundle that is valid but for the resources in it, which are not looked at.

    Raises FhirError (`structure`): it cannot be processed at all.
    """
    entries = bundle.get("entry", [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        issues = validate(bundle, "Bundle")
        if not issues:
            raise error("structure", "Bundle.entry is a list of objects.", "Bundle.entry")
        raise FhirError("structure", issues)
    envelope = [{key: entry[key] for key in entry if key != "resource"} for entry in entries]
    filled = [item or {"fullUrl": "urn:none"} for item in envelope]
    issues = validate({**bundle, **({"entry": filled} if entries else {})}, "Bundle")
    if issues:
        raise FhirError("structure", issues)
    return entries


def read_entry(index: int, entry: Resource) -> Entry:
    """Check one Bundle entry's request and take it apart. Raises `FhirError` naming its place."""
    place = f"Bundle.entry[{index}]"
    asked = entry.get("request")
    if not isinstance(asked, dict):
        raise error("required", "Every entry has a request.", f"{place}.request")
    method, url = asked.get("method"), asked.get("url", "")
    if method not in METHODS:
        raise error(
            "not-supported", f"{method} is not possible inside a Bundle.", f"{place}.request.method"
        )
    try:
        parts = urlsplit(url)
    except ValueError:
        raise error("value", "This is not a url.", f"{place}.request.url") from None
    segments = parts.path.strip("/").split("/")
    resource_type, id = segments[0], "/".join(segments[1:])
    if resource_type not in RESOURCE_TYPES or parts.scheme:
        raise error(
            "value", "The url must be relative and start with a type.", f"{place}.request.url"
        )
    if (method == "POST" and id) or (method in ("PUT", "DELETE") and not id):
        raise error(
            "value",
            f"{method} takes {'Type' if method == 'POST' else 'Type/id'}, not this url; "
            "conditional update and delete are not supported.",
            f"{place}.request.url",
        )
    resource = entry.get("resource")
    if method in ("POST", "PUT"):
        if not isinstance(resource, dict) or not isinstance(resource.get("resourceType"), str):
            raise error("required", f"{method} needs a resource.", f"{place}.resource")
        if resource["resourceType"] != resource_type:
            raise error(
                "invalid",
                f"The resource is a {resource['resourceType']}, its url says {resource_type}.",
                f"{place}.request.url",
            )
        if method == "PUT" and resource.get("id") != id:
            raise error(
                "invalid", "The resource's id is not the id of its url.", f"{place}.resource.id"
            )
    if method != "GET" and id and not is_id(id):
        raise error("value", "This is not a FHIR id.", f"{place}.request.url")
    return Entry(
        index,
        method,
        resource_type,
        id,
        parts.query,
        resource,
        entry.get("fullUrl"),
        parse_if_match(asked.get("ifMatch"), f"{place}.request.ifMatch"),
        asked.get("ifNoneExist", ""),
    )


def answer_get(entry: Entry, lake: Lake, base: str) -> Outcome:
    """A GET inside a Bundle: read, vread, or a search answered with a searchset Bundle.

    `base`: the FHIR base URL for links. Raises FhirError naming the entry.
    """
    place = f"{entry.place}.request.url"
    try:
        return _answer_get(entry, lake, base, place)
    except FhirError as failure:
        raise located(failure, place) from None


def _answer_get(entry: Entry, lake: Lake, base: str, place: str) -> Outcome:
    segments = entry.id.split("/") if entry.id else []
    params = parse_qsl(entry.query, keep_blank_values=True)
    at = parse_at([value for name, value in params if name == "at"])
    if len(segments) == 1:
        with view_at(lake, at) as (view, said):
            version = view.read(entry.resource_type, segments[0])
        return Outcome(version, "200 OK", version.resource(), said.outcome)
    if len(segments) == 3 and segments[1] == "_history":
        number = whole_number(segments[2])
        if number is not None:
            with view_at(lake, at) as (view, said):
                version = view.vread(entry.resource_type, segments[0], number)
            if version.deleted:
                raise error("deleted", "This version is a deletion.", place)
            return Outcome(version, "200 OK", version.resource(), said.outcome)
    if segments:
        raise error("not-supported", "GET inside a Bundle reads or searches.", place)
    found: Resource = parse_json(searchset(lake, entry.resource_type, params, base).body)
    return Outcome(None, "200 OK", found)


def located(failure: FhirError, place: str) -> FhirError:
    """The failure, its issues placed at an entry of the Bundle."""
    issues = [Issue(i.severity, i.code, i.diagnostics, (place,)) for i in failure.issues]
    return FhirError(failure.category, issues)


def failed_entry(failure: FhirError) -> dict[str, Any]:
    """The response entry of a request that failed on its own."""
    outcome = operation_outcome(failure.issues)
    return {"response": {"status": str(status_of(failure)), "outcome": outcome}}


def response_entry(outcome: Outcome, representation: bool) -> dict[str, Any]:
    """The entry of a response Bundle (R4 bundle.html#transaction-response)."""
    version = outcome.version
    response: dict[str, Any] = {"status": outcome.status}
    entry: dict[str, Any] = {}
    if version is not None:
        response["location"] = f"{version.resource_type}/{version.id}/_history/{version.version_id}"
        response["etag"] = etag(version)
        response["lastModified"] = format_instant(version.last_updated)
        if representation and not version.deleted:
            entry["resource"] = version.resource()
    if outcome.resource is not None:
        entry["resource"] = outcome.resource
    if outcome.outcome is not None:
        response["outcome"] = outcome.outcome
    entry["response"] = response
    return entry
