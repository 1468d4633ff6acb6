"""Reading a request's body: size and media type checked before anything is parsed."""

from __future__ import annotations

from email.message import Message

from fastapi import Request
from starlette.concurrency import run_in_threadpool

from schemas.fhir_xml_parser import from_xml
from schemas.outcomes import error
from schemas.parse import canonical_bytes

FHIR_JSON_TYPES = frozenset(
    {"application/fhir+json", "application/json", "application/json+fhir", "text/json"}
)
FHIR_XML_TYPES = frozenset(
    {"application/fhir+xml", "application/xml", "application/xml+fhir", "text/xml"}
)


def media_type(header: str | None) -> tuple[str, str | None]:
    """The media type in lower case and its charset parameter, from a `Content-Type` header."""
    message = Message()
    message["content-type"] = header or ""
    return message.get_content_type() if header else "", message.get_content_charset()


async def read_limited(request: Request, limit_bytes: int) -> bytes:
    """The body, refused with `too-large` (413) as soon as it passes `limit_bytes`."""
    declared = request.headers.get("content-length", "")
    too_large = error(
        "too-large", f"The request body is larger than the {limit_bytes:,} bytes accepted here."
    )
    if declared.isdigit() and int(declared) > limit_bytes:
        raise too_large
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit_bytes:
            raise too_large
        chunks.append(chunk)
    return b"".join(chunks)


async def fhir_body(request: Request) -> bytes:
    """Dependency: the FHIR JSON of a body in JSON or XML.

    Raises FhirError: `unsupported-media` for anything else, what `from_xml` raises for XML.
    """
    kind, charset = media_type(request.headers.get("content-type"))
    if kind not in FHIR_JSON_TYPES and kind not in FHIR_XML_TYPES:
        raise error(
            "unsupported-media",
            f"Content-Type {kind or '(none)'} is not accepted; send application/fhir+json or "
            "application/fhir+xml.",
        )
    if charset not in (None, "utf-8", "utf8", "us-ascii"):
        raise error("unsupported-media", f"FHIR is UTF-8; charset {charset} is not accepted.")
    body = await read_limited(request, request.app.state.settings.max_body_bytes)
    if kind in FHIR_XML_TYPES:
        return await run_in_threadpool(json_of_xml, body)
    return body


def json_of_xml(body: bytes) -> bytes:
    """The FHIR JSON that says the same as the FHIR XML `body`. Raises FhirError."""
    return canonical_bytes(from_xml(body))
