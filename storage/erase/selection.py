"""Which resources an erase takes, in one consistent state of the lake, and who refers to them."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field

import apsw

from storage.erase.all_bodies import all_bodies
from storage.erase.ownership import OWN, SHARED
from storage.erase.references import Key, references
from storage.erase.target import Target, binaries
from storage.packed_ids import pack
from storage.segment_store import SegmentStore
from storage.terms import Terms
from storage.version_rows import COLUMNS, FROM, Bodies

_LOADED_AT_ONCE = 200


@dataclass
class Selection:
    """What is erased, as of version `last_v`.

    `shared`: what is of another patient's record as well, and stays. `referring`: what stays and
    refers to something erased, with what it refers to. `attached`: the Binary resources that what
    is erased refers to, erased or not.
    """

    last_v: int
    keys: set[Key]
    attached: set[Key] = field(default_factory=set)
    shared: set[Key] = field(default_factory=set)
    referring: dict[Key, set[Key]] = field(default_factory=dict)


class Selector:
    """Selects in one read transaction. Reads every body of the lake, twice or more."""

    def __init__(
        self,
        connection: apsw.Connection,
        store: SegmentStore,
        terms: Terms,
        bodies: Bodies,
        target: Target,
    ) -> None:
        self._connection = connection
        self._store = store
        self._terms = terms
        self._bodies = bodies
        self._target = target

    def select(self) -> Selection:
        """The whole selection. Raises FhirError when a body cannot be read."""
        last_v = int(self._connection.execute("SELECT ifnull(max(v), 0) FROM version").get)
        found = Selection(last_v, set(self._target.keys))
        if self._target.needle is not None:
            self._add_record(found, self._target.needle)
        found.attached = self._attached(found.keys)
        while True:
            found.referring = self._referring(found.keys | found.attached)
            for key in found.keys:
                found.referring.pop(key, None)
            following = {
                key
                for key in found.referring
                if all(self._target.follows(key, body, found.keys) for body in self._loaded([key]))
            }
            if not following:
                break
            found.keys |= following
            found.attached |= self._attached(following)
        self._add_attached(found)
        found.shared -= found.keys
        return found

    def _add_record(self, found: Selection, needle: bytes) -> None:
        """What is in the patient's compartment in any version."""
        for batch in all_bodies(self._connection, self._store, self._terms):
            for key, body in batch.holding(needle):
                relation = None if key in found.keys else self._target.of_patient(body)
                if relation == OWN:
                    found.keys.add(key)
                elif relation == SHARED:
                    found.shared.add(key)

    def _referring(self, targets: set[Key]) -> dict[Key, set[Key]]:
        """Who refers to what, in any version, other than to itself."""
        found: dict[Key, set[Key]] = {}
        for batch in all_bodies(self._connection, self._store, self._terms):
            for key, body in batch:
                if body:
                    hits = references(body) & targets
                    hits.discard(key)
                    if hits:
                        found.setdefault(key, set()).update(hits)
        return found

    def _attached(self, keys: Collection[Key]) -> set[Key]:
        """The Binary resources that these refer to, in any version."""
        return set().union(*(binaries(body) for body in self._loaded(keys)))

    def _add_attached(self, found: Selection) -> None:
        """Binary resources to which nothing else refers."""
        outside: set[Key] = set().union(
            *(hits for key, hits in found.referring.items() if key not in found.attached)
        )
        found.keys |= {key for key in found.attached - outside if self._exists(key)}
        for key in list(found.referring):
            found.referring[key] &= found.keys
            if key in found.keys or not found.referring[key]:
                del found.referring[key]

    def _exists(self, key: Key) -> bool:
        return bool(list(version_rows(self._connection, self._terms, [key], "1")))

    def _loaded(self, keys: Iterable[Key]) -> Iterator[bytes]:
        """The bodies of all versions of some resources."""
        rows = version_rows(self._connection, self._terms, keys, COLUMNS)
        while chunk := list(itertools.islice(rows, _LOADED_AT_ONCE)):
            for version in self._bodies.load(self._connection, chunk):
                if version.body:
                    yield version.body


def version_rows(
    connection: apsw.Connection, terms: Terms, keys: Iterable[Key], columns: str
) -> Iterator[tuple[object, ...]]:
    """Columns of all versions of some resources; `version` goes by the name r, its commit by c."""
    for resource_type, id in sorted(keys):
        number = terms.find(connection, resource_type)
        if number is not None:
            yield from connection.execute(
                f"SELECT {columns} FROM {FROM} WHERE r.type = ? AND r.id = ? ORDER BY r.version_id",
                (number, pack(id)),
            ).fetchall()
