"""What other threads have for an event loop, told with one wake-up for many of them.

A commit answers a dozen requests at once. To wake the loop for each of them (`asyncio.wrap_future`,
`call_soon_threadsafe`) costs a system call and a hand-over of the interpreter a request.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import TypeVar
from weakref import WeakKeyDictionary, ref

T = TypeVar("T")


async def result_of(future: Future[T]) -> T:
    """The result of a future that another thread completes. Raises what it failed with."""
    if not future.done():
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[None] = loop.create_future()
        future.add_done_callback(lambda _done: call_in(loop, partial(_go_on, waiter)))
        await waiter
    return future.result()


def call_in(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
    """Have an event loop call something soon, in the order of asking; for any thread.

    Nothing is called once the loop is closed.
    """
    wakeups = _BY_LOOP.get(loop)
    if wakeups is None:  # Of several threads that come here at once one makes it.
        wakeups = _BY_LOOP.setdefault(loop, _Wakeups(loop))
    wakeups.add(call)


class _Wakeups:
    """What is to be called in one event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        # Not kept alive by what is kept for it.
        self._loop = ref(loop)
        self._calls: deque[Callable[[], None]] = deque()
        self._woken = False

    def add(self, call: Callable[[], None]) -> None:
        # In this order: what comes while the loop is at work here is done too, or wakes it again.
        self._calls.append(call)
        if self._woken:
            return
        loop = self._loop()
        if loop is None or loop.is_closed():
            self._calls.clear()
            return
        self._woken = True
        loop.call_soon_threadsafe(self._run, loop)

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        self._woken = False
        calls = self._calls
        while calls:
            call = calls.popleft()
            try:
                call()
            except Exception as failure:
                loop.call_exception_handler(
                    {"message": "a call from another thread failed", "exception": failure}
                )


def _go_on(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():  # It may have been cancelled.
        waiter.set_result(None)


_BY_LOOP: WeakKeyDictionary[asyncio.AbstractEventLoop, _Wakeups] = WeakKeyDictionary()
