"""Reading a request's body: size and media type checked before anything is parsed."""

from __future__ import annotations

import asyncio
import zlib
from email.message import Message
from functools import lru_cache

from fastapi import Request
from starlette.concurrency import run_in_threadpool

from schemas.fhir_xml_parser import from_xml
from schemas.outcomes import FhirError, error
from schemas.parse import canonical_bytes

FHIR_JSON_TYPES = frozenset(
    {"application/fhir+json", "application/json", "application/json+fhir", "text/json"}
)
FHIR_XML_TYPES = frozenset(
    {"application/fhir+xml", "application/xml", "application/xml+fhir", "text/xml"}
)

PATIENCE_S = 30
"""How long a client may take for a body, whatever its size."""

SLOWEST_BYTES_PER_S = 10_000
"""What has come at this rate gives so much more time."""


# Of a gzip body. What follows a member in its piece is copied, so that megabytes of empty members
# in one piece would take hours.
_MOST_MEMBERS = 10_000
_PIECE_BYTES = 65_536


@lru_cache(maxsize=1024)
def media_type(header: str | None) -> tuple[str, str | None]:
    """The media type in lower case and its charset parameter, from a `Content-Type` header."""
    message = Message()
    message["content-type"] = header or ""
    return message.get_content_type() if header else "", message.get_content_charset()


async def read_limited(request: Request, limit_bytes: int) -> bytes:
    """The body, unpacked where `Content-Encoding` says that it is packed.

    Raises FhirError: `too-large` (413) as soon as it passes `limit_bytes`, as sent or unpacked;
    `unsupported-media` for another coding than gzip; `invalid` for what is not gzip;
    `request-timeout` (408) when it comes slower than `SLOWEST_BYTES_PER_S`.
    """
    coding = request.headers.get("content-encoding", "").strip().lower()
    if coding not in ("", "identity", "gzip", "x-gzip"):
        raise error(
            "unsupported-media",
            "Content-Encoding of a request body is gzip, or left out.",
            "http.Content-Encoding",
        )
    declared = request.headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and int(declared[:18]) > limit_bytes:
        raise _too_large(limit_bytes)
    chunks: list[bytes] = []
    size = 0
    began = asyncio.get_running_loop().time()
    try:
        async with asyncio.timeout_at(began + PATIENCE_S) as patience:
            async for chunk in request.stream():
                size += len(chunk)
                if size > limit_bytes:
                    raise _too_large(limit_bytes)
                chunks.append(chunk)
                if len(chunks) > 1:
                    patience.reschedule(began + PATIENCE_S + size / SLOWEST_BYTES_PER_S)
    except TimeoutError:
        raise error("request-timeout", "The request body came too slowly.") from None
    body = b"".join(chunks)
    if coding not in ("gzip", "x-gzip"):
        return body
    try:
        return await run_in_threadpool(_unpacked, body, limit_bytes)
    except OverflowError:
        raise _too_large(limit_bytes) from None
    except zlib.error:
        raise error("invalid", "The request body is not gzip, or not all of it.") from None


def _too_large(limit_bytes: int) -> FhirError:
    return error(
        "too-large", f"The request body is larger than the {limit_bytes:,} bytes accepted here."
    )


def _unpacked(body: bytes, limit_bytes: int) -> bytes:
    """What gzip members hold. Raises `OverflowError` beyond the limits, `zlib.error`."""
    parts: list[bytes] = []
    left, members = limit_bytes, 0
    unpacker = None
    for begin in range(0, len(body), _PIECE_BYTES):
        piece = body[begin : begin + _PIECE_BYTES]
        while piece:
            if unpacker is None:
                members += 1
                if members > _MOST_MEMBERS:
                    raise OverflowError
                unpacker = zlib.decompressobj(16 + zlib.MAX_WBITS)
            # One more than is allowed: it tells that there was more.
            part = unpacker.decompress(piece, left + 1)
            left -= len(part)
            if left < 0:
                raise OverflowError
            parts.append(part)
            piece = unpacker.unused_data
            if unpacker.eof:
                unpacker = None
    if unpacker is not None:
        raise zlib.error("cut off")
    return b"".join(parts)


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
