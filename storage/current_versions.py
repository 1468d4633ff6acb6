"""Current versions that a front read lately, for as long as no commit has touched their resources.

Which resources a commit touches is told in shared memory before the commit itself is
(`Published.touch`). So what is kept is never stale, and a resource that is read again and again
costs no look into the database.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from storage.audit_record import Entity
from storage.audit_trail import AuditTrail
from storage.elsewhere import IN_ORDER, Published
from storage.packed_ids import pack
from storage.versions import Version

_MOST_BYTES = 32 * 2**20
_MOST_BODY_BYTES = 32_768

# What a version takes beside its body, roughly.
_OWN_BYTES = 1_000


class _Kept(NamedTuple):
    """`t`: the last commit when it was read; `slot`: where is told that it was touched."""

    version: Version
    entities: tuple[Entity, ...]
    patients: tuple[str, ...]
    t: int
    slot: int


class CurrentVersions:
    """Current versions by resource; safe to use from many threads."""

    def __init__(self, published: Published) -> None:
        self._published = published
        self._versions: dict[tuple[str, str], _Kept] = {}
        self._bytes = 0
        self._cleared_t = 0

    def get(self, resource_type: str, id: str, t: int, trail: AuditTrail | None) -> Version | None:
        """The version that was current at commit `t`; None where it is not known.

        `trail` is told of it, as by whoever reads it.
        """
        kept = self._versions.get((resource_type, id))
        if kept is None:
            return None
        published = self._published
        if published.erased_t > self._cleared_t:
            # What was erased may be kept.
            self._cleared_t = published.erased_t
            self.clear()
            return None
        if published.touched(kept.slot) > kept.t or published.erased_t > kept.t:
            self._drop((resource_type, id))
            return None
        if kept.version.t > t:
            return None
        if trail is not None:
            trail.saw(kept.entities, kept.patients)
        return kept.version

    def keep(self, version: Version, patients: Sequence[str], t: int, number: int) -> None:
        """Keep a current version; `t`: the last commit before it was read, `number`: its type's."""
        size = len(version.body)
        if not IN_ORDER or size > _MOST_BODY_BYTES or t < self._published.erased_t:
            return
        slot = self._published.slot(number, pack(version.id))
        entity = Entity(version.resource_type, version.id, version.version_id, "R")
        self._versions[version.resource_type, version.id] = _Kept(
            version, (entity,), tuple(patients), t, slot
        )
        self._bytes += size + _OWN_BYTES
        if self._bytes > _MOST_BYTES:
            self.clear()

    def clear(self) -> None:
        """Forget all."""
        self._versions = {}
        self._bytes = 0

    def _drop(self, key: tuple[str, str]) -> None:
        kept = self._versions.pop(key, None)
        if kept is not None:
            self._bytes -= len(kept.version.body) + _OWN_BYTES
