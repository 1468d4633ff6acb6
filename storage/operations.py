"""What a transaction is made of, and its preparation outside of the writer.

Everything that needs the resource itself (its bytes, index values, patient) is worked out in the
caller's thread; the writer only looks up, numbers and stores.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any, NamedTuple

from schemas.ids import is_id
from schemas.outcomes import FhirError, error
from schemas.parse import canonical_bytes, parse_resource
from schemas.plain_json import is_as_parsed
from schemas.structure import RESOURCE_TYPES
from storage.conditions import IDENTIFIER
from storage.index import DirectRows, param_key
from storage.index.entries import Rows
from storage.index_queue import pack_rows
from storage.packed_ids import pack

METHODS = frozenset({"PUT", "POST", "PATCH", "DELETE"})

# Stands in a body where the writer will put what only it knows. Random, so that no resource can
# hold it by intent.
_STAMP = f"chartlake-{secrets.token_hex(16)}"
_STAMPED = f'"versionId":"{_STAMP}","lastUpdated":"{_STAMP}"'.encode()


ANY_VERSION = -1
"""As `if_match`: there must be a current version, whichever."""


class Put(NamedTuple):
    """Store a version of a resource, which carries `resourceType` and `id`.

    `if_match`: the version that must be current (or `ANY_VERSION`), else `precondition`.
    `must_not_exist`: refused when there is a current version, as a `conflict`. `must_be_known`:
    `method-not-allowed` for an id that never was. `method`: the HTTP verb to record. `as_parsed`:
    the caller vouches that it is what a parser gave (see `schemas.plain_json`).
    """

    resource: dict[str, Any]
    method: str = "PUT"
    if_match: int | None = None
    must_not_exist: bool = False
    must_be_known: bool = False
    as_parsed: bool = False


class Delete(NamedTuple):
    """Hide a resource; its versions stay. `if_match` as for `Put`."""

    resource_type: str
    id: str
    if_match: int | None = None


Operation = Put | Delete


class RefusedError(FhirError):
    """Why a transaction was refused, and the place in it of the operation that was the cause."""

    def __init__(self, failure: FhirError, index: int) -> None:
        super().__init__(failure.category, failure.issues)
        self.index = index


class Prepared(NamedTuple):
    """An operation with all that the writer needs; `body` is None for a deletion.

    `key`: number of the type, packed id. `packed_rows`: the index rows as `index_queue` has them;
    `identifiers`: the values of the parameter `identifier` among them.
    """

    resource_type: str
    id: str
    key: tuple[int, bytes | str]
    method: str
    if_match: int | None
    must_not_exist: bool
    must_be_known: bool
    patient_id: str | None
    body: tuple[bytes, bytes] | None
    packed_rows: bytes
    identifiers: Sequence[str] = ()

    @property
    def place(self) -> str:
        """The resource, as a reference."""
        return f"{self.resource_type}/{self.id}"


def prepare(operations: Sequence[Operation], rows: DirectRows) -> list[Prepared]:
    """Check and prepare the operations of one transaction; `rows` gives those of the index.

    Raises FhirError: `invalid` for two operations on one resource, an unknown type, a missing or
    malformed id.
    """
    seen: set[tuple[str, str]] = set()
    prepared = []
    for index, operation in enumerate(operations):
        if isinstance(operation, Put):
            found = _prepare_put(operation, rows)
        else:
            found = _prepare_delete(operation, rows)
        key = (found.resource_type, found.id)
        if key in seen:
            twice = error(
                "invalid",
                f"The transaction has two operations on {key[0]}/{key[1]}; it may have one.",
                f"{key[0]}.id",
            )
            raise RefusedError(twice, index)
        seen.add(key)
        prepared.append(found)
    return prepared


def _prepare_put(put: Put, rows: DirectRows) -> Prepared:
    resource = put.resource
    resource_type, id = resource.get("resourceType"), resource.get("id")
    if not isinstance(resource_type, str) or resource_type not in RESOURCE_TYPES:
        raise error("invalid", "The resource's resourceType is not one of R4.", "resourceType")
    if not isinstance(id, str) or not is_id(id):
        raise error(
            "invalid",
            f"The {resource_type} needs an id of 1 to 64 letters, digits, dots and dashes.",
            f"{resource_type}.id",
        )
    if put.method not in METHODS:
        raise ValueError(f"method {put.method!r} is not one of {', '.join(sorted(METHODS))}")
    key = (rows.intern(resource_type), pack(id))
    before, after, stored = _body(resource, as_parsed=put.as_parsed)
    index_rows, patient_id = rows.of(stored)
    return Prepared(
        resource_type,
        id,
        key,
        put.method,
        put.if_match,
        put.must_not_exist,
        put.must_be_known,
        patient_id,
        (before, after),
        pack_rows(index_rows),
        _identifiers(resource_type, index_rows, rows) if "token" in index_rows else (),
    )


def _identifiers(resource_type: str, index_rows: Rows, rows: DirectRows) -> list[str]:
    number = rows.intern(param_key(resource_type, IDENTIFIER))
    return [code for param, code, _ in index_rows["token"] if param == number]


def _prepare_delete(delete: Delete, rows: DirectRows) -> Prepared:
    if delete.resource_type not in RESOURCE_TYPES:
        raise error("invalid", "The type to delete from is not one of R4.", "resourceType")
    return Prepared(
        delete.resource_type,
        delete.id,
        (rows.intern(delete.resource_type), pack(delete.id)),
        "DELETE",
        delete.if_match,
        False,
        False,
        None,
        None,
        b"",
    )


def _body(resource: dict[str, Any], *, as_parsed: bool) -> tuple[bytes, bytes, dict[str, Any]]:
    """The bytes before and after where `meta.versionId` and `lastUpdated` go, and what they say.

    Index and patient are taken from what the bytes say: what is found is what is stored, also
    where a caller's values (a float, a tuple) are not those that a parser gives.
    """
    encoded, stamped = _stamped(resource)
    before, after = _parts(encoded)
    return before, after, stamped if as_parsed or is_as_parsed(stamped) else parse_resource(encoded)


def body_parts(resource: dict[str, Any]) -> tuple[bytes, bytes]:
    """What a resource is stored as: the bytes before and after its version and moment."""
    return _parts(_stamped(resource)[0])


def _stamped(resource: dict[str, Any]) -> tuple[bytes, dict[str, Any]]:
    given = resource.get("meta")
    meta = {"versionId": _STAMP, "lastUpdated": _STAMP}
    if isinstance(given, dict):
        meta.update((k, v) for k, v in given.items() if k not in meta)
    stamped: dict[str, Any] = {}
    for name, value in resource.items():
        stamped[name] = meta if name == "meta" else value
        if name == "id" and "meta" not in resource:
            stamped["meta"] = meta
    return canonical_bytes(stamped), stamped


def _parts(encoded: bytes) -> tuple[bytes, bytes]:
    before, found, after = encoded.partition(_STAMPED)
    if not found:
        raise AssertionError("meta was not written where it was put")
    return before, after


def stamped_body(parts: tuple[bytes, bytes], version_id: int, last_updated: str) -> bytes:
    """The whole body; `last_updated` is a FHIR instant."""
    stamp = f'"versionId":"{version_id}","lastUpdated":"{last_updated}"'.encode()
    return b"".join((parts[0], stamp, parts[1]))
