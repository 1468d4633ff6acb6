"""Many results of other threads reach the event loop by one wake-up, and none is left behind."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from concurrent.futures import Future
from functools import partial

import pytest

from service.wakeups import call_in, result_of


def test_all_results_arrive_whoever_is_faster() -> None:
    async def run() -> list[int]:
        futures: list[Future[int]] = [Future() for _ in range(2_000)]

        def complete(part: list[Future[int]]) -> None:
            for future in part:
                future.set_result(futures.index(future) if future is futures[0] else 1)

        threads = [threading.Thread(target=complete, args=(futures[n::4],)) for n in range(4)]
        for thread in threads:
            thread.start()
        async with asyncio.timeout(20):
            return list(await asyncio.gather(*map(result_of, futures)))

    assert asyncio.run(run()) == [0] + [1] * 1_999


def test_what_was_ready_wakes_the_loop_once() -> None:
    async def run() -> int:
        loop = asyncio.get_running_loop()
        futures: list[Future[None]] = [Future() for _ in range(50)]
        tasks = [asyncio.ensure_future(result_of(future)) for future in futures]
        await asyncio.sleep(0)
        calls = 0
        original = loop.call_soon_threadsafe

        def counted(*args: object, **named: object) -> object:
            nonlocal calls
            calls += 1
            return original(*args, **named)  # type: ignore[arg-type]

        loop.call_soon_threadsafe = counted  # type: ignore[method-assign, assignment]
        for future in futures:
            future.set_result(None)
        await asyncio.gather(*tasks)
        return calls

    assert asyncio.run(run()) == 1


def test_failures_and_who_gave_up() -> None:
    async def run() -> None:
        failing: Future[None] = Future()
        given_up: Future[None] = Future()
        task = asyncio.ensure_future(result_of(given_up))
        other = asyncio.ensure_future(result_of(failing))
        await asyncio.sleep(0)
        task.cancel()
        given_up.set_result(None)
        failing.set_exception(ValueError("x"))
        with pytest.raises(ValueError, match="x"):
            await other
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())


def test_calls_are_in_order_and_one_that_fails_stops_no_other() -> None:
    async def run() -> tuple[list[int], list[str]]:
        loop = asyncio.get_running_loop()
        told: list[str] = []
        loop.set_exception_handler(lambda _loop, context: told.append(str(context["exception"])))
        done: list[int] = []

        def call(number: int) -> None:
            if number == 3:
                raise ValueError("three")
            done.append(number)

        def ask() -> None:
            for number in range(10):
                call_in(loop, partial(call, number))

        thread = threading.Thread(target=ask)
        thread.start()
        async with asyncio.timeout(20):
            while len(done) < 9:
                await asyncio.sleep(0)
        thread.join()
        return done, told

    assert asyncio.run(run()) == ([0, 1, 2, 4, 5, 6, 7, 8, 9], ["three"])


def test_a_loop_that_is_closed_is_left_alone() -> None:
    late: Future[None] = Future()

    async def run() -> None:
        task = asyncio.ensure_future(result_of(late))
        await asyncio.sleep(0)
        task.cancel()

    asyncio.run(run())
    late.set_result(None)


def test_loops_are_not_kept() -> None:
    gone: list[weakref.ref[asyncio.AbstractEventLoop]] = []

    async def run() -> None:
        loop = asyncio.get_running_loop()
        gone.append(weakref.ref(loop))
        future: Future[None] = Future()
        threading.Thread(target=lambda: future.set_result(None)).start()
        await result_of(future)
        call_in(loop, partial(len, ()))

    asyncio.run(run())
    gc.collect()
    assert gone[0]() is None
