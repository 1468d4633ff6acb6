"""What frames carry, as bytes: heads of requests and answers, calls and their failures."""

from __future__ import annotations

import struct
from typing import Any, NamedTuple

import msgspec
from starlette.types import Scope

from schemas.outcomes import FhirError, Issue
from service.errors import unexpected
from service.workers.change_codec import decode_change, decode_guard, encode_change, encode_guard
from storage.elsewhere import Stored
from storage.lake import OvertakenError, RefusedError

_encode = msgspec.msgpack.Encoder().encode
_SIZE = struct.Struct("<I?")

Header = tuple[bytes, bytes]


class RequestHead(NamedTuple):
    """A request without its body."""

    method: str
    path: str
    raw_path: bytes
    query_string: bytes
    http_version: str
    scheme: str
    client: tuple[str, int] | None
    server: tuple[str, int | None] | None
    headers: list[Header]


class AnswerHead(NamedTuple):
    """Status and headers of an answer."""

    status: int
    headers: list[Header]


class _Failure(NamedTuple):
    overtaken: bool
    category: str
    issues: list[tuple[str, str, str, list[str]]]
    place: int


COMMIT, INDEX, TERM, FIND = range(4)

"""Kinds of calls: `Elsewhere.begin`, `await_index`, `term`, `find`."""

_plain = msgspec.msgpack.Decoder().decode
_stored = msgspec.msgpack.Decoder(Stored).decode
_request_head = msgspec.msgpack.Decoder(RequestHead).decode
_answer_head = msgspec.msgpack.Decoder(AnswerHead).decode
_failure = msgspec.msgpack.Decoder(_Failure).decode


def request_head(scope: Scope) -> bytes:
    """The head of a request."""
    return _encode(
        (
            scope["method"],
            scope["path"],
            scope.get("raw_path", b""),
            scope["query_string"],
            scope["http_version"],
            scope["scheme"],
            scope.get("client"),
            scope.get("server"),
            scope["headers"],
        )
    )


def scope_of(head: RequestHead) -> Scope:
    """The ASGI scope of a request, as an HTTP server would give it."""
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "state": {},
        "root_path": "",
        **head._asdict(),
    }


def answer_head(status: int, headers: list[Header]) -> bytes:
    """The head of an answer."""
    return _encode((status, headers))


def with_body(head: bytes, body: bytes, *, more: bool) -> tuple[bytes, bytes, bytes]:
    """The payload of a head and the first piece of what follows it."""
    return _SIZE.pack(len(head), more), head, body


def piece(body: bytes, *, more: bool) -> tuple[bytes, bytes]:
    """The payload of a further piece."""
    return (b"\1" if more else b"\0"), body


def read_piece(payload: bytes) -> tuple[bytes, bool]:
    """A piece, and whether more follows."""
    return payload[1:], payload[0] == 1


def read_request(payload: bytes) -> tuple[RequestHead, bytes, bool]:
    """Head, first piece of the body, whether more follows."""
    head, body, more = _apart(payload)
    return _request_head(head), body, more


def read_answer(payload: bytes) -> tuple[AnswerHead, bytes, bool]:
    """Head, first piece of the body, whether more follows."""
    head, body, more = _apart(payload)
    return _answer_head(head), body, more


def _apart(payload: bytes) -> tuple[bytes, bytes, bool]:
    length, more = _SIZE.unpack_from(payload)
    end = _SIZE.size + length
    return payload[_SIZE.size : end], payload[end:], more


def call(kind: int, lake: int, argument: Any) -> tuple[bytes, bytes]:
    """The payload of a call."""
    encoded = encode_change(argument) if kind == COMMIT else _encode(argument)
    return bytes((kind, lake)), encoded


def read_call(payload: bytes) -> tuple[int, int]:
    """The kind and the lake of a call."""
    return payload[0], payload[1]


def argument_of(payload: bytes) -> Any:
    """What a call is about: a `Change`, a commit, a text, or type, parameters and limit."""
    argument = memoryview(payload)[2:]
    return decode_change(argument) if payload[0] == COMMIT else _plain(argument)


def result(kind: int, value: Any) -> bytes:
    """The payload of what a call of a kind gave."""
    if kind == FIND:
        t, guard, ids = value
        value = (t, encode_guard(guard), ids)
    return _encode(value)


def read_result(kind: int, payload: bytes) -> Any:
    """What a call of a kind gave."""
    if kind == COMMIT:
        return _stored(payload)
    value = _plain(payload)
    if kind == FIND:
        t, guard, ids = value
        return t, decode_guard(guard), ids
    return value


def failure(failed: BaseException) -> bytes:
    """The payload of what a call failed with."""
    if isinstance(failed, OvertakenError):
        return _encode(_Failure(True, "", [], -1))
    if not isinstance(failed, FhirError):
        failed = unexpected(failed if isinstance(failed, Exception) else RuntimeError())
    issues = [(i.severity, i.code, i.diagnostics, list(i.expression)) for i in failed.issues]
    place = failed.index if isinstance(failed, RefusedError) else -1
    return _encode(_Failure(False, failed.category, issues, place))


def read_failure(payload: bytes) -> Exception:
    """What a call failed with, to be raised."""
    found = _failure(payload)
    if found.overtaken:
        return OvertakenError()
    issues = [Issue(s, code, text, tuple(places)) for s, code, text, places in found.issues]
    told = FhirError(found.category, issues)
    return told if found.place < 0 else RefusedError(told, found.place)
