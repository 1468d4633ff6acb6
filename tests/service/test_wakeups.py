"""Many results of other threads reach the event loop by one wake-up, and none is left behind."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future

import pytest

from service.wakeups import result_of


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


def test_a_loop_that_is_closed_is_left_alone() -> None:
    late: Future[None] = Future()

    async def run() -> None:
        task = asyncio.ensure_future(result_of(late))
        await asyncio.sleep(0)
        task.cancel()

    asyncio.run(run())
    late.set_result(None)
