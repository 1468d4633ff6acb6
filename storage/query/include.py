"""What a page's matches include: the resources they refer to, and those that refer to them.

https://hl7.org/fhir/R4/search.html#include. Included are current versions as of the search's
commit, each once, and none that is a match of the page itself. What a reference names and is not
there is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import apsw

from schemas.index_values import IndexValue, ReferenceValue
from schemas.search_params import search_params
from schemas.search_values import extract_params, extract_repeated
from storage import audit_trail
from storage.index.membership import TextSet
from storage.query.canonical import Canonical, as_written, bare, canonical_of, leads_to
from storage.query.chains import may_name
from storage.query.conditions import among_ids
from storage.query.include_text import Include
from storage.query.joins import Evaluation
from storage.query.limits import beyond
from storage.version_rows import rows_of_versions
from storage.versions import Version

# Ids looked up by one statement.
_AT_ONCE = 2_000


def included(
    evaluation: Evaluation, includes: Sequence[Include], page: Sequence[tuple[int, Version]]
) -> list[int]:
    """The `v` of all that the matches of a page (`v`, version) include, ascending.

    Raises FhirError when there are more than the limit.
    """
    found: set[int] = set()
    matched = {v for v, _ in page}
    iterated = [one for one in includes if one.iterate]
    frontier, asked = [version for _, version in page], list(includes)
    while frontier and asked:
        fresh = _forward(evaluation, [one for one in asked if not one.reverse], frontier)
        fresh |= _reverse(evaluation, [one for one in asked if one.reverse], frontier)
        fresh -= found | matched
        found |= fresh
        if len(found) > evaluation.limits.max_includes:
            raise beyond(
                "_revinclude" if any(one.reverse for one in includes) else "_include",
                "includes too many resources for one page of matches",
                evaluation.limits.max_includes,
                "search_max_includes",
            )
        asked = iterated
        if asked:
            with audit_trail.unobserved():
                rows = rows_of_versions(evaluation.connection, sorted(fresh))
                frontier = evaluation.bodies.load(evaluation.connection, rows)
    return sorted(found)


def _forward(
    evaluation: Evaluation, includes: Sequence[Include], frontier: Sequence[Version]
) -> set[int]:
    """What the resources refer to."""
    by_type: dict[str, list[Include]] = {}
    for one in includes:
        by_type.setdefault(one.source_type, []).append(one)
    ids: dict[str, set[str]] = {}
    urls: dict[str, set[str]] = {}
    for version in frontier:
        asked = by_type.get(version.resource_type)
        if not asked:
            continue
        resource = version.resource()
        for one in asked:
            named = _references(evaluation, resource, one)
            for value in named:
                kind = value.resource_type
                if value.url is None and value.id and kind and one.target_type in ("", kind):
                    ids.setdefault(kind, set()).add(value.id)
            written = as_written([value.url for value in named if value.url is not None])
            if written:
                for target in _canonical_types(evaluation, one):
                    urls.setdefault(target, set()).update(written)
    found: set[int] = set()
    for target, wanted in ids.items():
        found |= _current(evaluation, target, wanted)
    for target, references in urls.items():
        for version in evaluation.with_urls(target, TextSet.of(bare(references))):
            canonical = canonical_of(version.resource())
            if canonical is not None and leads_to(references, canonical):
                found |= _current(evaluation, target, [version.id])
    return found


def _references(
    evaluation: Evaluation, resource: dict[str, Any], include: Include
) -> list[ReferenceValue]:
    """What a parameter finds in a resource, be it R4's own or one that was added."""
    defined = evaluation.known(include.source_type).get(include.param)
    values: Iterable[IndexValue]
    if defined is search_params(include.source_type).get(include.param):
        values = extract_params(resource, (include.param,))
    else:
        tree = evaluation.known.tree(include.source_type)
        values = (one for one in extract_repeated(resource, tree) if one.param == include.param)
    return [one for one in values if isinstance(one, ReferenceValue)]


def _canonical_types(evaluation: Evaluation, include: Include) -> list[str]:
    """The types that a URL in the parameter may be the canonical of."""
    param = evaluation.known(include.source_type).get(include.param)
    if param is None:
        return []
    types = [include.target_type] if include.target_type else list(param.targets)
    return [one for one in types if evaluation.has_urls(one) and evaluation.find(one) is not None]


def _reverse(
    evaluation: Evaluation, includes: Sequence[Include], frontier: Sequence[Version]
) -> set[int]:
    """What refers to the resources."""
    if not includes:
        return set()
    ids: dict[str, set[str]] = {}
    urls: dict[str, list[Canonical]] = {}
    for version in frontier:
        ids.setdefault(version.resource_type, set()).add(version.id)
        if evaluation.has_urls(version.resource_type):
            canonical = canonical_of(version.resource())
            if canonical is not None:
                urls.setdefault(version.resource_type, []).append(canonical)
    found: set[int] = set()
    for one in includes:
        if evaluation.find(one.source_type) is None:
            continue
        param = evaluation.known(one.source_type)[one.param]
        for target, wanted in ids.items():
            if one.target_type not in ("", target) or not may_name(param, target):
                continue
            matches = evaluation.referring(
                one.source_type, one.param, target, TextSet.of(wanted), urls.get(target, ())
            )
            found.update(matches.versions().tolist())
    return found


def _current(evaluation: Evaluation, resource_type: str, ids: Iterable[str]) -> set[int]:
    """The current versions of resources."""
    number = evaluation.find(resource_type)
    if number is None:
        return set()
    wanted = sorted(ids)
    found: set[int] = set()
    for begin in range(0, len(wanted), _AT_ONCE):
        text, args = among_ids("r.id", TextSet.of(wanted[begin : begin + _AT_ONCE]))
        found.update(_visible(evaluation.connection, number, text, args, evaluation.t))
    return found


def _visible(
    connection: apsw.Connection, type_number: int, text: str, args: list[object], t: int
) -> list[int]:
    rows: list[Any] = connection.execute(
        f"SELECT r.v FROM version r WHERE r.type = ? AND {text} AND r.t <= ? "
        "AND (r.t_end IS NULL OR r.t_end > ?) AND NOT r.deleted",
        (type_number, *args, t, t),
    ).fetchall()
    return [v for (v,) in rows]
