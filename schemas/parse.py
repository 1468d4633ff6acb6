"""Bytes to resources and back, without losing anything.

Decimals keep every digit that was sent (`1.50` stays `1.50`), integers keep their size, object
keys their order. What JSON leaves open is refused rather than guessed at: duplicate keys, bytes
that are not UTF-8, NaN, lone surrogates, bottomless nesting.
https://hl7.org/fhir/R4/json.html
"""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any

import msgspec

from schemas.outcomes import FhirError, error
from schemas.structure import RESOURCE_TYPES, suggestion

# The deepest real resources (Questionnaire items, nested Bundles) stay below 40.
MAX_DEPTH = 100

_DECODER = msgspec.json.Decoder(float_hook=Decimal)
_ENCODER = msgspec.json.Encoder(decimal_format="number")
_KEY = re.compile(rb'"\s*:')
_BYTE_OFFSET = re.compile(r" ?\(byte (\d+)\)")
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_WHITE_SPACE = b" \t\r\n"
_BOM = b"\xef\xbb\xbf"


def parse_resource(body: bytes) -> dict[str, Any]:
    """One resource from its JSON bytes.

    Raises FhirError: `invalid` for what is not JSON as FHIR has it (naming line and column, or the
    key), `structure` for a body that is JSON but no resource (naming `resourceType`). Elements are
    not looked at; that is `schemas.validate`.
    """
    return read_resource(body)[0]


def read_resource(body: bytes) -> tuple[dict[str, Any], bytes]:
    """A resource as `parse_resource` gives it, and its `canonical_bytes`, which that makes anyway.

    Raises FhirError, as `parse_resource`.
    """
    resource, encoded = _read(body)
    if not isinstance(resource, dict):
        raise error(
            "structure",
            f"The body is JSON but {_kind(resource)}; a FHIR resource is one JSON object.",
        )
    kind = resource.get("resourceType")
    if kind is None:
        raise error(
            "structure",
            "resourceType is missing. Every resource names its type: "
            '{"resourceType": "Patient", …}.',
            "resourceType",
        )
    if not isinstance(kind, str):
        raise error(
            "structure", f"resourceType is {_kind(kind)}; it must be a string.", "resourceType"
        )
    if kind not in RESOURCE_TYPES:
        raise error(
            "structure",
            f"resourceType {kind[:64]!r} is not a resource type of FHIR R4."
            f"{suggestion(kind, RESOURCE_TYPES)}",
            "resourceType",
        )
    return resource, encoded


def parse_json(body: bytes) -> Any:
    """Any JSON value, under the same rules. Raises FhirError of category `invalid`."""
    return _read(body)[0]


def _read(body: bytes) -> tuple[Any, bytes]:
    if body.startswith(_BOM):
        body = body[len(_BOM) :]
    if not body.strip():
        raise error("invalid", "The body is empty; JSON was expected.")
    try:
        value = _DECODER.decode(body)
    except UnicodeDecodeError:
        raise _not_utf8(body) from None
    except RecursionError:
        raise _too_deep() from None
    except msgspec.DecodeError as failure:
        raise _malformed(body, str(failure)) from None
    if body.count(b"{") + body.count(b"[") > MAX_DEPTH and not _is_surely_flat(body):
        _check_depth(value)
    encoded = _ENCODER.encode(value)
    # Bytes that come back as they were had no key twice: what most clients send is compact.
    if encoded != body.rstrip() and _may_have_lost_keys(body, encoded):
        _refuse_duplicates(body)
    return value, encoded


def canonical_bytes(resource: Any) -> bytes:
    """Compact UTF-8 JSON in the order of the keys, every digit of a number kept."""
    return _ENCODER.encode(resource)


def _may_have_lost_keys(body: bytes, encoded: bytes) -> bool:
    """Whether keys may have been lost by decoding: what is left is counted where it is not plain.

    Bodies that differ in nothing but white space (indented ones) have lost nothing.
    """
    if b"\\u00" in body:
        return True
    if body.translate(None, _WHITE_SPACE) == encoded.translate(None, _WHITE_SPACE):
        return False
    return len(_KEY.findall(body)) != len(_KEY.findall(encoded))


def _is_surely_flat(body: bytes) -> bool:
    """Whether taking away pairs of brackets, the innermost first, leaves nothing in time.

    Brackets within texts may keep it from being sure, but not make it so.
    """
    brackets = body.translate(None, _NO_BRACKETS)
    for _ in range(MAX_DEPTH // 2):
        if not brackets:
            return True
        brackets = brackets.replace(b"{}", b"").replace(b"[]", b"")
    return False


def _check_depth(value: Any) -> None:
    """Refuses nesting beyond `MAX_DEPTH`, level by level, so that no recursion can overflow."""
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        below: list[Any] = []
        for node in level:
            children = node.values() if type(node) is dict else node
            below += [child for child in children if type(child) is dict or type(child) is list]
        if not below:
            return
        level = below
    raise _too_deep()


def _refuse_duplicates(body: bytes) -> None:
    """Finds a key that an object has twice.

    The caller comes here only when the count of keys changed by decoding, or when an escaped
    quote, colon or space (`\\u0022` and its like) makes counting unsure: this way is ten times
    slower.
    """
    try:
        json.loads(body, object_pairs_hook=_unique, parse_float=Decimal, parse_int=Decimal)
    except RecursionError:
        raise _too_deep() from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise error(
                    "invalid",
                    f"The key {key[:64]!r} occurs twice in one JSON object; which of the two is "
                    "meant cannot be known. Send it once.",
                    key[:64],
                )
            seen.add(key)
    return found


def _malformed(body: bytes, message: str) -> FhirError:
    """The parser's message, its byte offset told as line and column."""
    found = _BYTE_OFFSET.search(message)
    if found is None:
        if "truncated" in message:
            return error("invalid", f"The JSON ends too early ({_place(body, len(body))}).")
        return error("invalid", f"The body is not JSON that can be read: {message}.")
    problem = _BYTE_OFFSET.sub("", message).removeprefix("JSON is malformed: ")
    return error("invalid", f"The body is not JSON: {problem} at {_place(body, int(found[1]))}.")


def _place(body: bytes, offset: int) -> str:
    before = body[:offset]
    line = before.count(b"\n") + 1
    column = len(before[before.rfind(b"\n") + 1 :].decode("utf-8", "replace")) + 1
    return f"line {line}, column {column}"


def _not_utf8(body: bytes) -> FhirError:
    try:
        body.decode("utf-8")
        offset = 0  # Not reached for bytes that the decoder refused; stated so that nothing fails.
    except UnicodeDecodeError as failure:
        offset = failure.start
    return error(
        "invalid",
        f"The body is not UTF-8: byte {offset} ({_place(body, offset)}) begins no UTF-8 character. "
        "FHIR JSON is always UTF-8; convert the text (from ISO-8859-1 or Windows-1252, perhaps).",
    )


def _too_deep() -> FhirError:
    return error("invalid", f"The JSON is nested deeper than {MAX_DEPTH} levels.")


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, (int, Decimal)):
        return "a number"
    if isinstance(value, str):
        return "a string"
    return "an array" if isinstance(value, list) else "an object"
