"""HTTP answers made of stored bytes: one resource, one Bundle of versions, plain JSON."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from email.utils import formatdate
from functools import lru_cache
from typing import Any

from fastapi import Request
from starlette.responses import Response

from schemas.ids import format_instant
from schemas.outcomes import Issue, operation_outcome
from schemas.parse import canonical_bytes
from schemas.validation_mark import MARK_BYTES
from service.errors import FHIR_JSON
from storage.lake import Version

JSON = "application/json"

VALIDATION_ISSUES = "Chartlake-Validation-Issues"
"""Header of the answer to a change: what was stored is not valid (validation level `minimal`)."""


def etag(version: Version) -> str:
    """Weak ETag of a version, `W/"3"` (R4 http.html#versioning)."""
    return f'W/"{version.version_id}"'


def http_date(instant: datetime) -> str:
    """An aware datetime as an HTTP date."""
    return _http_date(int(instant.timestamp()))


@lru_cache(maxsize=4096)
def _http_date(seconds: int) -> str:
    return formatdate(seconds, usegmt=True)


def version_headers(version: Version) -> dict[str, str]:
    """`ETag` and `Last-Modified` of a version."""
    return {"ETag": etag(version), "Last-Modified": http_date(version.last_updated)}


def fhir_bytes(body: bytes, status: int = 200, **headers: str) -> Response:
    """FHIR JSON bytes as they are; another form that is asked for is made of them later."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(body, status, names, media_type=FHIR_JSON)


def fhir_resource(resource: dict[str, Any], status: int = 200) -> Response:
    """A resource built here, as FHIR JSON."""
    return fhir_bytes(canonical_bytes(resource), status)


def write_response(
    version: Version, request: Request, base: str, *, created: bool, issues: Sequence[Issue] = ()
) -> Response:
    """Answer of create and update, as `Prefer: return=` asks (R4 http.html#ops).

    `issues`: what validation has to say of what was stored.
    """
    headers = version_headers(version)
    path = f"{version.resource_type}/{version.id}/_history/{version.version_id}"
    headers["Location"] = f"{base}/{path}"
    status = 201 if created else 200
    if MARK_BYTES in version.body:
        headers[VALIDATION_ISSUES] = "true"
    preference = request.headers.get("prefer", "")
    if "return=minimal" in preference:
        return Response(b"", status, headers)
    if "return=OperationOutcome" in preference:
        body = canonical_bytes(operation_outcome(issues))
    else:
        body = version.body
    response = fhir_bytes(body, status)
    response.headers.update(headers)
    return response


def bundle_bytes(
    kind: str,
    entries: Iterable[bytes],
    *,
    total: int | None = None,
    links: Sequence[tuple[str, str]] = (),
) -> bytes:
    """A Bundle of ready entries; the resources' own bytes are never re-serialised."""
    head: dict[str, Any] = {"resourceType": "Bundle", "type": kind}
    if total is not None:
        head["total"] = total
    if links:
        head["link"] = [{"relation": relation, "url": url} for relation, url in links]
    body = canonical_bytes(head)
    joined = b",".join(entries)
    return body[:-1] + (b',"entry":[' + joined + b"]" if joined else b"") + b"}"


def match_entry(version: Version, base: str) -> bytes:
    """A search match (R4 bundle.html#searchset)."""
    return _found_entry(version, base, b"match")


def include_entry(version: Version, base: str) -> bytes:
    """A resource that a search includes besides its matches."""
    return _found_entry(version, base, b"include")


def _found_entry(version: Version, base: str, mode: bytes) -> bytes:
    # Types and ids have no characters that JSON escapes; the base may.
    full_url = canonical_bytes(f"{base}/{version.resource_type}/{version.id}")
    return b'{"fullUrl":%b,"resource":%b,"search":{"mode":"%b"}}' % (full_url, version.body, mode)


def outcome_entry(outcome: dict[str, Any]) -> bytes:
    """An entry that tells the client about its search, not a match."""
    return canonical_bytes({"resource": outcome, "search": {"mode": "outcome"}})


def history_entry(version: Version, base: str) -> bytes:
    """One version in a history Bundle (R4 http.html#history); a tombstone has no resource."""
    path = f"{version.resource_type}/{version.id}"
    request_url = version.resource_type if version.method == "POST" else path
    status = "204" if version.deleted else "201" if version.version_id == 1 else "200"
    tail = canonical_bytes(
        {
            "fullUrl": f"{base}/{path}",
            "request": {"method": version.method, "url": request_url},
            "response": {
                "status": status,
                "etag": etag(version),
                "lastModified": format_instant(version.last_updated),
            },
        }
    )
    if version.deleted:
        return tail
    return tail[:-1] + b',"resource":' + version.body + b"}"
