"""Entries of batch and transaction Bundles: the request read, the response written.

R4 bundle.html#batch, http.html#transaction.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from schemas.ids import format_instant, is_id
from schemas.outcomes import FhirError, Issue, error, operation_outcome
from schemas.parse import canonical_bytes
from schemas.structure import RESOURCE_TYPES
from schemas.validate import validate
from service.changes.asked import (
    Change,
    Done,
    Params,
    Places,
    check_update_id,
    condition_of,
    parse_if_match,
    parse_if_none_match,
)
from service.changes.patch_document import patch_of_entry
from service.errors import status_of
from service.prefer import Preferences
from service.sub_requests import Answer
from storage.lake import Version

Resource = dict[str, Any]

CHANGES = frozenset({"DELETE", "POST", "PUT", "PATCH"})
READS = frozenset({"GET", "HEAD"})


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the Bundle: a `change`, or a request that is answered as outside of a Bundle."""

    index: int
    method: str
    url: str
    change: Change | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def place(self) -> str:
        """FHIRPath of the entry."""
        return f"Bundle.entry[{self.index}]"


def check_envelope(bundle: Resource, max_entries: int) -> list[Resource]:
    """The entries of a Bundle that is valid but for the resources in it, which are not looked at.

    Raises FhirError: `structure`, it cannot be processed at all; `too-large`.
    """
    entries = bundle.get("entry", [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        issues = validate(bundle, "Bundle")
        if not issues:
            raise error("structure", "Bundle.entry is a list of objects.", "Bundle.entry")
        raise FhirError("structure", issues)
    if len(entries) > max_entries:
        text = f"The Bundle has {len(entries):,} entries; at most {max_entries:,} are accepted."
        raise error("too-large", text, "Bundle.entry")
    envelope = [{key: entry[key] for key in entry if key != "resource"} for entry in entries]
    filled = [item or {"fullUrl": "urn:none"} for item in envelope]
    issues = validate({**bundle, **({"entry": filled} if entries else {})}, "Bundle")
    if issues:
        raise FhirError("structure", issues)
    return entries


def read_entry(index: int, entry: Resource, base: str) -> Entry:
    """Check one Bundle entry's request and take it apart. Raises `FhirError` naming its place.

    `base`: the FHIR base URL, which a request's url may begin with.
    """
    place = f"Bundle.entry[{index}]"
    asked = entry.get("request")
    if not isinstance(asked, dict):
        raise error("required", "Every entry has a request.", f"{place}.request")
    method, url = asked.get("method"), asked.get("url", "")
    if method not in CHANGES and method not in READS:
        raise error(
            "not-supported", f"{method} is not possible inside a Bundle.", f"{place}.request.method"
        )
    url, segments, query = _address(url, base, f"{place}.request.url")
    if len(asked) > 2:
        _refuse_idle_conditions(method, asked, place)
    if method in READS:
        names = (("ifNoneMatch", "If-None-Match"), ("ifModifiedSince", "If-Modified-Since"))
        headers = {header: asked[name] for name, header in names if name in asked}
        return Entry(index, method, url, headers=headers)
    if method == "POST" and (segments[-1].startswith("$") or segments[-1] == "_search"):
        body = canonical_bytes(entry["resource"]) if "resource" in entry else b""
        kind = {"Content-Type": "application/fhir+json"} if body else {}
        return Entry(index, method, url, headers=kind, body=body)
    change = _change(method, segments, query, asked, entry, place, base)
    return Entry(index, method, url, change)


_CONDITIONS = {
    "POST": frozenset({"ifNoneExist"}),
    "PUT": frozenset({"ifMatch", "ifNoneMatch"}),
    "PATCH": frozenset({"ifMatch"}),
    "DELETE": frozenset({"ifMatch"}),
    "GET": frozenset({"ifNoneMatch", "ifModifiedSince"}),
    "HEAD": frozenset({"ifNoneMatch", "ifModifiedSince"}),
}


def _refuse_idle_conditions(method: str, asked: Resource, place: str) -> None:
    """Raises `not-supported` for a condition that would have no effect."""
    for name in asked:
        if name.startswith("if") and name not in _CONDITIONS[method]:
            text = f"{name} means nothing with {method}."
            raise error("not-supported", text, f"{place}.request.{name}")


def _address(url: str, base: str, place: str) -> tuple[str, list[str], str]:
    """The url below the base, its segments and its query."""
    if base and url.startswith(f"{base}/"):
        url = url[len(base) + 1 :]
    try:
        parts = urlsplit(url)
    except ValueError:
        raise error("value", "This is not a url.", place) from None
    if parts.scheme or parts.netloc or not url.isascii() or "#" in url:
        raise error("value", "The url must be relative to the FHIR base.", place)
    return url, parts.path.strip("/").split("/"), parts.query


def _change(
    method: str,
    segments: list[str],
    query: str,
    asked: Resource,
    entry: Resource,
    place: str,
    base: str,
) -> Change:
    places = Places(place)
    resource_type, id = segments[0], segments[1] if len(segments) == 2 else ""
    if resource_type not in RESOURCE_TYPES:
        raise error("value", "The url must be relative and start with a type.", places.url)
    if len(segments) > 2 or (method == "POST" and id) or (bool(query) and bool(id)):
        takes = "Type" if method == "POST" else "Type/id, or Type?condition"
        raise error("value", f"{method} takes {takes}, not this url.", places.url)
    if method != "POST" and not id and not query:
        raise error("value", f"{method} takes Type/id, or Type?condition.", places.url)
    if id and not is_id(id):
        raise error("value", "This is not a FHIR id.", places.url)
    condition: Params | None = condition_of(query, places.url) if query else None
    if method == "POST" and (if_none_exist := asked.get("ifNoneExist")) is not None:
        places = Places(place, if_none_exist=True)
        given = condition_of(if_none_exist, places.condition)
        if condition not in (None, given):
            raise error("invalid", "The url has another condition.", places.condition)
        condition = given
    resource = _resource(method, resource_type, id, entry, places)
    patch = None
    if method == "PATCH":
        patch, resource = patch_of_entry(resource or {}, f"{place}.resource"), None
    return Change(
        method,
        resource_type,
        id,
        resource,
        patch,
        condition,
        parse_if_match(asked["ifMatch"], places.if_match) if "ifMatch" in asked else None,
        "ifNoneMatch" in asked and parse_if_none_match(asked["ifNoneMatch"], places.if_none_match),
        entry.get("fullUrl"),
        places,
        base,
    )


def _resource(
    method: str, resource_type: str, id: str, entry: Resource, places: Places
) -> Resource | None:
    if method == "DELETE":
        return None
    resource = entry.get("resource")
    if not isinstance(resource, dict) or not isinstance(resource.get("resourceType"), str):
        raise error("required", f"{method} needs a resource.", f"{places.entry}.resource")
    if method == "PATCH":
        return resource
    if resource["resourceType"] != resource_type:
        raise error(
            "invalid",
            f"The resource is a {resource['resourceType'][:64]}, its url says {resource_type}.",
            places.url,
        )
    if method == "PUT" and id:
        check_update_id(resource, id, places.prefix)
    return resource


def status_text(status: int) -> str:
    """Status code and reason, as Bundle.entry.response.status has them: `201 Created`."""
    return f"{status} {HTTPStatus(status).phrase}"


def failed_entry(failure: FhirError) -> bytes:
    """The response entry of a request that failed on its own."""
    outcome = operation_outcome(failure.issues)
    response = {"status": status_text(status_of(failure)), "outcome": outcome}
    return canonical_bytes({"response": response})


def changed_entry(done: Done, wanted: Preferences) -> bytes:
    """The response entry of a change (R4 bundle.html#transaction-response)."""
    version = done.version
    response: dict[str, Any] = {"status": status_text(done.status)}
    if version is not None and (not version.deleted or done.deleted < 2):
        response.update(_versioned(version))
    if done.issues or wanted.returns == "OperationOutcome":
        issues = list(done.issues)
        if wanted.returns == "OperationOutcome":
            issues += done.advice
        if done.deleted > 1:
            text = f"{done.deleted} resources were deleted."
            issues.insert(0, Issue("information", "informational", text))
        response["outcome"] = operation_outcome(issues)
    tail = canonical_bytes({"response": response})
    if wanted.returns == "representation" and version is not None and not version.deleted:
        return b'{"resource":' + version.body + b"," + tail[1:]
    return tail


def _versioned(version: Version) -> dict[str, str]:
    found = {
        "etag": f'W/"{version.version_id}"',
        "lastModified": format_instant(version.last_updated),
    }
    if version.deleted:
        return found
    path = f"{version.resource_type}/{version.id}/_history/{version.version_id}"
    return {"location": path, **found}


def answered_entry(answer: Answer) -> bytes:
    """The response entry of a request that was answered as outside of a Bundle.

    Raises FhirError `not-acceptable` for an answer that cannot be part of a Bundle in JSON.
    """
    if answer.body and "json" not in answer.headers.get("content-type", ""):
        raise error("not-acceptable", "Inside a Bundle all answers have the form of the Bundle.")
    response: dict[str, Any] = {"status": status_text(answer.status)}
    for name, header in (("location", "location"), ("etag", "etag")):
        if header in answer.headers:
            response[name] = answer.headers[header]
    if "content-location" in answer.headers:  # Of what goes on asynchronously.
        response["location"] = answer.headers["content-location"]
    if "last-modified" in answer.headers:
        response["lastModified"] = format_instant(
            parsedate_to_datetime(answer.headers["last-modified"])
        )
    tail = canonical_bytes({"response": response})
    if answer.body:
        return b'{"resource":' + answer.body + b"," + tail[1:]
    return tail
