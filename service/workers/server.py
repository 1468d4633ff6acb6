"""uvicorn without a listener: connections, channels and the end come from the parent."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn

from service.workers import process


class PartServer(uvicorn.Server):
    """Serves what its parent hands over."""

    def __init__(
        self,
        config: uvicorn.Config,
        control: socket.socket,
        *,
        took: Callable[[PartServer, socket.socket], None] | None = None,
    ) -> None:
        """`took(server, channel)` is called with what is handed over as a channel."""
        super().__init__(config)
        self._control = control
        self._took = took
        self._closed = 0
        self._accepting: set[asyncio.Task[None]] = set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are the parent's business."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start the application, and tell the parent that it may hand things over."""
        await super().startup(sockets=[])
        if self.should_exit:
            return
        self._control.setblocking(False)
        asyncio.get_running_loop().add_reader(self._control.fileno(), self._hear)
        self._control.send(process.READY)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer what is under way, then end the application."""
        await super().shutdown(sockets=[])
        if self.force_exit:  # uvicorn would leave it in the middle of what it does.
            await self.lifespan.shutdown()

    def _hear(self) -> None:
        while True:
            try:
                message, descriptors, _, _ = socket.recv_fds(self._control, process.MOST_BYTES, 16)
            except BlockingIOError:
                return
            except OSError:
                message, descriptors = b"", []
            if not message:
                os._exit(1)  # The parent is gone.
            kind = message[:1]
            if kind == process.STOP:
                self.should_exit = True
            elif kind == process.HURRY:
                self.should_exit = self.force_exit = True
            for descriptor in descriptors:
                handed = socket.socket(fileno=descriptor)
                if kind == process.CHANNEL and self._took is not None:
                    self._took(self, handed)
                else:
                    self._serve_connection(handed)

    def _serve_connection(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        loop = asyncio.get_running_loop()
        task = loop.create_task(self._accepted(connection))
        self._accepting.add(task)
        task.add_done_callback(self._accepting.discard)

    async def _accepted(self, connection: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.connect_accepted_socket(self._protocol, connection)
        except OSError:  # The client has gone meanwhile.
            connection.close()
            self._connection_closed()

    def _protocol(self) -> asyncio.Protocol:
        made = self.config.http_protocol_class(  # type: ignore[call-arg]
            config=self.config,
            server_state=self.server_state,
            app_state=self.lifespan.state,
        )
        lost = made.connection_lost

        def connection_lost(failure: Exception | None) -> None:
            lost(failure)
            self._connection_closed()

        setattr(made, "connection_lost", connection_lost)  # noqa: B010
        return made

    def _connection_closed(self) -> None:
        """Tell the parent, so that connections are spread by how many are open."""
        self._closed += 1
        try:
            self._control.send(process.CLOSED * self._closed)
        except (BlockingIOError, BrokenPipeError, ConnectionResetError):
            return  # Told with the next one.
        self._closed = 0
