"""What the condition of a conditional interaction matches, seen so that a commit can rely on it.

https://hl7.org/fhir/R4/http.html#cond-update. A condition is a search; see `recent_versions` for
how its answer is kept true until it is acted upon.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

from schemas.ids import is_id
from schemas.outcomes import error
from schemas.search_params import search_params
from storage.packed_ids import pack
from storage.query.escapes import split, unescape
from storage.recent_versions import Guard, RecentVersions
from storage.versions import Page, Version


class Question(NamedTuple):
    """What a condition asks, and how many matches are wanted at most."""

    resource_type: str
    params: tuple[tuple[str, str], ...]
    limit: int


class Recents(Protocol):
    """What knows the last commits (`storage.writer.Writer`)."""

    recent: RecentVersions
    indexed_t: int


# Enough for the practitioners and places that the bundles of a hospital refer to.
_QUESTIONS = 10_000

# They shape a result; a condition only says which resources are meant.
_SHAPES = frozenset({
    "_sort", "_count", "_total", "_include", "_revinclude", "_summary", "_elements", "_contained",
    "_containedType", "_cursor", "_offset", "_page", "_score", "at",
})  # fmt: skip

IDENTIFIER = "identifier"
"""What nearly all conditions are about; only versions that have its value concern these."""

# Modifiers that ask the resource itself.
_OF_ITSELF = frozenset({"", "exact", "contains", "missing"})


@dataclass(frozen=True, slots=True)
class Matches:
    """What a condition matched (`limit` versions at most), and the guard of that answer."""

    versions: list[Version]
    guard: Guard


class KnownMatches:
    """Answers to conditions by identifier alone, as long as their guards are not overtaken.

    Bundle after bundle refers to the same few practitioners and organizations. Ids only are kept,
    so that what is given out is read, and recorded, each time.
    """

    def __init__(self) -> None:
        self._answers: dict[Question, tuple[Guard, tuple[str, ...]]] = {}

    def get(
        self, question: Question, recent: RecentVersions, t: int
    ) -> tuple[Guard, tuple[str, ...]] | None:
        """The guard, as of commit `t`, and the ids that match; None when that has to be searched.

        `t` is the last commit, read before.
        """
        found = self._answers.get(question)
        if found is None or recent.overtakes(found[0]):
            return None
        fresh = (replace(found[0], since_t=max(t, found[0].since_t)), found[1])
        self._answers[question] = fresh
        return fresh

    def keep(self, question: Question, guard: Guard, ids: tuple[str, ...]) -> None:
        """Remember an answer, if the condition is one by identifier alone."""
        params = question.params
        if len(params) == 1 and params[0][0] == IDENTIFIER and guard.identifiers is not None:
            if len(self._answers) >= _QUESTIONS:
                self._answers.clear()
            self._answers[question] = (guard, ids)

    def forget(self) -> None:
        """Keep nothing: some of it was erased."""
        self._answers.clear()


def find(
    question: Question,
    type_number: int,
    t: int,
    writer: Recents,
    known: KnownMatches,
    search: Callable[[Sequence[tuple[str, str]], int], Page],
    read: Callable[[str, int], Version],
) -> Matches:
    """What a condition matches as of commit `t`, the last one, or later; see `Lake.find`.

    `search(more, t)` searches with the condition's and more parameters, `read(id, t)` reads one.
    """
    check_condition(question.params, question.resource_type)
    recent = writer.recent
    answer = known.get(question, recent, t)
    if answer is not None:
        guard, matching = answer
        return Matches([read(id, t) for id in matching], guard)
    unsettled = unsettled_guard(question.resource_type, type_number, question.params)
    # What is in the index already is enough, unless what is not may be a match.
    for since_t in dict.fromkeys((min(writer.indexed_t, t), t)):
        guard = replace(unsettled, since_t=since_t)
        if since_t < t and recent.overtakes(guard):
            continue
        found = _all_matches(search, question.limit, since_t)
        guard = replace(guard, ids=unsettled.ids.union(pack(version.id) for version in found))
        if since_t == t or not recent.overtakes(guard):
            break
    known.keep(question, guard, tuple(version.id for version in found))
    return Matches(found, guard)


def _all_matches(
    search: Callable[[Sequence[tuple[str, str]], int], Page], limit: int, t: int
) -> list[Version]:
    found: list[Version] = []
    following: list[tuple[str, str]] = []
    while True:
        count = str(min(limit - len(found), 1000))
        page = search([("_count", count), ("_total", "none"), *following], t)
        found += page.versions
        if page.next is None or len(found) >= limit:
            return found
        following = [("_cursor", page.next)]


def check_condition(params: Sequence[tuple[str, str]], place: str) -> None:
    """Raises FhirError `invalid` for no criteria at all, and for what is no criterion."""
    if not params:
        raise error("invalid", "There is no search parameter in the condition.", place)
    for name, _ in params:
        bare = name.partition(":")[0]
        if bare in _SHAPES:
            raise error("invalid", f"A condition has criteria only, not {bare}.", place)


def unsettled_guard(
    resource_type: str, type_number: int, params: Sequence[tuple[str, str]]
) -> Guard:
    """The guard of a condition, before it is known since when and for which resources."""
    known = search_params(resource_type)
    identifiers: frozenset[str] | None = None
    ids: frozenset[bytes | str] = frozenset()
    for name, value in params:
        bare, _, modifier = name.partition(":")
        if bare == "_lastUpdated":
            continue
        if bare == "_id" and not modifier:
            texts = split(value, ",")
            if all(is_id(text) for text in texts):
                ids, identifiers = frozenset(pack(text) for text in texts), frozenset()
            continue
        if bare not in known or "." in name or modifier not in _OF_ITSELF:
            # It may depend on other resources (a chain, a list, a value set).
            return Guard(None, 0, None)
        if bare == IDENTIFIER and not modifier and identifiers is None:
            identifiers = _identifiers(value)
    return Guard(type_number, 0, identifiers, ids)


def _identifiers(value: str) -> frozenset[str] | None:
    """The values of which a match has one; None where only a system is asked for."""
    found = frozenset(unescape(split(text, "|", 1)[-1]) for text in split(value, ","))
    return None if "" in found else found
