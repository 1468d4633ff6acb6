"""Results of other threads, awaited in an event loop with one wake-up for many of them.

A commit answers a dozen requests at once. To wake the loop for each of them (`asyncio.wrap_future`)
costs a system call and a hand-over of the interpreter a request.
"""

from __future__ import annotations

import asyncio
from collections import deque
from concurrent.futures import Future
from typing import TypeVar
from weakref import WeakKeyDictionary

T = TypeVar("T")


async def result_of(future: Future[T]) -> T:
    """The result of a future that another thread completes. Raises what it failed with."""
    if not future.done():
        loop = asyncio.get_running_loop()
        wakeups = _BY_LOOP.get(loop)
        if wakeups is None:
            wakeups = _BY_LOOP[loop] = _Wakeups(loop)
        waiter: asyncio.Future[None] = loop.create_future()
        future.add_done_callback(lambda _done: wakeups.wake(waiter))
        await waiter
    return future.result()


class _Wakeups:
    """Who is to go on in one event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._ready: deque[asyncio.Future[None]] = deque()
        self._called = False

    def wake(self, waiter: asyncio.Future[None]) -> None:
        """Let a waiter go on; called by any thread."""
        # In this order: who comes while the loop takes what is ready either is taken too, or calls
        # it again.
        self._ready.append(waiter)
        if not self._called and not self._loop.is_closed():
            self._called = True
            self._loop.call_soon_threadsafe(self._go_on)

    def _go_on(self) -> None:
        self._called = False
        ready = self._ready
        while ready:
            waiter = ready.popleft()
            if not waiter.done():  # It may have been cancelled.
                waiter.set_result(None)


_BY_LOOP: WeakKeyDictionary[asyncio.AbstractEventLoop, _Wakeups] = WeakKeyDictionary()
