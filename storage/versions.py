"""Versions of resources, and how their rows are read."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from schemas.outcomes import Issue
from schemas.parse import parse_resource

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Version(NamedTuple):
    """One version of one resource, as it was committed.

    `t` is its commit, `last_updated` that commit's moment (aware, UTC, milliseconds); `method` the
    HTTP verb that made it. A deletion is a version too: `deleted`, with the empty body.
    """

    resource_type: str
    id: str
    version_id: int
    t: int
    last_updated: datetime
    method: str
    deleted: bool
    body: bytes

    def resource(self) -> dict[str, Any]:
        """The parsed body. Raises FhirError for a tombstone, which has none."""
        return parse_resource(self.body)

    def __repr__(self) -> str:
        return f"Version({self.resource_type}/{self.id}/_history/{self.version_id}, t={self.t})"


@dataclass(frozen=True, slots=True)
class Commit:
    """What a transaction became: its place in the log, its moment, a version per operation."""

    t: int
    instant: datetime
    versions: list[Version]


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a result. `next` is the cursor of the part that follows, None at the end.

    `total` counts the whole result (None when it is not told); `ignored` names the parameters that
    were not applied; `t` is the commit that the whole result is pinned to. `included`: resources
    that a search includes besides its matches; `previous` the cursor of the part before; `issues`
    what else there is to say.
    """

    versions: list[Version]
    total: int | None = None
    next: str | None = None
    ignored: list[str] = field(default_factory=list)
    t: int = 0
    included: list[Version] = field(default_factory=list)
    previous: str | None = None
    issues: list[Issue] = field(default_factory=list)


def from_microseconds(instant_us: int) -> datetime:
    """Microseconds since the epoch as an aware UTC datetime."""
    return _EPOCH + timedelta(microseconds=instant_us)
