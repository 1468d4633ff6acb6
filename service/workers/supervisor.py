"""The parent of the service's processes: shares connections out, starts and stops the others.

It has no lake open and one thread, so it can fork another front at any time. A front that ends is
started again; without the process that writes nothing can go on, and the service ends.
"""

from __future__ import annotations

import contextlib
import logging
import os
import selectors
import signal
import socket
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import FrameType
from typing import Any

from service.settings import SettingError, Settings
from service.workers import process, roles
from service.workers.board import Board
from service.workers.part import Secrets
from service.workers.process import Child

log = logging.getLogger("chartlake")

# For answers under way, before fronts are killed; the process that writes is never.
_PATIENCE_S = 15.0

# A front that ends sooner could not start; after so many of them in a row the service ends.
_SHORT_S = 10.0
_MOST_SHORT = 5

# Of the listener's connections in one go.
_ACCEPTED = 64


class Front:
    """A front, how many connections it has, whether it takes more."""

    def __init__(self, number: int, child: Child) -> None:
        self.number = number
        self.child = child
        self.connections = 0
        self.is_ready = False
        self.began = time.monotonic()


class Supervisor:
    """Runs the processes of one service."""

    def __init__(
        self,
        settings: Settings,
        secrets: Sequence[Secrets],
        listener: socket.socket,
        config: Mapping[str, Any],
        fronts: int,
    ) -> None:
        """`config`: of uvicorn; `fronts`: how many."""
        self._settings = settings
        self._secrets = secrets
        self._listener = listener
        self._config = config
        self._board = Board(1 + len(settings.datastores), fronts)
        self._count = fronts
        self._fronts: dict[int, Front] = {}
        self._short = 0
        self._waiting: deque[socket.socket] = deque()
        self._stop = 0
        self._interrupted = False
        self._turn = 0
        self._selector = selectors.DefaultSelector()

    def run(self, announce: Callable[[], None]) -> None:
        """Serve until a signal says to stop. Raises what keeps a process from starting.

        `announce()` is called when the lakes are open.
        """
        woken, waker = os.pipe()
        os.set_blocking(woken, False)
        os.set_blocking(waker, False)
        signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
        for stopping in (signal.SIGTERM, signal.SIGINT):
            signal.signal(stopping, self._signalled)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        self._selector.register(woken, selectors.EVENT_READ)
        self._woken = woken
        self._writer = Child(
            "process that writes",
            partial(
                roles.write,
                settings=self._settings,
                secrets=self._secrets,
                board=self._board,
                config=self._config,
            ),
            self._listener,
        )
        try:
            self._await_writer()
            if not self._stop:
                announce()
                for number in range(self._count):
                    self._start(number)
                self._listener.setblocking(False)
                self._serve()
        finally:
            self._end()
        if self._interrupted:
            raise KeyboardInterrupt

    # Stages

    def _await_writer(self) -> None:
        self._selector.register(self._writer.control, selectors.EVENT_READ)
        while not self._stop:
            self._selector.select()
            self._drain()
            message = self._writer.heard()
            if message == process.READY:
                return
            if message is not None:
                raise self._failed(message)

    def _serve(self) -> None:
        listening = False
        while not self._stop:
            ready = any(front.is_ready for front in self._fronts.values())
            if ready != listening:
                if ready:
                    self._selector.register(self._listener, selectors.EVENT_READ)
                else:
                    self._selector.unregister(self._listener)
                listening = ready
            pause = 0.05 if self._waiting else None
            for key, _ in self._selector.select(pause):
                if key.fileobj is self._listener:
                    self._accept()
                elif key.fileobj is self._writer.control:
                    message = self._writer.heard()
                    if message is not None:
                        raise self._failed(message)
                elif key.data is not None:
                    self._hear(key.data)
            self._drain()
            self._hand_over()

    def _end(self) -> None:
        """Stop the fronts, then the process that writes; whatever they are at."""
        self._listener.close()
        for connection in self._waiting:
            connection.close()
        for front in self._fronts.values():
            front.child.tell(process.STOP)
        deadline = time.monotonic() + _PATIENCE_S
        hurried = False
        while self._fronts:
            if self._stop > 1 and not hurried:
                hurried = True
                for front in self._fronts.values():
                    front.child.tell(process.HURRY)
            for number, front in list(self._fronts.items()):
                if time.monotonic() > deadline:
                    front.child.kill()
                if _has_ended(front.child):
                    del self._fronts[number]
            time.sleep(0.01)
        self._writer.tell(process.STOP)
        while not _has_ended(self._writer):
            time.sleep(0.01)

    # Connections

    def _accept(self) -> None:
        for _ in range(_ACCEPTED):
            try:
                connection, _address = self._listener.accept()
            except OSError:  # None any more, or no file for it: the next time.
                return
            self._waiting.append(connection)

    def _hand_over(self) -> None:
        """Give each connection to the front that has the fewest."""
        while self._waiting:
            ready = [front for front in self._fronts.values() if front.is_ready]
            if not ready:
                return
            self._turn += 1
            least = min(ready, key=lambda f: (f.connections, (f.number + self._turn) % self._count))
            if not least.child.tell(process.CONNECTIONS, self._waiting[0].fileno()):
                return
            least.connections += 1
            self._waiting.popleft().close()

    # Fronts

    def _start(self, number: int) -> None:
        ours, theirs = socket.socketpair()
        others = [self._listener, self._writer.control, ours]
        others += [front.child.control for front in self._fronts.values()]
        others += self._waiting
        child = Child(
            f"front {number + 1}",
            partial(
                roles.answer,
                channel=theirs,
                settings=self._settings,
                secrets=self._secrets,
                board=self._board,
                front=number,
                config=self._config,
            ),
            *others,
        )
        self._writer.tell(process.CHANNEL, ours.fileno())
        ours.close()
        theirs.close()
        self._fronts[number] = Front(number, child)
        self._selector.register(child.control, selectors.EVENT_READ, self._fronts[number])

    def _hear(self, front: Front) -> None:
        while (message := front.child.heard()) is not None:
            kind = message[:1]
            if kind == process.READY:
                front.is_ready = True
            elif kind == process.CLOSED:
                front.connections -= len(message)
            elif kind == process.FAILED and not front.is_ready:
                raise process.failure_of(message)
            elif not message:
                self._ended(front)
                return

    def _ended(self, front: Front) -> None:
        self._selector.unregister(front.child.control)
        front.child.control.close()
        front.child.kill()
        while not _has_ended(front.child):
            time.sleep(0.005)
        del self._fronts[front.number]
        self._board.front_ended(front.number)
        if time.monotonic() - front.began < _SHORT_S:
            self._short += 1
        else:
            self._short = 0
        if self._short >= _MOST_SHORT:
            raise SettingError("processes that answer end as soon as they are started")
        log.error("%s ended unexpectedly; it is started again", front.child.name)
        self._start(front.number)

    def _failed(self, message: bytes) -> Exception:
        if message[:1] == process.FAILED:
            return process.failure_of(message)
        for front in self._fronts.values():
            front.child.kill()
        return SettingError("the process that writes ended unexpectedly; nothing stored is lost")

    def _signalled(self, number: int, _frame: FrameType | None) -> None:
        if self._stop == 0:
            self._interrupted = number == signal.SIGINT
            self._stop = 1
        elif number == signal.SIGINT:
            self._stop = 2

    def _drain(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._woken, 1024)


def _has_ended(child: Child) -> bool:
    try:
        return os.waitpid(child.pid, os.WNOHANG)[0] == child.pid
    except ChildProcessError:
        return True
