"""Bounds of a connection: heads that do not end, clients that do not go on, what is no HTTP."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn

from service.app import create_app
from service.settings import load_settings
from storage.lake import Lake, Put

http_protocol = pytest.importorskip("service.http_protocol", reason="needs httptools")

GET = b"GET /fhir/Patient/p HTTP/1.1\r\nHost: localhost\r\n"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, int]]:
    """Where a service in this process listens."""
    patience = http_protocol.HEAD_PATIENCE_S
    http_protocol.HEAD_PATIENCE_S = 0.3
    listener = socket.create_server(("127.0.0.1", 0))
    with Lake.open(tmp_path_factory.mktemp("protocol") / "lake") as lake:
        lake.transact([Put({"resourceType": "Patient", "id": "p"})])
        app = create_app(lake, load_settings({"nlp": False}, environ={}))
        config = uvicorn.Config(
            app,
            http=http_protocol.BoundedHttp,
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield listener.getsockname()
        server.should_exit = True
        thread.join()
    http_protocol.HEAD_PATIENCE_S = patience


def said(address: tuple[str, int], *parts: bytes, pause_s: float = 0.0) -> bytes:
    """What the service answers to bytes, until it closes or has answered."""
    with socket.create_connection(address, timeout=20) as connection:
        for part in parts:
            try:
                connection.sendall(part)
            except OSError:
                break
            time.sleep(pause_s)
        answer = b""
        try:
            while more := connection.recv(65_536):
                answer += more
                head, _, body = answer.partition(b"\r\n\r\n")
                length = head.lower().partition(b"content-length: ")[2].partition(b"\r")[0]
                if length and len(body) >= int(length):
                    break
        except ConnectionResetError:
            pass
        return answer


def status(answer: bytes) -> int:
    return int(answer[9:12])


def refused(address: tuple[str, int], *parts: bytes) -> int:
    """The status of a request that is refused while it is still being sent.

    The answer may be lost where the connection is reset before it was read: asked again then.
    """
    answer = b""
    for _ in range(10):
        answer = said(address, *parts)
        if answer:
            break
    return status(answer)


def test_what_is_no_http_is_told_so(address: tuple[str, int]) -> None:
    for junk in (b"\x16\x03\x01\x00\xa5\x01\r\n\r\n", b"GET\r\n\r\n", b"FOO BAR BAZ\r\n\r\n"):
        answer = said(address, junk)
        assert status(answer) == 400, answer
        assert b"application/fhir+json" in answer and b"OperationOutcome" in answer
        assert b"no-store" in answer


def test_conflicting_lengths_are_refused(address: tuple[str, int]) -> None:
    smuggled = (
        b"POST /fhir/Patient HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    )
    assert status(said(address, smuggled)) == 400
    twice = GET + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n"
    assert status(said(address, twice)) == 400


def test_odd_but_whole_requests_are_answered(address: tuple[str, int]) -> None:
    assert status(said(address, GET + b"\r\n")) == 200
    assert status(said(address, b"GET /fhir/Patient/p HTTP/1.0\r\nHost: localhost\r\n\r\n")) == 200
    assert status(said(address, b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n")) in (400, 404)
    for path in (b"/%00", b"/fhir/%ff%fe", b"/fhir/Patient/%2e%2e%2f", b"//", b"/fhir//Patient"):
        asked = b"GET " + path + b" HTTP/1.1\r\nHost: localhost\r\n\r\n"
        assert status(said(address, asked)) in (200, 400, 404), path
    chunked = (
        b"POST /fhir/Patient HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
        b"Content-Type: application/fhir+json\r\n\r\n"
    )
    body = b'{"resourceType":"Patient"}'
    assert status(said(address, chunked, b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))) == 201
    assert status(said(address, chunked, b"zz\r\n")) == 400


def test_heads_are_bounded(address: tuple[str, int]) -> None:
    limit = 2 * http_protocol.MAX_HEADER_BYTES
    assert refused(address, GET + b"X: " + b"x" * 70_000 + b"\r\n\r\n") == 431
    assert refused(address, GET, *(b"X-%d: x\r\n" % n * 500 for n in range(100))) == 431
    endless = [b"x" * 50_000] * (8 * limit // 50_000)
    assert refused(address, GET + b"X: ", *endless) == 431
    for size in (40_000, 70_000, 700_000):
        asked = b"GET /fhir/Patient?_id=" + b"x" * size + b" HTTP/1.1\r\nHost: localhost\r\n\r\n"
        assert refused(address, asked) == 414, size


def test_a_large_body_after_a_split_head_is_no_head(address: tuple[str, int]) -> None:
    body = b'{"resourceType":"Patient","name":[{"family":"' + b"x" * 900_000 + b'"}]}'
    head = b"POST /fhir/Patient HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n" % len(body)
    rest = b"Content-Type: application/fhir+json\r\n\r\n" + body
    assert status(said(address, head, rest, pause_s=0.05)) in (201, 422)


def test_who_does_not_go_on_is_not_waited_for(address: tuple[str, int]) -> None:
    began = time.monotonic()
    assert said(address) == b""
    assert said(address, b"GET /fhir/Pat") == b""
    assert said(address, GET, b"X-A: 1\r\n", b"X-B: 2\r\n", pause_s=0.2) == b""
    assert time.monotonic() - began < 10


def test_a_client_that_goes_away_harms_nobody(address: tuple[str, int], tmp_path: Path) -> None:
    for _ in range(20):
        with socket.create_connection(address) as connection:
            connection.sendall(GET + b"\r\n")
        with socket.create_connection(address) as connection:
            connection.sendall(
                b"POST /fhir/Patient HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50\r\n"
                b"Content-Type: application/fhir+json\r\n\r\n{"
            )
    assert status(said(address, GET + b"\r\n")) == 200
