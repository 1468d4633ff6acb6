"""Requests inside a Bundle, answered by the routes that answer them outside of one.

Reads, searches, histories and operations need no second implementation that could differ.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Mapping
from contextlib import AsyncExitStack
from functools import cached_property
from types import TracebackType
from typing import Any, NamedTuple, Self
from urllib.parse import unquote

from fastapi import Request
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.types import Message

from schemas.outcomes import FhirError, Issue
from schemas.parse import parse_json
from service.errors import STATUS, unexpected
from service.representing import Representing

_KEPT = (b"host", b"x-forwarded-proto", b"x-forwarded-host")


class Answer(NamedTuple):
    """Status, headers (names in lower case) and body of an answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def failure(self) -> FhirError | None:
        """The failure that it tells; None for success."""
        if self.status < 400:
            return None
        category = next((name for name, one in STATUS.items() if one == self.status), "internal")
        issues = [
            Issue(
                issue.get("severity", "error"),
                issue.get("code", "processing"),
                issue.get("diagnostics", ""),
                tuple(issue.get("expression", ())),
            )
            for issue in parse_json(self.body).get("issue", ())
        ]
        return FhirError(category, issues)


class SubRequests:
    """Answers requests as parts of another one, in the thread that it is used in.

    `with SubRequests(request) as ask:`; they have the same agent, and an event loop of their own:
    a Bundle in a worker thread never waits for another worker thread.
    """

    def __init__(self, request: Request) -> None:
        """`request`: the one that carries the Bundle; its address gives the links of answers."""
        self._scope = request.scope
        self._app = request.app
        routes = ExceptionMiddleware(self._app.router, self._app.exception_handlers)
        self._routes = Representing(routes, nested=True)
        self._runner: asyncio.Runner | None = None

    @cached_property
    def operations(self) -> frozenset[str]:
        """The names of all operations that there are, without their `$`."""
        surfaces = self._app.state.surfaces
        return frozenset(one.name for surface in surfaces for one in surface.operations())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        failure: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._runner is not None:
            self._runner.close()

    def ask(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> Answer:
        """The answer to a request; `url` is relative to the FHIR base."""
        if self._runner is None:
            self._runner = asyncio.Runner()
        try:
            return self._runner.run(
                self._answer(method, url, headers or {}, body),
                context=contextvars.copy_context(),
            )
        except FhirError:
            raise
        except Exception as failure:
            raise unexpected(failure) from None

    async def _answer(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes
    ) -> Answer:
        path, _, query = url.partition("?")
        root = self._scope.get("root_path", "")
        given = [(name, value) for name, value in self._scope["headers"] if name in _KEPT]
        given += [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        below = f"/fhir/{path.strip('/')}".rstrip("/")
        status, answered, parts = 500, {}, []

        async def receive() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Message) -> None:
            nonlocal status, answered
            if message["type"] == "http.response.start":
                status = message["status"]
                answered = {k.decode().lower(): v.decode("latin-1") for k, v in message["headers"]}
            else:
                parts.append(message.get("body", b""))

        async with AsyncExitStack() as stack:
            scope: dict[str, Any] = {
                "type": "http",
                "asgi": self._scope.get("asgi", {"version": "3.0"}),
                "http_version": "1.1",
                # The routes know no HEAD: the edge asks them for what GET answers.
                "method": "GET" if method == "HEAD" else method,
                "scheme": self._scope["scheme"],
                "server": self._scope.get("server"),
                "client": self._scope.get("client"),
                "root_path": root,
                "path": root + unquote(below),
                "raw_path": (root + below).encode(),
                "query_string": query.encode(),
                "headers": given,
                "app": self._app,
                "state": self._scope.get("state", {}),
                "fastapi_middleware_astack": stack,
            }
            await self._routes(scope, receive, send)
        if method == "HEAD" and status < 400:
            parts.clear()  # As the HTTP server does.
        return Answer(status, answered, b"".join(parts))
