"""Answering a search: one page of matches, what they include, and the cursors of other pages."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from schemas.outcomes import FhirError, Issue, error
from storage.query import kept_sets, patient_order
from storage.query.include import included
from storage.query.joins import Evaluation
from storage.query.matches import Matches
from storage.query.order import by_version, ordered
from storage.query.page import BACKWARD, BEGINNING, BY_PATIENT, Cursors, Position
from storage.query.parse import CONTROL, Query
from storage.query.scope import Scope
from storage.version_rows import note
from storage.versions import Page, Version

# An order of so many matches is kept; one of fewer is worked out as fast.
_KEPT_FROM = 1_000

# In the place of an order that is worked out when it is asked for again.
_SEEN = np.zeros(0, np.int64)

# In the place of one that is too long to be kept: a page of it is worked out by itself each time.
_TOO_LONG = np.zeros(0, np.int64)

Params = Sequence[tuple[str, str]]


class _Window(NamedTuple):
    """The matches of a page, whether there are others before and after them, and their number."""

    versions: list[int]
    before: bool
    after: bool
    total: int


def question_of(scope: Scope, params: Params, ignored: Sequence[str]) -> list[str]:
    """What a cursor must not be moved to: where and what is searched, not the page's size.

    Links to further pages have no parameters that were `ignored`.
    """
    without = {*CONTROL, *ignored}
    others = (f"{name}={value}" for name, value in params if name not in without)
    sort = [value for name, value in params if name == "_sort"]
    return ["search", *scope.texts(), *sorted(others), "_sort", *sort[:1]]


def search(
    evaluation: Evaluation,
    cursors: Cursors,
    query: Query,
    question: Sequence[str],
    position: Position | None,
) -> Page:
    """One page of the resources that meet a query, as of the evaluation's commit.

    `position` is that of the query's cursor, None for the first page.
    """
    found = [
        (part.resource_type, evaluation.matches(part.resource_type, part.criteria))
        for part in query.parts
    ]
    found = [one for one in found if one[1].planned.type_number is not None]
    at = position or Position(evaluation.t, 0, -1, BEGINNING | _order(query, found))
    count = at.count if at.include else query.count
    window = _window(evaluation, query, found, at, count)
    versions = window.versions
    total = _total(query, found, window, at, count)
    matches: list[Version] = []
    if not at.include:
        matches = _load(evaluation, versions)
    page = Page(matches, total, None, list(query.ignored), evaluation.t, issues=[*query.issues])
    counted = -1 if total is None else total
    following = previous = None
    if window.after and versions:
        following = Position(evaluation.t, versions[-1], counted, at.flags & BY_PATIENT)
    if window.before and versions and not at.include:
        flags = BACKWARD | at.flags & BY_PATIENT
        previous = Position(evaluation.t, versions[0], counted, flags)
    if query.includes and versions:
        of_page, more = _included(evaluation, query, versions, matches, at)
        page = replace(page, included=_load(evaluation, of_page))
        if more:
            page.issues.append(_more_follow(more))
            first = at if at.include else replace(at, count=len(versions))
            following = replace(first, total=counted, include=of_page[-1])
    return replace(
        page,
        next=None if following is None else cursors.write(following, question),
        previous=None if previous is None else cursors.write(previous, question),
    )


def _window(
    evaluation: Evaluation,
    query: Query,
    found: Sequence[tuple[str, Matches]],
    at: Position,
    count: int,
) -> _Window:
    """The `v` of the matches of the page at a position."""
    backward = bool(at.flags & BACKWARD)
    after = None if at.flags & BEGINNING else at.v
    descending = by_version(query.sort)
    if not count:
        return _Window([], False, False, -1)
    versions = None
    if descending is None:
        versions = _ordered(evaluation, query, found)
    elif not at.flags & BY_PATIENT and any(matches.is_wide for _, matches in found):
        versions = _ordered_again(evaluation, query, found, descending)
        if versions is not None and after is not None and after not in versions:
            versions = None  # Erased since: the page is what comes after it.
    if versions is not None:
        total = len(versions)
        place = 0 if after is None else _place(versions, after)
        if backward:
            first, last = max(place - count, 0), place
        else:
            first = place + (after is not None)
            last = first + count
        chosen = versions[first:last].tolist()
        return _Window(chosen, first > 0, last < total, total)
    assert descending is not None
    if backward:
        descending = not descending
    if at.flags & BY_PATIENT:
        both = _by_patient(evaluation, found, count + 1, after, descending)
    else:
        both = []
        for _, matches in found:
            both += matches.by_version(count + 1, after, descending=descending)
        both.sort(reverse=descending)
    more, chosen = len(both) > count, both[:count]
    if backward:
        return _Window(chosen[::-1], more, True, -1)
    return _Window(chosen, after is not None, more, -1)


def _ordered(
    evaluation: Evaluation, query: Query, found: Sequence[tuple[str, Matches]]
) -> np.ndarray:
    """Every match in its order; kept for the next page where there are many."""
    key = _order_key(evaluation, query)
    versions: np.ndarray | None = evaluation.flushed.sets.get(key)
    if versions is None:
        versions = ordered(evaluation, query.sort, found)
        if len(versions) > _KEPT_FROM:
            evaluation.flushed.sets.keep(key, versions)
    return versions


def _ordered_again(
    evaluation: Evaluation,
    query: Query,
    found: Sequence[tuple[str, Matches]],
    descending: bool,
) -> np.ndarray | None:
    """Every match in the order of versions, of a search that was there before as of the same state.

    None where it is new: a first page and a number cost less than all in order.
    """
    key = _order_key(evaluation, query)
    versions: np.ndarray | None = evaluation.flushed.sets.get(key)
    if versions is None:
        evaluation.flushed.sets.keep(key, _SEEN)
        return None
    if versions is _TOO_LONG:
        return None
    if versions is _SEEN:
        if sum(matches.total() for _, matches in found) > kept_sets.MOST_NUMBERS:
            evaluation.flushed.sets.keep(key, _TOO_LONG)
            return None
        versions = np.sort(np.concatenate([matches.versions() for _, matches in found]))
        if descending:
            versions = versions[::-1]
        evaluation.flushed.sets.keep(key, versions)
    return versions


def _order_key(evaluation: Evaluation, query: Query) -> Hashable:
    asked = {part.resource_type: part.criteria for part in query.parts}
    return "order", query.parts, query.sort, evaluation.state_of(asked)


def _total(
    query: Query,
    found: Sequence[tuple[str, Matches]],
    window: _Window,
    at: Position,
    count: int,
) -> int | None:
    if not query.counts:
        return None
    if at.total >= 0:
        return at.total
    if window.total >= 0:
        return window.total
    if count and not window.before and not window.after:
        return len(window.versions)
    if count and not query.total and at.flags & BY_PATIENT:
        # Counting would take longer than the page: who wants to know asks.
        return None
    return sum(matches.total() for _, matches in found)


def _order(query: Query, found: Sequence[tuple[str, Matches]]) -> int:
    """The flag of the order in which a search that asks for none gives its matches."""
    parts = sum(len(matches.flushed.parts) for _, matches in found)
    return BY_PATIENT if not query.sort and parts > patient_order.FEW_PARTS else 0


def _by_patient(
    evaluation: Evaluation,
    found: Sequence[tuple[str, Matches]],
    count: int,
    after: int | None,
    descending: bool,
) -> list[int]:
    """The `v` of the first matches after version `after`, by patient."""
    key = None
    if after is not None:
        key = patient_order.key_of(evaluation.connection, after)
        if key is None:
            raise _gone()
    keys: list[patient_order.Key] = []
    for _, matches in found:
        keys += patient_order.first(
            evaluation.connection, matches, count, key, descending=descending
        )
    keys.sort(reverse=descending)
    return [v for _, v in keys[:count]]


def _gone() -> FhirError:
    return error("value", "The _cursor points at what is no longer there.", "_cursor")


def _place(versions: np.ndarray, v: int) -> int:
    """Where `v` is among the versions, in their order."""
    (place,) = np.nonzero(versions == v)
    if not len(place):
        raise _gone()
    return int(place[0])


def _included(
    evaluation: Evaluation,
    query: Query,
    versions: list[int],
    matches: list[Version],
    at: Position,
) -> tuple[list[int], int]:
    """The included versions of this page, and how many more follow."""
    if at.include:
        # The matches were given out on an earlier page.
        matches = evaluation.unobserved_versions(versions)
    everything = included(evaluation, query.includes, list(zip(versions, matches, strict=True)))
    rest = [v for v in everything if v > at.include]
    of_page = rest[: evaluation.limits.page_includes]
    return of_page, len(rest) - len(of_page)


def _load(evaluation: Evaluation, versions: list[int]) -> list[Version]:
    found = evaluation.versions(versions)
    patients = [one.patient for one in found if one.patient is not None]
    loaded = [one.version for one in found]
    note(loaded, dict.fromkeys(patients))
    return loaded


def _more_follow(count: int) -> Issue:
    return Issue(
        "information",
        "incomplete",
        f"{count:,} more included resources belong to the matches of this page (setting "
        "search_page_includes): the next link leads to them, before further matches.",
        ("_include",),
    )
