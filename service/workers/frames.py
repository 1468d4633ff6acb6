"""Frames on the channel between a front and the process that writes.

A frame is its length, kind and stream (a request, or a call), then its payload. Frames of many
streams are interleaved; those that are ready at once leave in one write.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from typing import Any

_HEAD = struct.Struct("<IBI")

# Kinds. From a front: a request, more of its body, its client is gone; a call.
REQUEST, BODY, GONE, CALL = 1, 2, 3, 4
# From the writer: the next piece of the body is wanted; an answer, more of it, its end without
# being whole; what a call gave or failed with.
WANTED, ANSWER, PIECE, BROKEN, RESULT, FAILURE = 5, 6, 7, 8, 9, 10
# From a front: a piece of an answer has left.
TAKEN = 11

MOST_BYTES = 2**32 - 1


class Link(asyncio.Protocol):
    """One end of a channel, in an event loop."""

    def __init__(
        self, received: Callable[[int, int, bytes], None], lost: Callable[[], None]
    ) -> None:
        """`received(kind, stream, payload)` is called with each frame, `lost` at the end."""
        self._received = received
        self._lost = lost
        self._transport: Any = None
        self._out: list[bytes] = []
        self._rest = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The channel is open."""
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        # Bodies are bounded by what each request may have on its way.
        self._transport.set_write_buffer_limits(high=2**30)

    def connection_lost(self, exc: Exception | None) -> None:
        """The other end is gone."""
        self._transport = None
        self._lost()

    def send(self, kind: int, stream: int, *parts: bytes) -> None:
        """Have a frame sent. Only in the event loop."""
        length = sum(map(len, parts))
        if length > MOST_BYTES:
            raise OverflowError("a frame is too large")
        if not self._out:
            self._loop.call_soon(self._flush)
        self._out.append(_HEAD.pack(length, kind, stream))
        self._out.extend(parts)

    def close(self) -> None:
        """Send what waits, and close."""
        if self._transport is not None:
            self._flush()
            self._transport.close()

    def _flush(self) -> None:
        out, self._out = self._out, []
        if out and self._transport is not None:
            self._transport.write(b"".join(out))

    def data_received(self, data: bytes) -> None:
        """Take frames apart."""
        if self._rest:
            self._rest += data
            if len(self._rest) < self._needed:
                return
            data, self._rest = bytes(self._rest), bytearray()
        at, end = 0, len(data)
        while end - at >= _HEAD.size:
            length, kind, stream = _HEAD.unpack_from(data, at)
            begin = at + _HEAD.size
            if begin + length > end:
                self._needed = _HEAD.size + length
                break
            at = begin + length
            self._received(kind, stream, data[begin:at])
        else:
            self._needed = _HEAD.size
        if at < end:
            self._rest += data[at:]

    _needed = _HEAD.size
