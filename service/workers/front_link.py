"""The writer's end of the channel to a front: requests answered, calls done."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any

from starlette.types import ASGIApp, Message

from service.workers import frames, messages
from service.workers.frames import Link
from storage import audit_trail
from storage.elsewhere import Change, Stored
from storage.handed_changes import stored
from storage.lake import Lake
from storage.versions import Commit

# Pieces of an answer on their way: what a slow client makes this process keep.
_AHEAD = 4

# For what waits: for the index, for a search, for a large commit.
_THREADS = 8

# Larger changes are read and begun in a thread: they would hold up the event loop.
_LARGE_BYTES = 131_072


class FrontLink:
    """What one front asks for."""

    def __init__(self, app: ASGIApp, lakes: Sequence[Lake], tasks: set[asyncio.Task[None]]) -> None:
        """`tasks`: where the requests under way are kept, for who waits for them at the end."""
        self.link = Link(self._received, self._lost)
        self._app = app
        self._lakes = lakes
        self._tasks = tasks
        self._loop = asyncio.get_running_loop()
        self._answers: dict[int, _Answer] = {}
        self._lock = threading.Lock()
        self._threads = ThreadPoolExecutor(_THREADS, "chartlake-front")
        self._ready: list[tuple[int, int, bytes]] = []
        self.is_lost = False

    def _received(self, kind: int, stream: int, payload: bytes) -> None:
        if kind == frames.CALL:
            self._call(stream, payload)
            return
        if kind == frames.REQUEST:
            head, body, more = messages.read_request(payload)
            answer = self._answers[stream] = _Answer(self.link, stream, body, more)
            task = self._loop.create_task(self._answer(head, answer, stream))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            return
        known = self._answers.get(stream)
        if known is not None:
            known.received(kind, payload)

    async def _answer(self, head: messages.RequestHead, answer: _Answer, stream: int) -> None:
        try:
            await self._app(messages.scope_of(head), answer.receive, answer.send)
        finally:
            del self._answers[stream]
            if not answer.is_complete and not self.is_lost:
                self.link.send(frames.BROKEN, stream)

    def _lost(self) -> None:
        self.is_lost = True
        self._threads.shutdown(wait=False)
        for answer in self._answers.values():
            answer.received(frames.GONE, b"")

    def _call(self, stream: int, payload: bytes) -> None:
        kind, number = messages.read_call(payload)
        lake = self._lakes[number]
        try:
            if kind == messages.INDEX and lake.is_indexed:
                self.link.send(frames.RESULT, stream, messages.result(kind, None))
            elif kind == messages.COMMIT and len(payload) <= _LARGE_BYTES:
                change = messages.argument_of(payload)
                begun = lake.begin_prepared(change) if change.operations else None
                if begun is None:
                    self._in_thread(stream, kind, partial(_commit, lake, change))
                else:
                    begun.add_done_callback(partial(self._done, stream, kind))
            else:
                work = partial(_WORK[kind], lake)
                self._in_thread(stream, kind, lambda: work(messages.argument_of(payload)))
        except Exception as failed:
            self.link.send(frames.FAILURE, stream, messages.failure(failed))

    def _in_thread(self, stream: int, kind: int, work: Callable[[], Any]) -> None:
        self._threads.submit(work).add_done_callback(partial(self._done, stream, kind))

    def _done(self, stream: int, kind: int, done: Future[Any]) -> None:
        """In the thread that did it: of the lake's writer, or one of ours."""
        failed = done.exception()
        if failed is None:
            found = done.result()
            value = stored(found) if isinstance(found, Commit) else found
            answer = frames.RESULT, stream, messages.result(kind, value)
        else:
            answer = frames.FAILURE, stream, messages.failure(failed)
        # Those of one commit come one after the other, and wake the event loop once.
        with self._lock:
            self._ready.append(answer)
            if len(self._ready) > 1:
                return
        self._loop.call_soon_threadsafe(self._tell)

    def _tell(self) -> None:
        with self._lock:
            ready, self._ready = self._ready, []
        if not self.is_lost:
            for kind, stream, payload in ready:
                self.link.send(kind, stream, payload)


def _commit(lake: Lake, change: Change) -> Stored:
    if not change.operations:
        lake.check_guards(change.guards)
        return Stored(lake.t, 0, [])
    return stored(lake.transact_prepared(change))


def _index(lake: Lake, t: int) -> None:
    lake.index_all(t)


def _term(lake: Lake, text: str) -> int:
    return lake.new_term(text)


def _find(lake: Lake, argument: list[Any]) -> tuple[int, Any, list[str]]:
    resource_type, params, limit = argument
    # The front records what it gives out of what was found.
    with audit_trail.unobserved():
        found = lake.find(resource_type, [(name, value) for name, value in params], limit=limit)
    return found.guard.since_t, found.guard, [version.id for version in found.versions]


_WORK: dict[int, Callable[[Lake, Any], Any]] = {
    messages.COMMIT: _commit,
    messages.INDEX: _index,
    messages.TERM: _term,
    messages.FIND: _find,
}


class _Answer:
    """One request that came through the channel, as an ASGI server would give it."""

    def __init__(self, link: Link, stream: int, body: bytes, more: bool) -> None:
        self._link = link
        self._stream = stream
        self._pieces: deque[tuple[bytes, bool]] = deque()
        if body or not more:
            self._pieces.append((body, more))
        self._more = True
        self._gone = False
        self._on_way = 0
        self._head: bytes | None = None
        # What the application reads and what it sends may wait at the same time.
        self._changed = asyncio.Event()
        self._wanted = False
        self.is_complete = False

    def received(self, kind: int, payload: bytes) -> None:
        """A frame for this request."""
        if kind == frames.BODY:
            self._wanted = False
            self._pieces.append(messages.read_piece(payload))
        elif kind == frames.TAKEN:
            self._on_way -= 1
        else:
            self._gone = True
        self._changed.set()

    async def _wait(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    async def receive(self) -> Message:
        """ASGI: a piece of the body, then the end of the client."""
        while not self._pieces and not self._gone and not self.is_complete:
            if not self._wanted:
                # After the body, what is waited for is that the client goes.
                self._wanted = True
                self._link.send(frames.WANTED, self._stream)
            await self._wait()
        if self._gone or not self._pieces:
            return {"type": "http.disconnect"}
        body, self._more = self._pieces.popleft()
        return {"type": "http.request", "body": body, "more_body": self._more}

    async def send(self, message: Message) -> None:
        """ASGI: head and pieces of the answer."""
        if self._gone or self.is_complete:
            return
        if message["type"] == "http.response.start":
            self._head = messages.answer_head(message["status"], list(message["headers"]))
            return
        body, more = message.get("body", b""), message.get("more_body", False)
        while self._on_way >= _AHEAD and not self._gone:
            await self._wait()
        if self._gone:
            return
        if self._head is not None:
            head, self._head = self._head, None
            self._link.send(frames.ANSWER, self._stream, *messages.with_body(head, body, more=more))
        else:
            self._link.send(frames.PIECE, self._stream, *messages.piece(body, more=more))
        self._on_way += 1
        self.is_complete = not more
        self._changed.set()
