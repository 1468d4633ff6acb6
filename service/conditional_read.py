"""Has the client the version already: `If-None-Match`, `If-Modified-Since` (R4 http.html#cread).

For single versions only. A page of a search or history says in `Chartlake-Commit` what it is of; an
unchanged commit number alone does not promise the same page (an erase takes things out of it), so
pages are never answered 304.
"""

from __future__ import annotations

from email.utils import parsedate_to_datetime

from fastapi import Request
from starlette.responses import Response

from service.responses import etag
from storage.lake import Version


def unchanged(request: Request, version: Version, headers: dict[str, str]) -> Response | None:
    """304 with the version's headers where the client has it; None where it has to be sent."""
    known = request.headers.getlist("if-none-match")
    if known:
        # RFC 9110 13.1.3: where both are sent, the date is not looked at.
        same = _names(",".join(known), etag(version))
    else:
        same = _is_as_old(request.headers.get("if-modified-since"), version)
    return Response(b"", 304, headers) if same else None


def _names(header: str, tag: str) -> bool:
    """Does a list of entity tags have this one? Compared weakly (RFC 9110 8.8.3.2)."""
    opaque = tag.removeprefix("W/")
    tags = (one.strip().removeprefix("W/") for one in header.split(","))
    return any(one in (opaque, "*") for one in tags)


def _is_as_old(header: str | None, version: Version) -> bool:
    """False for what is no HTTP date: it is ignored then (RFC 9110 13.1.3)."""
    if not header:
        return False
    try:
        date = parsedate_to_datetime(header)
        # HTTP dates have whole seconds.
        return version.last_updated.replace(microsecond=0) <= date
    except (TypeError, ValueError, OverflowError):
        return False
