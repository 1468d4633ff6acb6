"""The short way to the hot interactions: read, vread, search of a type, create.

A request that asks for nothing out of the ordinary goes to the interaction's own function at once;
FastAPI's routing and dependencies cost more than a read does. The functions are those of the
routes, and the edge is around both ways, so there is one implementation of each interaction and of
who may ask. Whatever is in doubt (another form or media type, a read as of a commit, a condition, a
large body) takes the route.

A read and the beginning of a create take tens of microseconds and are done in the event loop, as
are searches of a kind that was short of late; others are given to a thread.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from urllib.parse import parse_qsl

from anyio import CapacityLimiter, to_thread
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from schemas.ids import is_id
from schemas.structure import RESOURCE_TYPES
from service.content_negotiation import negotiated
from service.context import Context
from service.interactions import create, read, search, vread
from service.loop_costs import THREADS, LoopCosts
from service.representation import REPRESENTATION_PARAMETERS
from service.request_body import fhir_body
from service.searchset import of_type
from service.whole_number import whole_number

Answer = Callable[[Request], Awaitable[Response]]

MAX_BODY_BYTES = 16_384
"""Larger ones would hold up the others in the event loop for a millisecond or more."""

# A note is decoded, and its patient looked for, before it is stored; a Bundle is many resources.
_NOT_AT_ONCE = frozenset({"DocumentReference", "Bundle"})

# With these a create is another interaction, or has a body that is to be unpacked first.
_OUT_OF_THE_ORDINARY = frozenset({
    b"if-none-exist", b"if-match", b"if-none-match", b"content-encoding", b"transfer-encoding",
    b"x-http-method-override",
})  # fmt: skip


class DirectRoutes:
    """Knows the function that answers a request, where it is sure of it."""

    def __init__(self, context: Context) -> None:
        self._context = context
        # What is read from another machine would hold up all others.
        self._at_once = context.lake.reads_locally
        self._costs = LoopCosts()
        self._threads: CapacityLimiter | None = None

    def find(self, scope: Scope) -> Answer | None:
        """What answers the request; None for what the routes have to look at."""
        parts = scope["path"].removeprefix(scope.get("root_path", "")).split("/")
        if len(parts) < 3 or parts[1] != "fhir" or parts[2] not in RESOURCE_TYPES:
            return None
        if not _takes_json(scope) or parts[2] == "AuditEvent":
            return None  # Of the log, which may have to be waited for.
        method = scope["method"]
        if method == "GET" or method == "HEAD":
            if len(parts) == 3:
                return self._search(parts[2], scope)
            if scope["query_string"] or not self._at_once or not is_id(parts[3]):
                return None
            if len(parts) == 4:
                return self._read(parts[2], parts[3])
            if len(parts) == 6 and parts[4] == "_history" and whole_number(parts[5]) is not None:
                return self._vread(parts[2], parts[3], parts[5])
        elif method == "POST" and len(parts) == 3 and not scope["query_string"]:
            return self._create(parts[2], scope)
        return None

    def _read(self, resource_type: str, id: str) -> Answer:
        async def answer(request: Request) -> Response:
            return read.read(resource_type, id, self._context, request)

        return answer

    def _vread(self, resource_type: str, id: str, version_id: str) -> Answer:
        async def answer(request: Request) -> Response:
            return vread.vread(resource_type, id, version_id, self._context, request)

        return answer

    def _search(self, resource_type: str, scope: Scope) -> Answer | None:
        query = scope["query_string"].decode("latin-1")
        params = parse_qsl(query, keep_blank_values=True)
        if any(name in REPRESENTATION_PARAMETERS for name, _ in params):
            return None
        lake = self._context.lake
        kind = ("search", resource_type, *(name for name, _ in params))

        async def answer(request: Request) -> Response:
            def found() -> Response:
                return search.answer(of_type(resource_type), params, self._context, request)

            # What is not in the index yet would have to be waited for.
            if self._at_once and self._costs.is_short(kind) and lake.is_indexed:
                return self._costs.measured(kind, found)
            return await to_thread.run_sync(
                self._costs.measured, kind, found, limiter=self._limiter()
            )

        return answer

    def _limiter(self) -> CapacityLimiter:
        """Of the event loop that this is used in."""
        if self._threads is None:
            self._threads = CapacityLimiter(THREADS)
        return self._threads

    def _create(self, resource_type: str, scope: Scope) -> Answer | None:
        lake = self._context.lake
        if not lake.takes_changes or resource_type in _NOT_AT_ONCE or not self._at_once:
            return None
        length = 0
        for name, value in scope["headers"]:
            if name in _OUT_OF_THE_ORDINARY:
                return None
            if name == b"content-length":
                length = whole_number(value.decode("latin-1")) or 0
        if not 0 < length <= MAX_BODY_BYTES:
            return None

        kind = ("create", resource_type)

        async def answer(request: Request) -> Response:
            body = await fhir_body(request)
            if self._costs.is_short(kind):
                return await create.create_soon(resource_type, body, self._context, request)

            def done() -> Response:
                return create.create(resource_type, body, self._context, request)

            return await run_in_threadpool(self._costs.measured, kind, done)

        return answer


def _takes_json(scope: Scope) -> bool:
    accept = ",".join(v.decode("latin-1") for n, v in scope["headers"] if n == b"accept")
    return negotiated(accept) == "json"
