"""Web pages of other sites (CORS), where the setting `cors_origins` names them; else none may ask.

https://fetch.spec.whatwg.org/#http-cors-protocol. No answer allows credentials: whoever asks from a
web page sends a token in a header of its own.
"""

from __future__ import annotations

from collections.abc import Collection

from starlette.responses import Response
from starlette.types import Scope

from service.request_headers import header

_METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
_EXPOSED = (
    b"ETag, Location, Content-Location, Last-Modified, Retry-After, X-Progress, X-Request-Id, "
    b"Chartlake-Commit, Chartlake-Erasures"
)
_KEPT_S = 600

ANY = "*"


class CrossOrigin:
    """The headers that let pages of some origins read the answers."""

    def __init__(self, origins: Collection[str]) -> None:
        """`origins` such as `https://app.example.org`; `*` for all."""
        self._origins = frozenset(origins)

    def preflight(self, scope: Scope) -> Response | None:
        """The answer to a browser that asks what a page may do; None for any other request."""
        if not self._origins or scope["method"] != "OPTIONS":
            return None
        if not header(scope, b"access-control-request-method") or not self._allows(scope):
            return None
        asked = header(scope, b"access-control-request-headers")
        allowed = {"Access-Control-Allow-Headers": asked} if asked else {}
        response = Response(
            b"",
            204,
            {
                "Access-Control-Allow-Methods": _METHODS,
                "Access-Control-Max-Age": str(_KEPT_S),
                "Vary": "Access-Control-Request-Headers",
                "Cache-Control": "no-store",
                **allowed,
            },
        )
        response.raw_headers += self.headers(scope)
        return response

    def headers(self, scope: Scope) -> list[tuple[bytes, bytes]]:
        """What an answer to a page says besides; empty where no page of another site asks."""
        if not self._origins:
            return []
        vary = (b"vary", b"Origin")
        if not self._allows(scope):
            return [vary]
        origin = header(scope, b"origin").encode("latin-1")
        return [
            vary,
            (b"access-control-allow-origin", origin),
            (b"access-control-expose-headers", _EXPOSED),
        ]

    def _allows(self, scope: Scope) -> bool:
        origin = header(scope, b"origin")
        return bool(origin) and (ANY in self._origins or origin in self._origins)
