"""Pages of an answer that takes more than a search to find: the whole is listed once, by id.

A listing names resources as of a commit, in an order of its own. Its pages are pinned to that
commit, so they have each resource once, whatever is written meanwhile.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from schemas.outcomes import error
from storage.audit_trail import AuditTrail
from storage.erase.references import Key
from storage.query.page import Cursors, Position
from storage.query.scope import Scope
from storage.versions import Page, Version

if TYPE_CHECKING:
    from storage.lake_at import LakeAt

# Lists that are kept for their next pages, and how many resources they name in total.
_KEPT_LISTS = 64
_KEPT_RESOURCES = 500_000
_AT_ONCE = "1000"
_IDS_AT_ONCE = 500

Params = list[tuple[str, str]]


class Question(Protocol):
    """What is asked; equal questions have equal hashes."""

    def question(self) -> list[str]:
        """What a cursor must not be moved to."""
        ...

    def listed(self, view: LakeAt) -> Listing:
        """The whole answer as of a commit."""
        ...

    def __hash__(self) -> int: ...


@dataclass(frozen=True)
class Listing:
    """What a question has for an answer as of a commit: `keys`, of which the first `members` meet
    it, and the others are referred to by those. `withheld`: resources that they refer to, but that
    are of other patients."""

    keys: tuple[Key, ...]
    members: int
    withheld: int


@dataclass(frozen=True)
class ListingPage:
    """A part of a listing: the versions that meet the question, and those included with them.

    `total` counts those that meet it; `next` is the cursor of what follows; `withheld` is told on
    the last page, see `Listing`.
    """

    versions: list[Version]
    included: list[Version]
    total: int
    next: str | None
    t: int
    withheld: int = 0


@dataclass
class Listings:
    """Makes listings, and keeps them for a while: a page does not look for the whole again.

    A list names resources as of a commit, so nothing but an erasure (`clear`) makes it wrong.
    """

    cursors: Cursors
    _kept: OrderedDict[tuple[int, int, Question], Listing] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def page(self, view: LakeAt, question: Question, count: int, cursor: str | None) -> ListingPage:
        """`count` resources as of `view`, or as of the cursor's commit.

        Raises FhirError: `not-found`, `deleted`; `value` for a cursor of another question, or one
        that an erasure made meaningless; `too-large`.
        """
        begin = 0
        expected: int | None = None
        if cursor is not None:
            position = self.cursors.read(cursor, question.question())
            view = view.lake.at(position.t)
            begin, expected = position.v, position.total
        listing = self._listing(view, question)
        if expected is not None and expected != len(listing.keys):
            raise error(
                "value",
                "Resources of this answer were erased since its first page; begin again without "
                "_cursor.",
                "_cursor",
            )
        end = min(begin + count, len(listing.keys))
        found = loaded(view, listing.keys[begin:end])
        inside = max(min(listing.members, end) - begin, 0)
        following = None
        if count and end < len(listing.keys):
            place = Position(view.t, end, len(listing.keys))
            following = self.cursors.write(place, question.question())
        return ListingPage(
            found[:inside],
            found[inside:],
            listing.members,
            following,
            view.t,
            listing.withheld if count and following is None else 0,
        )

    def clear(self) -> None:
        """Forget all lists."""
        with self._lock:
            self._kept.clear()

    def _listing(self, view: LakeAt, question: Question) -> Listing:
        erasures = view.erasures  # Of this process or another one.
        key = (view.t, erasures, question)
        with self._lock:
            found = self._kept.get(key)
            if found is not None:
                self._kept.move_to_end(key)
                return found
        # What is read here is not given out, so it goes to a trail that nobody records; the
        # resources of the page are noted to the one of the request.
        with AuditTrail("", "listing", "E", lists_entities=False).active():
            found = question.listed(view)
        with self._lock:
            if view.erasures == erasures:
                self._kept[key] = found
            while len(self._kept) > _KEPT_LISTS or (
                sum(len(one.keys) for one in self._kept.values()) > _KEPT_RESOURCES
            ):
                self._kept.popitem(last=False)
        return found


def loaded(view: LakeAt, keys: Sequence[Key]) -> list[Version]:
    """The current versions of resources that are there, in their order."""
    by_type: dict[str, list[str]] = {}
    for resource_type, id in keys:
        by_type.setdefault(resource_type, []).append(id)
    found = {
        (version.resource_type, version.id): version
        for resource_type, ids in by_type.items()
        for begin in range(0, len(ids), _IDS_AT_ONCE)
        for page in all_pages(
            view, resource_type, [("_id", ",".join(ids[begin : begin + _IDS_AT_ONCE]))]
        )
        for version in page.versions
    }
    for resource_type, id in keys:
        if (resource_type, id) not in found:  # Erased meanwhile.
            raise error("not-found", f"{resource_type}/{id} is not there any more.")
    return [found[key] for key in keys]


def all_pages(view: LakeAt, where: str | Scope, params: Params) -> Iterator[Page]:
    """All pages of a search, one after another; stored AuditEvents alone, not the audit log."""
    asked = [*params, ("_count", _AT_ONCE), ("_total", "none")]
    cursor: str | None = None
    while True:
        more = [("_cursor", cursor)] if cursor else []
        page = view.search(where, [*asked, *more], strict=True, audit_log=False)
        yield page
        cursor = page.next
        if cursor is None:
            return
