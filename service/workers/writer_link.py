"""A front's end of its channel: requests passed on to the process that writes, and calls of it."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any, TypeVar

from starlette.types import Message, Receive, Scope, Send

from schemas.outcomes import error
from service.workers import frames, messages
from service.workers.frames import Link
from storage.elsewhere import Change, NotHere, Stored
from storage.recent_versions import Guard

R = TypeVar("R")

BODY_AT_HAND = "chartlake.body_at_hand"
"""Key of a scope: a function that tells whether the whole body of the request has come."""


class WriterLink:
    """Used in one event loop; what other threads ask for goes through it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """`link` is to be set to the channel."""
        self.link = Link(self._received, self._lost)
        self.is_lost = False
        self._loop = loop
        self._thread = threading.get_ident()
        self._last = 0
        self._requests: dict[int, _Relayed] = {}
        self._calls: dict[int, tuple[int, Future[Any]]] = {}
        self.on_lost = lambda: None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """An ASGI application: what the process that writes answers."""
        at_hand = scope.get(BODY_AT_HAND)
        body, more = b"", True
        if at_hand is not None and at_hand():
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body, more = message.get("body", b""), message.get("more_body", False)
        stream = self._next()
        relayed = self._requests[stream] = _Relayed(self, stream, receive)
        head = messages.request_head(scope)
        self.link.send(frames.REQUEST, stream, *messages.with_body(head, body, more=more))
        try:
            await relayed.answer(send)
        finally:
            del self._requests[stream]
            relayed.end()
            if not relayed.is_answered and not self.is_lost:
                self.link.send(frames.GONE, stream)

    def call(self, kind: int, lake: int, argument: Any) -> Future[Any]:
        """Have the process that writes do something; from any thread."""
        payload = messages.call(kind, lake, argument)
        future: Future[Any] = Future()
        future.set_running_or_notify_cancel()
        if self.is_in_loop:
            self._call(kind, payload, future)
        else:
            self._loop.call_soon_threadsafe(self._call, kind, payload, future)
        return future

    @property
    def is_in_loop(self) -> bool:
        """Whether this is the thread of the event loop, which must not wait."""
        return threading.get_ident() == self._thread

    def _call(self, kind: int, payload: tuple[bytes, bytes], future: Future[Any]) -> None:
        if self.is_lost:
            future.set_exception(_lost())
            return
        stream = self._next()
        self._calls[stream] = (kind, future)
        self.link.send(frames.CALL, stream, *payload)

    def _next(self) -> int:
        # Streams that are open are far fewer than there are numbers.
        self._last = self._last % 0xFFFF_FFFF + 1
        while self._last in self._requests or self._last in self._calls:
            self._last = self._last % 0xFFFF_FFFF + 1
        return self._last

    def _received(self, kind: int, stream: int, payload: bytes) -> None:
        if kind in (frames.RESULT, frames.FAILURE):
            asked, future = self._calls.pop(stream)
            if kind == frames.RESULT:
                future.set_result(messages.read_result(asked, payload))
            else:
                future.set_exception(messages.read_failure(payload))
            return
        relayed = self._requests.get(stream)
        if relayed is not None:  # Else its client has gone.
            relayed.received(kind, payload)

    def _lost(self) -> None:
        self.is_lost = True
        calls, self._calls = self._calls, {}
        for _, future in calls.values():
            future.set_exception(_lost())
        for relayed in self._requests.values():
            relayed.received(frames.BROKEN, b"")
        self.on_lost()


def _lost() -> Exception:
    return error("unavailable", "The service stops. Whether this was stored is not known.")


class _Relayed:
    """One request that was passed on."""

    def __init__(self, writer: WriterLink, stream: int, receive: Receive) -> None:
        self._writer = writer
        self._stream = stream
        self._receive = receive
        self._frames: deque[tuple[int, bytes]] = deque()
        self._arrived: asyncio.Future[None] | None = None
        self._reading: asyncio.Task[None] | None = None
        self.is_answered = False

    def received(self, kind: int, payload: bytes) -> None:
        """A frame for this request."""
        if kind == frames.WANTED:
            if self._reading is None or self._reading.done():
                self._reading = asyncio.ensure_future(self._read())
            return
        self._frames.append((kind, payload))
        if self._arrived is not None and not self._arrived.done():
            self._arrived.set_result(None)

    async def answer(self, send: Send) -> None:
        """Send the answer on. Raises RuntimeError where there is none, or not all of it."""
        loop = asyncio.get_running_loop()
        while True:
            while not self._frames:
                self._arrived = loop.create_future()
                await self._arrived
            kind, payload = self._frames.popleft()
            if kind == frames.BROKEN:
                self.is_answered = True
                raise RuntimeError("the process that writes gave no whole answer")
            if kind == frames.ANSWER:
                head, body, more = messages.read_answer(payload)
                started = {"type": "http.response.start", "status": head.status}
                await send({**started, "headers": head.headers})
            else:
                body, more = messages.read_piece(payload)
            self.is_answered = not more
            await send({"type": "http.response.body", "body": body, "more_body": more})
            if not more:
                return
            self._writer.link.send(frames.TAKEN, self._stream)

    def end(self) -> None:
        """Read nothing more of the client."""
        if self._reading is not None:
            self._reading.cancel()

    async def _read(self) -> None:
        message: Message = await self._receive()
        link = self._writer.link
        if message["type"] == "http.disconnect":
            link.send(frames.GONE, self._stream)
            return
        more = message.get("more_body", False)
        link.send(frames.BODY, self._stream, *messages.piece(message.get("body", b""), more=more))


class LakeElsewhere:
    """One lake of the process that writes: `storage.elsewhere.Elsewhere`."""

    def __init__(self, writer: WriterLink, lake: int) -> None:
        """`lake`: its number."""
        self._writer = writer
        self._lake = lake

    def begin(self, change: Change) -> Future[Stored]:
        """See `Elsewhere`."""
        return self._writer.call(messages.COMMIT, self._lake, change)

    def wait(self, future: Future[R]) -> R:
        """See `Elsewhere`."""
        self._refuse_to_wait()
        return future.result()

    def await_index(self, t: int) -> None:
        """See `Elsewhere`."""
        self._refuse_to_wait()
        self._writer.call(messages.INDEX, self._lake, t).result()

    def term(self, text: str) -> int:
        """See `Elsewhere`."""
        self._refuse_to_wait()
        return int(self._writer.call(messages.TERM, self._lake, text).result())

    def find(
        self, resource_type: str, params: Sequence[tuple[str, str]], limit: int
    ) -> tuple[int, Guard, list[str]]:
        """See `Elsewhere`."""
        self._refuse_to_wait()
        argument = (resource_type, list(params), limit)
        found: tuple[int, Guard, list[str]] = self._writer.call(
            messages.FIND, self._lake, argument
        ).result()
        return found

    def _refuse_to_wait(self) -> None:
        if self._writer.is_in_loop:
            raise NotHere
