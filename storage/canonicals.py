"""Conformance resources of a lake, found by their canonical URL.

https://hl7.org/fhir/R4/references.html#canonical. StructureDefinition, ValueSet, CodeSystem,
ConceptMap, SearchParameter and the like are ordinary resources: whoever stores one can validate,
search and translate with it. R4's own terminology is found behind what the lake has.
"""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from schemas.ids import is_id
from schemas.outcomes import error
from schemas.search_params import search_params
from schemas.structure import RESOURCE_TYPES
from schemas.terminology import Terminology, built_in
from storage import audit_trail
from storage.as_of import AsOf
from storage.reading import present

if TYPE_CHECKING:
    from storage.database import Database
    from storage.lake import Lake
    from storage.versions import Version

Definition = dict[str, Any]
"""A parsed resource. It is shared: not to be changed."""

Stamp = tuple[int, int]
"""The last version of a type, and the number of erasures: what was found holds while both do."""

_TERMINOLOGY = ("CodeSystem", "ConceptMap", "ValueSet")

# States of the terminology that are kept: now, and what a client that asks of the past looks at.
_MAX_TERMINOLOGIES = 3

_MAX_ENTRIES = 4_000
_MAX_BYTES = 64 * 2**20

# Resources with one URL. Each is a version of one definition; more is a mistake.
_MAX_SAME_URL = 1_000

# What a result that holds no resource counts for.
_EMPTY_BYTES = 200

_STATUSES = {"active": 2, "draft": 1, "unknown": 1, "retired": 0}


@dataclass(frozen=True, slots=True)
class _Stamps:
    """Stamps of types as of commit `t`, read when `now` was the last commit."""

    t: int
    now: int
    by_type: dict[str, Stamp]


class Canonicals:
    """The definitions of one lake; safe to use from many threads.

    What was found is kept until a commit (or an erasure) touches a resource of its type, so
    nothing stale is ever given.
    """

    def __init__(self, lake: Lake, database: Database) -> None:
        self._lake = lake
        self._database = database
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[str, str, Stamp], tuple[Definition | None, int]] = (
            OrderedDict()
        )
        self._bytes = 0
        self._terminologies: OrderedDict[tuple[Stamp, ...], Terminology] = OrderedDict()
        self._types: set[str] = set()
        self._stamps = _Stamps(-1, -1, {})

    def find(
        self, resource_type: str, canonical: str, *, at: AsOf | None = None
    ) -> Definition | None:
        """The definition with a canonical URL (`url` or `url|version`) as of `at`, else None.

        Of several with one URL it is the one with the version asked for; where none is, an active
        one rather than a draft or a retired one, then the newest version. `Type/id` finds the
        resource with that id. What the lake does not have, R4 may have built in. Raises FhirError
        `unknown-type`, and `too-large` where over 1,000 resources have the URL.
        """
        t = self._lake.t if at is None else self._lake.at(at).t
        return self.found(resource_type, canonical, t, self.stamp(resource_type, t))

    def terminology(self, *, at: AsOf | None = None) -> Terminology:
        """What is known of codes as of `at`; the same object as long as nothing of it changed."""
        t = self._lake.t if at is None else self._lake.at(at).t
        key = tuple(self.stamps(_TERMINOLOGY, t))
        stamps = dict(zip(_TERMINOLOGY, key, strict=True))
        with self._lock:
            kept = self._terminologies.get(key)
            if kept is not None:
                self._terminologies.move_to_end(key)
                return kept

        def find(resource_type: str, canonical: str) -> Definition | None:
            return self.found(resource_type, canonical, t, stamps[resource_type])

        made = Terminology(find, lambda: self._maps(t))
        with self._lock:
            kept = self._terminologies.setdefault(key, made)
            while len(self._terminologies) > _MAX_TERMINOLOGIES:
                self._terminologies.popitem(last=False)
        return kept

    def stamp(self, resource_type: str, t: int) -> Stamp:
        """What identifies the state of all resources of a type as of commit `t`.

        While it is the same, so is everything that `find` gives of the type.
        """
        return self.stamps((resource_type,), t)[0]

    def stamps(self, resource_types: Sequence[str], t: int) -> list[Stamp]:
        """The `stamp` of each of some types."""
        now = self._lake.t
        of = self._stamps
        if of.t != t or of.now != now or not of.by_type.keys() >= set(resource_types):
            # All types that are ever asked for at once: one commit after the other comes.
            self._types.update(resource_types)
            of = self._stamps = self._read_stamps(sorted(self._types), t, now)
        return [of.by_type[kind] for kind in resource_types]

    def _read_stamps(self, types: Sequence[str], t: int, now: int) -> _Stamps:
        last_v = (
            "(SELECT max(v) FROM version "
            "WHERE type = (SELECT id FROM term WHERE text = ?) AND v < following)"
        )
        with self._database.statement() as connection:
            row = connection.execute(
                f"SELECT (SELECT count(*) FROM erasure), {', '.join([last_v] * len(types))} FROM "
                "(SELECT ifnull((SELECT first_v FROM commit_log WHERE t > ? ORDER BY t LIMIT 1), "
                "?) AS following)",
                (*types, t, 2**63 - 1),
            ).get
        return _Stamps(t, now, {k: (v or 0, row[0]) for k, v in zip(types, row[1:], strict=True)})

    def found(self, resource_type: str, canonical: str, t: int, stamp: Stamp) -> Definition | None:
        """As `find`, as of commit `t`, of which `stamp` is the type's."""
        if resource_type not in RESOURCE_TYPES:
            raise error("unknown-type", f"{resource_type[:64]!r} is not a resource type of R4.")
        key = (resource_type, canonical, stamp)
        with self._lock:
            kept = self._kept.get(key)
            if kept is not None:
                self._kept.move_to_end(key)
                return kept[0]
        definition, size = self._look_up(resource_type, canonical, t)
        with self._lock:
            if key not in self._kept:
                self._kept[key] = (definition, size)
                self._bytes += size
            while len(self._kept) > _MAX_ENTRIES or (
                self._bytes > _MAX_BYTES and len(self._kept) > 1
            ):
                _, (_, dropped) = self._kept.popitem(last=False)
                self._bytes -= dropped
        return definition

    def clear(self) -> None:
        """Forget everything that was read: what was erased may be in it."""
        with self._lock:
            self._kept.clear()
            self._bytes = 0
            self._stamps = _Stamps(-1, -1, {})
            self._terminologies.clear()

    def _maps(self, t: int) -> list[Definition]:
        """All concept maps as of commit `t`. Raises FhirError `too-costly` for over 1,000."""
        with audit_trail.AuditTrail("", "read", "R").active():
            page = self._lake.search("ConceptMap", [("_count", str(_MAX_SAME_URL))], at=t)
        if page.next:
            raise error(
                "too-costly",
                f"There are over {_MAX_SAME_URL:,} concept maps; say which one by its url.",
            )
        stored = [version.resource() for version in page.versions]
        known = {resource.get("url") for resource in stored}
        own = (built_in.find("ConceptMap", url) for url in built_in.urls("ConceptMap"))
        return [*stored, *(one for one in own if one is not None and one["url"] not in known)]

    def _look_up(self, resource_type: str, canonical: str, t: int) -> tuple[Definition | None, int]:
        # What is looked up for the sake of an answer is not given out: it goes to a trail that no
        # one keeps.
        with audit_trail.AuditTrail("", "read", "R").active():
            stored = self._stored(resource_type, canonical, t)
        if stored is not None:
            return stored.resource(), len(stored.body)
        return built_in.find(resource_type, canonical), _EMPTY_BYTES

    def _stored(self, resource_type: str, canonical: str, t: int) -> Version | None:
        kind, _, id = canonical.partition("/")
        if kind == resource_type and is_id(id):
            return present(self._lake.read, resource_type, id, at=t)
        url, _, version = canonical.partition("|")
        if not url or "url" not in search_params(resource_type):
            return None
        page = self._lake.search(
            resource_type, [("url", _escaped(url)), ("_count", str(_MAX_SAME_URL))], at=t
        )
        if page.next:
            raise error(
                "too-large", f"Over {_MAX_SAME_URL:,} resources {resource_type} have one URL."
            )
        candidates = []
        for found in page.versions:
            resource = found.resource()
            if resource.get("url") == url and version in ("", resource.get("version")):
                candidates.append((resource, found))
        if not candidates:
            return None
        return max(candidates, key=lambda pair: _newness(*pair))[1]


def _newness(resource: Definition, version: Version) -> tuple[Any, ...]:
    status = _STATUSES.get(str(resource.get("status")), 1)
    return (
        status,
        _version_key(str(resource.get("version") or "")),
        str(resource.get("date") or ""),
        version.t,
        version.id,
    )


def _version_key(version: str) -> list[tuple[int, int, str]]:
    """A version's order: numbers by their size (`10.0` is after `9.1`), words by their letters."""
    return [
        (1, int(part), "") if part.isdigit() else (0, 0, part)
        for part in re.findall(r"[0-9]{1,30}|[^0-9.]+", version)
    ]


def _escaped(value: str) -> str:
    """A search value that stands for a text as it is (R4 search.html#escaping)."""
    return re.sub(r"([\\,|$])", r"\\\1", value)
