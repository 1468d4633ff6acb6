"""A prepared change as bytes: no code, nothing but texts, numbers and bytes, is read from them."""

from __future__ import annotations

from operator import attrgetter
from typing import Any

import msgspec

from storage.audit_record import AuditRecord, Entity
from storage.elsewhere import Change
from storage.operations import Prepared
from storage.recent_versions import Guard

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode

_RECORD = attrgetter(*(name for name in AuditRecord.__slots__ if name != "recorded_us"))
_ENTITIES, _PATIENTS, _PARAMETERS = (
    [name for name in AuditRecord.__slots__ if name != "recorded_us"].index(one)
    for one in ("entities", "patients", "parameters")
)


def encode_change(change: Change) -> bytes:
    """What `decode_change` makes the same change of."""
    audit = None if change.audit is None else _RECORD(change.audit)
    guards = [encode_guard(guard) for guard in change.guards]
    return _encode((change.operations, guards, audit, change.definitions))


def decode_change(payload: Any) -> Change:
    """The change that was encoded (bytes, or a view of some)."""
    operations, guards, audit, definitions = _decode(payload)
    prepared = [
        Prepared(
            kind,
            id,
            (key[0], key[1]),
            method,
            if_match,
            must_not_exist,
            must_be_known,
            patient,
            None if body is None else (body[0], body[1]),
            rows,
            identifiers,
        )
        for (
            kind,
            id,
            key,
            method,
            if_match,
            must_not_exist,
            must_be_known,
            patient,
            body,
            rows,
            identifiers,
        ) in operations
    ]
    return Change(prepared, [decode_guard(one) for one in guards], _record(audit), definitions)


def encode_guard(guard: Guard) -> tuple[Any, ...]:
    """A guard as plain values."""
    identifiers = None if guard.identifiers is None else list(guard.identifiers)
    return guard.type_number, guard.since_t, identifiers, list(guard.ids)


def decode_guard(values: Any) -> Guard:
    """The guard of plain values."""
    number, since_t, identifiers, ids = values
    known = None if identifiers is None else frozenset(identifiers)
    return Guard(number, since_t, known, frozenset(ids))


def _record(values: list[Any] | None) -> AuditRecord | None:
    if values is None:
        return None
    values[_ENTITIES] = tuple(Entity(*one) for one in values[_ENTITIES])
    values[_PATIENTS] = tuple(values[_PATIENTS])
    values[_PARAMETERS] = tuple(values[_PARAMETERS])
    return AuditRecord(*values)
