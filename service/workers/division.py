"""Which requests a front answers, and which the process that writes does.

A front reads resources, their versions, history and searches, and prepares creates and
transactions. All else is passed on: operations, jobs, notes, SQL, what is about the whole service,
and whatever concerns AuditEvents, since the newest accesses are on their way into the log.
"""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import unquote_plus

from starlette.types import ASGIApp, Message, Receive, Scope

from schemas.structure import RESOURCE_TYPES
from service.request_headers import header
from service.whole_number import whole_number
from storage.elsewhere import NotHere

_LOG = "AuditEvent"
_HISTORY = "_history"
_SEARCH = "_search"

# Of a body of `_search`, and of what is prepared here: more would be kept twice for too long.
_MOST_FORM_BYTES = 65_536
_MOST_CHANGE_BYTES = 33_554_432

# Changes of these types are the business of the process that writes: it reads notes, follows
# definitions, and keeps Bundles of any size.
_CHANGED_HERE = RESOURCE_TYPES - {"DocumentReference", "SearchParameter", "Bundle", "Binary"}


class Elsewhere(NamedTuple):
    """The process that writes, as the edge of a front knows it: an ASGI application.

    `changes`: whether changes are prepared here (the lake of a read-only service takes none).
    """

    writer: ASGIApp
    changes: bool

    def is_for_front(self, scope: Scope) -> bool:
        """Whether a front answers the request."""
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        parts = path.rstrip("/").split("/")
        if len(parts) < 2 or parts[1] != "fhir" or _LOG in path:
            return False
        method = scope["method"]
        if method in ("GET", "HEAD"):
            return _is_read(parts[2:]) and not _names_log(scope["query_string"])
        if method != "POST" or header(scope, b"x-http-method-override"):
            return False
        if parts[-1] == _SEARCH:
            # What the form names is seen when it has come.
            return _has_short_body(scope, _MOST_FORM_BYTES) and _is_searched(parts[2:-1])
        return (
            self.changes
            and (len(parts) == 2 or (len(parts) == 3 and parts[2] in _CHANGED_HERE))
            and _has_short_body(scope, _MOST_CHANGE_BYTES)
        )


def _is_read(parts: list[str]) -> bool:
    """Read, vread, history or search, by what follows `/fhir`."""
    if not parts or parts == [_HISTORY]:
        return True
    if parts[0] not in RESOURCE_TYPES:
        return False
    if parts[-1] == _HISTORY:
        return len(parts) in (2, 3)
    if len(parts) == 4:
        return parts[2] == _HISTORY and whole_number(parts[3]) is not None
    if len(parts) == 3:
        return parts[2] == "*" or parts[2] in RESOURCE_TYPES
    return len(parts) == 1 or not parts[1].startswith(("$", "_"))


def _is_searched(parts: list[str]) -> bool:
    if not parts:
        return True
    if parts[0] not in RESOURCE_TYPES:
        return False
    return len(parts) < 3 or (len(parts) == 3 and (parts[2] == "*" or parts[2] in RESOURCE_TYPES))


def _names_log(text: bytes) -> bool:
    return bool(text) and _LOG in unquote_plus(text.decode("latin-1"))


def _has_short_body(scope: Scope, most: int) -> bool:
    length = whole_number(header(scope, b"content-length")) or 0
    return 0 < length <= most and not header(scope, b"content-encoding")


class Kept:
    """The body of a request, kept while a front looks at it: the writer may have to be asked."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self._receive = receive
        self._is_form = scope["method"] == "POST" and scope["path"].endswith(_SEARCH)
        self._read: list[Message] = []
        self._whole = False

    async def receive(self) -> Message:
        """ASGI, for who looks first. Raises `NotHere` for a form that names the log."""
        message = await self._receive()
        if message["type"] == "http.request" and not self._whole:
            # Its end too, though it may be empty: who reads again would wait for it for ever.
            self._read.append(message)
            self._whole = not message.get("more_body")
            if self._is_form and self._whole:
                form = b"".join(one.get("body", b"") for one in self._read)
                if _names_log(form):
                    raise NotHere
        return message

    async def again(self) -> Message:
        """ASGI, for who answers then."""
        return self._read.pop(0) if self._read else await self._receive()
