"""Logical ids, references and instants.

https://hl7.org/fhir/R4/datatypes.html#id, https://hl7.org/fhir/R4/references.html#literal
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from schemas.dates import date_range, to_datetime
from schemas.structure import RESOURCE_TYPES

_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
# The RESTful form of a literal reference, with or without a base address.
_RESTFUL = re.compile(
    r"(?P<base>(?:https?|ftp)://[^\s?#]+/)?"
    r"(?P<type>[A-Z][A-Za-z]+)/(?P<id>[A-Za-z0-9\-.]{1,64})"
    r"(?:/_history/(?P<version>[A-Za-z0-9\-.]{1,64}))?"
)
_CONDITIONAL = re.compile(r"([A-Z][A-Za-z]+)\?(\S+)")
_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:\S+")
_INSTANT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})"
)


def is_id(text: object) -> bool:
    """Whether it is a logical id: 1 to 64 of A-Z, a-z, 0-9, hyphen and dot."""
    return isinstance(text, str) and _ID.fullmatch(text) is not None


def new_id() -> str:
    """A new logical id: a UUID of version 7, 74 random bits after the millisecond it was made in.

    Trees by id grow at one end then: one of version 4 would touch a page of its own for each
    resource, which costs more than all else that is stored of it. RFC 9562, section 5.7.
    """
    # Without the objects of `uuid`: a transaction needs thousands.
    digits = _random(10).hex()
    moment = f"{time.time_ns() // 1_000_000:012x}"
    variant = "89ab"[int(digits[3], 16) & 3]
    return f"{moment[:8]}-{moment[8:]}-7{digits[:3]}-{variant}{digits[4:7]}-{digits[8:]}"


class _RandomBytes:
    """The system's random bytes, asked for many at once.

    Asking lets other threads run, and a busy process waits for its turn again much longer than the
    bytes take.
    """

    _BYTES = 8_192

    def __init__(self) -> None:
        self._left = b""
        self._lock = threading.Lock()

    def __call__(self, count: int) -> bytes:
        with self._lock:
            if len(self._left) < count:
                self._left = os.urandom(self._BYTES)
            taken, self._left = self._left[:count], self._left[count:]
        return taken

    def forget(self) -> None:
        """A process that was forked must not give the bytes of its parent."""
        self._left = b""
        self._lock = threading.Lock()


_random = _RandomBytes()
os.register_at_fork(after_in_child=_random.forget)


@dataclass(frozen=True)
class ParsedReference:
    """What the text of `Reference.reference` says.

    `kind` is one of relative (`Patient/1`), absolute (any other URL), urn (`urn:uuid:…`,
    `urn:oid:…`), contained (`#p1`: `id` is `p1`, or empty for the container), conditional
    (`Patient?identifier=…`: `query` is the part after `?`) or malformed. `resource_type` and `id`
    are known for relative references and for absolute ones that end in `/Type/id`.
    """

    kind: str
    resource_type: str | None = None
    id: str | None = None
    version: str | None = None
    query: str | None = None


@lru_cache(maxsize=65_536)
def parse_reference(text: str) -> ParsedReference:
    """The parts of a literal reference. Never raises: what fits no form is of kind malformed."""
    found = _RESTFUL.fullmatch(text)
    if found is not None and found["type"] in RESOURCE_TYPES:
        kind = "absolute" if found["base"] else "relative"
        return ParsedReference(kind, found["type"], found["id"], found["version"])
    if text.startswith("#"):
        return ParsedReference("contained", id=text[1:])
    if text.startswith("urn:"):
        return ParsedReference("urn")
    found = _CONDITIONAL.fullmatch(text)
    if found is not None and found[1] in RESOURCE_TYPES:
        return ParsedReference("conditional", found[1], query=found[2])
    if _ABSOLUTE.fullmatch(text):
        return ParsedReference("absolute")
    return ParsedReference("malformed")


def iter_references(resource: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every literal reference in document order: its place, and the object that holds it.

    `("Observation.subject", {"reference": "Patient/1"})`: the holder may be changed in place.
    References of contained resources and of a Bundle's entries are among them.
    """
    kind = resource.get("resourceType")
    yield from _references(resource, kind if isinstance(kind, str) else "Resource")


def _references(node: dict[str, Any], place: str) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(node.get("reference"), str):
        yield place, node
    for name, value in node.items():
        if type(value) is dict:
            yield from _references(value, f"{place}.{name}")
        elif type(value) is list:
            for index, item in enumerate(value):
                if type(item) is dict:
                    yield from _references(item, f"{place}.{name}[{index}]")


def format_instant(moment: datetime) -> str:
    """A FHIR instant in UTC, cut to milliseconds: `2024-05-01T10:00:00.000Z`.

    Raises ValueError for a datetime without a zone.
    """
    if moment.tzinfo is None:
        raise ValueError("an instant needs a zone; make the datetime aware (UTC)")
    utc = moment.astimezone(UTC).replace(tzinfo=None)
    return utc.isoformat(timespec="milliseconds") + "Z"


def parse_instant(text: str) -> datetime:
    """A FHIR instant as an aware UTC datetime. Raises ValueError when it is not one."""
    if _INSTANT.fullmatch(text) is None:
        raise ValueError("not a FHIR instant: YYYY-MM-DDThh:mm:ss.sss+zz:zz")
    moment = to_datetime(date_range(text)[0])
    if moment is None:
        raise ValueError("an instant outside the years 1 to 9999")
    return moment
