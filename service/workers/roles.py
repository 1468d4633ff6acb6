"""What the processes of a service do: one opens the lakes for writing, the others answer."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
from collections.abc import Mapping, Sequence
from typing import Any

import uvicorn

from service.datastores import open_datastores
from service.settings import Settings
from service.workers.board import Board
from service.workers.frames import Link
from service.workers.front_link import FrontLink
from service.workers.part import Part, Secrets
from service.workers.server import PartServer
from service.workers.writer_link import WriterLink

_CHANNEL_BYTES = 1_048_576


def write(
    control: socket.socket,
    settings: Settings,
    secrets: Sequence[Secrets],
    board: Board,
    config: Mapping[str, Any],
) -> None:
    """The process that owns the lakes: does what fronts pass on, until it is told to stop."""
    parts = [
        Part(own, secret, board, number)
        for number, (own, secret) in enumerate(zip(_all(settings), secrets, strict=True))
    ]
    with open_datastores(settings, parts) as (app, lakes):
        links: list[FrontLink] = []

        def took(server: PartServer, channel: socket.socket) -> None:
            links[:] = [link for link in links if not link.is_lost]
            links.append(FrontLink(app, lakes, server.server_state.tasks))
            join = server.server_state.tasks
            task = asyncio.get_running_loop().create_task(_connected(links[-1].link, channel))
            join.add(task)
            task.add_done_callback(join.discard)

        gc.freeze()
        PartServer(uvicorn.Config(app, **config), control, took=took).run()


def answer(
    control: socket.socket,
    channel: socket.socket,
    settings: Settings,
    secrets: Sequence[Secrets],
    board: Board,
    front: int,
    config: Mapping[str, Any],
) -> None:
    """A front: answers what it can, passes the rest on."""
    loop_config = uvicorn.Config("", **config)
    factory = loop_config.get_loop_factory()
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(_front(control, channel, settings, secrets, board, front, config))


async def _front(
    control: socket.socket,
    channel: socket.socket,
    settings: Settings,
    secrets: Sequence[Secrets],
    board: Board,
    front: int,
    config: Mapping[str, Any],
) -> None:
    writer = WriterLink(asyncio.get_running_loop())
    # Nothing that was begun can be finished without it.
    writer.on_lost = lambda: os._exit(1)
    await _connected(writer.link, channel)
    parts = [
        Part(own, secret, board, number, front, writer)
        for number, (own, secret) in enumerate(zip(_all(settings), secrets, strict=True))
    ]
    with open_datastores(settings, parts) as (app, _):
        gc.freeze()
        await PartServer(uvicorn.Config(app, **config), control).serve()
        writer.on_lost = lambda: None
        writer.link.close()


async def _connected(link: Link, channel: socket.socket) -> None:
    channel.setblocking(False)
    for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
        channel.setsockopt(socket.SOL_SOCKET, option, _CHANNEL_BYTES)
    loop = asyncio.get_running_loop()
    await loop.create_unix_connection(lambda: link, sock=channel)


def _all(settings: Settings) -> list[Settings]:
    return [settings, *settings.datastores.values()]
