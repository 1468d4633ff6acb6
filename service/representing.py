"""The step that gives every FHIR answer the form that was asked for: see `service.representation`.

What is asked for is looked at before anything is done, so that a request whose answer could not be
given changes nothing.
"""

from __future__ import annotations

import contextlib
from urllib.parse import parse_qsl

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from schemas.outcomes import FhirError
from service.errors import outcome_response
from service.representation import FHIR_JSON, Holder, Target, asked, refusal_form, represent

_FHIR = "application/fhir+json"


class Representing:
    """ASGI middleware around the routes, authentication included: errors have that form too."""

    def __init__(self, app: ASGIApp, *, nested: bool = False) -> None:
        """`nested`: the answers are for the entries of a Bundle, whose form is that of all."""
        self.app = app
        self.nested = nested

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and its answer as it was asked for."""
        parts = _below_fhir(scope)
        if parts is None or (parts[:1] == ["_export"] and len(parts) > 2):
            await self.app(scope, receive, send)  # A file has the form that the export was given.
            return
        params, accept = _wishes(scope)
        target = Target.of(scope["method"], parts)
        try:
            holder = Holder(asked(params, accept, target), accept, target, nested=self.nested)
        except FhirError as failure:
            await in_asked_form(outcome_response(failure), scope)(scope, receive, send)
            return
        holder.put(scope)
        if holder.asked.is_plain and not (parts and parts[-1] == "_search"):
            await self.app(scope, receive, send)
            return
        await self.app(scope, receive, _Answer(holder, scope, receive, send))


def in_asked_form(failure: Response, scope: Scope) -> Response:
    """A failure (an OperationOutcome in JSON) in the form that was asked for, as far as it can be.

    For who is refused before it is known what he wants, or because of it.
    """
    if _below_fhir(scope) is None:
        return failure
    form = refusal_form(*_wishes(scope))
    if form.is_plain:
        return failure
    try:
        body = represent(bytes(failure.body), form, Target())
    except FhirError:
        return failure  # What XML cannot say is told in JSON.
    headers = {k: v for k, v in failure.headers.items() if not k.startswith("content-")}
    return Response(body, failure.status_code, headers, media_type=form.media_type)


def _wishes(scope: Scope) -> tuple[list[tuple[str, str]], str]:
    """The parameters of the address, and `Accept`."""
    query = scope["query_string"]
    params = parse_qsl(query.decode("latin-1"), keep_blank_values=True) if query else []
    return params, ",".join(Headers(scope=scope).getlist("accept"))


class _Answer:
    """The `send` of a request: holds a FHIR JSON answer back until it can be given as asked."""

    def __init__(self, holder: Holder, scope: Scope, receive: Receive, send: Send) -> None:
        self._holder = holder
        self._scope = scope
        self._receive = receive
        self._send = send
        self._start: Message | None = None
        self._chunks: list[bytes] = []

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            kind = MutableHeaders(scope=message).get("content-type", "")
            if kind.startswith(_FHIR) and not self._holder.asked.is_plain:
                self._start = message
                return
        if self._start is None:
            await self._send(message)
            return
        self._chunks.append(message.get("body", b""))
        if not message.get("more_body", False):
            start, self._start = self._start, None
            await self._give(start, b"".join(self._chunks))

    async def _give(self, start: Message, body: bytes) -> None:
        headers = MutableHeaders(scope=start)
        if body:
            failed = start["status"] >= 400
            try:
                if self._holder.nested:  # In a worker thread already.
                    body = self._holder.bytes_of(body, failed=failed)
                else:
                    body = await run_in_threadpool(self._holder.bytes_of, body, failed=failed)
            except FhirError as failure:
                asked_for = self._scope["method"] in ("GET", "HEAD")
                if not failed and (asked_for or failure.category != "not-acceptable"):
                    await self._refuse(failure)
                    return
                # A change that is made, or a failure: what XML cannot say of it is told in JSON.
                headers["content-type"] = FHIR_JSON
                await self._pass(start, body)
                return
            headers["content-length"] = str(len(body))
        elif "content-length" in headers:
            del headers["content-length"]  # The length of an answer to HEAD in another form.
        headers["content-type"] = self._holder.asked.media_type
        await self._pass(start, body)

    async def _refuse(self, failure: FhirError) -> None:
        response = outcome_response(failure)
        body, media_type = bytes(response.body), FHIR_JSON
        with contextlib.suppress(FhirError):
            body = self._holder.bytes_of(body, failed=True)
            media_type = self._holder.asked.media_type
        told = Response(body, response.status_code, media_type=media_type)
        await told(self._scope, self._receive, self._send)

    async def _pass(self, start: Message, body: bytes) -> None:
        await self._send(start)
        await self._send({"type": "http.response.body", "body": body, "more_body": False})


def _below_fhir(scope: Scope) -> list[str] | None:
    """The parts of the path below the FHIR base; None for every other address."""
    if scope["type"] != "http":
        return None
    path = str(scope["path"]).removeprefix(str(scope.get("root_path", "")))
    if path != "/fhir" and not path.startswith("/fhir/"):
        return None
    return [part for part in path[len("/fhir") :].split("/") if part]
