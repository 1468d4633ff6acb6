"""HTTP/1.1 of a connection, with bounds that uvicorn does not have: of the head's size and time.

Without them a client could send a header without end, which is kept in memory, or hold connections
open by never finishing one. What is no HTTP at all is answered with an OperationOutcome, too.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from schemas.outcomes import error, operation_outcome
from schemas.parse import canonical_bytes
from service.errors import FHIR_JSON, status_of
from service.request_limits import MAX_HEADER_BYTES
from service.workers.writer_link import BODY_AT_HAND

HEAD_PATIENCE_S = 30
"""How long a client may take for the head of a request, or until it begins the first one."""

# The edge refuses what is over its bounds, with an audit event; this is what need not be read on.
_MOST_ADDRESS_BYTES = 65_535  # More cannot be taken apart by httptools.
_MOST_HEADER_BYTES = 2 * MAX_HEADER_BYTES
# With what an event loop reads at once: the end of another request's body may come with a head.
_MOST_UNFINISHED_BYTES = _MOST_ADDRESS_BYTES + _MOST_HEADER_BYTES + 262_144


class BoundedHttp(HttpToolsProtocol):
    """A connection whose heads are bounded."""

    _timer: asyncio.TimerHandle | None = None
    _address_bytes = 0
    _header_bytes = 0
    _unfinished = 0

    def connection_made(self, transport: Any) -> None:
        """Expect a request."""
        super().connection_made(transport)
        self._expect()

    def connection_lost(self, exc: Exception | None) -> None:
        """Expect nothing any more."""
        self._settle()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        self._address_bytes = self._header_bytes = 0
        self._expect()
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """A part of the address."""
        self._address_bytes += len(url)
        if self._address_bytes > _MOST_ADDRESS_BYTES:
            raise ValueError
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header."""
        self._header_bytes += len(name) + len(value)
        if self._header_bytes > _MOST_HEADER_BYTES:
            raise ValueError
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The end of a head."""
        self._settle()
        self.scope[BODY_AT_HAND] = self._is_body_at_hand  # type: ignore[literal-required]
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        """Bytes of the client."""
        super().data_received(data)
        if self._timer is None or self.transport.is_closing():
            self._unfinished = 0
            return
        self._unfinished += len(data)
        if self._unfinished > _MOST_UNFINISHED_BYTES:
            # An address or a header that does not end: the parser has told nothing of it yet.
            self._header_bytes = self._unfinished
            self.send_400_response("")

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP, or too much of it, and close the connection."""
        self._settle()
        if self._address_bytes > _MOST_ADDRESS_BYTES:
            failure = error("uri-too-long", "The address is too long.")
        elif self._header_bytes > _MOST_HEADER_BYTES:
            failure = error("headers-too-large", "The headers are too large.")
        else:
            failure = error("invalid", "The request could not be read as HTTP.")
        self._refuse(status_of(failure), canonical_bytes(operation_outcome(failure.issues)))

    def _is_body_at_hand(self) -> bool:
        """Whether all of the body of the request that is being answered has come."""
        return not self.cycle.more_body

    def _refuse(self, status: int, body: bytes) -> None:
        head = (
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n"
            f"content-type: {FHIR_JSON}\r\ncontent-length: {len(body)}\r\n"
            "cache-control: no-store\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode("ascii") + body)
        self.transport.close()

    def _expect(self) -> None:
        self._settle()
        self._timer = self.loop.call_later(HEAD_PATIENCE_S, self._give_up)

    def _settle(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _give_up(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()
