"""Bounds of a request's address and headers (RFC 9110, 414; RFC 6585, 431)."""

from __future__ import annotations

from starlette.types import Scope

from schemas.outcomes import error

MAX_ADDRESS_BYTES = 32_768
"""Path and query; searches with more go into the body of a `_search`."""

MAX_HEADER_BYTES = 65_536
"""Names and values of all headers."""


def refuse_oversized(scope: Scope) -> None:
    """Raise FhirError `uri-too-long` (414) or `headers-too-large` (431)."""
    if len(scope.get("raw_path") or b"") + len(scope["query_string"]) > MAX_ADDRESS_BYTES:
        raise error(
            "uri-too-long",
            f"The address is longer than {MAX_ADDRESS_BYTES:,} bytes. Send a search with many "
            "parameters as POST to `_search`, with the parameters in the body.",
        )
    if sum(len(name) + len(value) for name, value in scope["headers"]) > MAX_HEADER_BYTES:
        raise error("headers-too-large", f"The headers are larger than {MAX_HEADER_BYTES:,} bytes.")
