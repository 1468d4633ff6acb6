"""The outermost layer: what every request goes through, whichever way it is then answered.

One function, so that the short way (`service.direct`) and the routes cannot differ in it: the audit
trail, authentication, the purpose of use, then the answer with the headers of every answer, HEAD,
compression, and last the audit event, which is on the disk before the first byte leaves.
"""

from __future__ import annotations

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from schemas.outcomes import FhirError
from service.audit_recorder import REQUEST_ID_HEADER, AuditRecorder, Recording, request_id
from service.auth import Authentication
from service.compression import Compression
from service.cross_origin import CrossOrigin
from service.direct import Answer, DirectRoutes
from service.errors import failure_response, unexpected
from service.overload import Overload
from service.purpose import purpose_of
from service.representing import Representing, in_asked_form
from service.request_limits import refuse_oversized
from service.workers.division import Elsewhere, Kept
from storage.elsewhere import NotHere

# Patient data is not for caches, nor for guessing browsers.
_HEADERS = ((b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff"))
_REQUEST_ID = REQUEST_ID_HEADER.lower().encode()


class Edge:
    """ASGI application around the routes."""

    def __init__(
        self,
        routes: ASGIApp,
        *,
        direct: DirectRoutes,
        recorder: AuditRecorder,
        authentication: Authentication,
        compression: Compression,
        cross_origin: CrossOrigin,
        overload: Overload,
        elsewhere: Elsewhere | None = None,
    ) -> None:
        """`routes` lets no exception out; all others are what is done around them.

        `elsewhere`: what has to be answered by another process, whose edge does all of it.
        """
        self.routes = routes
        self._representing = Representing(routes)
        self.direct = direct
        self.recorder = recorder
        self.authentication = authentication
        self.compression = compression
        self.cross_origin = cross_origin
        self.overload = overload
        self.elsewhere = elsewhere

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer an HTTP request; anything else is for the routes."""
        if scope["type"] != "http":
            await self.routes(scope, receive, send)
            return
        preflight = self.cross_origin.preflight(scope)
        if preflight is not None:
            await preflight(scope, receive, send)
            return
        refused = self.overload.enter(scope)
        if refused is not None:
            # Before anything is looked at or given out: not an access, and not to be recorded,
            # which costs just what there is too little of.
            await _Sender(self, scope, send, None).whole(failure_response(refused))
            return
        try:
            if self.elsewhere is None:
                await self._recorded(scope, receive, send)
            elif not self.elsewhere.is_for_front(scope):
                await self.elsewhere.writer(scope, receive, send)
            else:
                kept = Kept(scope, receive)
                try:
                    await self._recorded(scope, kept.receive, send)
                except NotHere:
                    # Nothing of an answer has left: those of a front are given as a whole.
                    await self.elsewhere.writer(scope, kept.again, send)
        finally:
            self.overload.leave()

    async def _recorded(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self.recorder.recording(scope) as recording:
            await self._answer(scope, receive, _Sender(self, scope, send, recording))

    async def _answer(self, scope: Scope, receive: Receive, sender: _Sender) -> None:
        try:
            answer = self._admitted(scope)
            if answer is None:
                sender.routed_scope = routed = _as_routed(scope)
                await self._representing(routed, receive, sender.message)
                return
            response = await answer(Request(scope, receive))
        except FhirError as failure:
            response = failure_response(failure)
        except ClientDisconnect:
            return
        except Exception as failure:
            response = failure_response(unexpected(failure))
        if sender.has_begun:
            return  # Nothing else can be said any more: the connection is closed by the server.
        if response.status_code >= 400:
            response = in_asked_form(response, scope)
        await sender.whole(response)

    def _admitted(self, scope: Scope) -> Answer | None:
        """The short way to an answer, if there is one. Raises FhirError for who may not ask."""
        self.authentication.check(scope)
        purpose_of(scope)
        refuse_oversized(scope)
        return self.direct.find(scope)


def _as_routed(scope: Scope) -> Scope:
    """The request as the routes know it: HEAD is a GET, and a slash at the end means nothing."""
    changed: dict[str, str] = {}
    if scope["method"] == "HEAD":
        changed["method"] = "GET"
    path, root = scope["path"], scope.get("root_path", "")
    if path.endswith("/") and len(path) > len(root) + 1:
        changed["path"] = path.rstrip("/") or "/"
    return {**scope, **changed} if changed else scope


class _Sender:
    """Sends one answer, once it is recorded."""

    __slots__ = (
        "_begun",
        "_edge",
        "_recording",
        "_request_id",
        "_scope",
        "_send",
        "_start",
        "_withheld",
        "routed_scope",
    )

    def __init__(self, edge: Edge, scope: Scope, send: Send, recording: Recording | None) -> None:
        self._edge = edge
        self._scope = scope
        self._send = send
        self._recording = recording
        self._request_id = request_id(scope) if recording is None else recording.trail.request_id
        self._start: Message | None = None
        self._withheld = False
        self._begun = False
        self.routed_scope = scope

    @property
    def has_begun(self) -> bool:
        """Has a part of the answer left?"""
        return self._begun

    async def whole(self, response: Response) -> None:
        """An answer that is at hand as a whole."""
        await self._give(response.status_code, response.raw_headers, bytes(response.body))

    async def message(self, message: Message) -> None:
        """An answer of the routes: one in a single piece, or a stream of them."""
        if self._withheld:
            return
        if message["type"] == "http.response.start":
            self._start = message
            return
        start, self._start = self._start, None
        if start is None:
            if self._scope["method"] != "HEAD":
                await self._send(message)
        elif message.get("more_body", False):
            await self._begin(start["status"], start["headers"])
            if not self._withheld and self._scope["method"] != "HEAD":
                await self._send(message)
        else:
            await self._give(start["status"], start["headers"], message.get("body", b""))

    async def _give(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        if body:
            headers, body = await self._edge.compression.applied(self._scope, headers, body)
        await self._begin(status, headers)
        if not self._withheld:
            sent = b"" if self._scope["method"] == "HEAD" else body
            await self._send({"type": "http.response.body", "body": sent})

    async def _begin(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        self._begun = True
        added = [*headers, *_HEADERS, (_REQUEST_ID, self._request_id.encode())]
        if self._recording is not None:
            failure = await self._recording.answered(self.routed_scope, status)
            if failure is not None:
                # An access that cannot be recorded is not answered.
                self._withheld, self._recording = True, None
                other = _Sender(self._edge, self._scope, self._send, None)
                other._request_id = self._request_id
                await other.whole(failure_response(failure))
                return
        added += self._edge.cross_origin.headers(self._scope)
        await self._send({"type": "http.response.start", "status": status, "headers": added})
