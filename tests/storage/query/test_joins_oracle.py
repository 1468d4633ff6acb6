"""Chains, `_has`, `_filter`, compartments and includes against a plain evaluation in Python.

Random resources with random references are stored, changed, deleted, flushed and merged; random
questions, nested and mixed, are asked as of a random commit, and answered by going through every
resource that was current then.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from schemas.compartments import COMPARTMENTS
from storage import flush
from storage.index import build
from storage.lake import Delete, Lake, Put, Scope
from storage.query import patient_order

Resource = dict[str, Any]
State = dict[tuple[str, str], Resource]
Holds = Callable[[State, Resource], bool]

U = "0f3c1a52-0000-4000-8000-00000000000"
IDS = {
    "Patient": ["p1", "p2", f"{U}1"],
    "Organization": ["o1", f"{U}2", "p1"],
    "Practitioner": ["d1", "p1"],
    "Observation": ["b1", "b2", "b3", f"{U}3"],
    "Encounter": ["e1", "e2"],
    "Provenance": ["v1", "v2"],
}
NAMES = ["Ann", "anna", "Bob"]
# Type, parameter, element, whether it repeats, the types that it leads to here.
EDGES = [
    ("Observation", "subject", "subject", False, ["Patient"]),
    ("Observation", "performer", "performer", True, ["Practitioner", "Organization", "Patient"]),
    ("Observation", "has-member", "hasMember", True, ["Observation"]),
    ("Observation", "encounter", "encounter", False, ["Encounter"]),
    ("Encounter", "subject", "subject", False, ["Patient"]),
    ("Encounter", "service-provider", "serviceProvider", False, ["Organization"]),
    ("Patient", "organization", "managingOrganization", False, ["Organization"]),
    (
        "Patient",
        "general-practitioner",
        "generalPractitioner",
        True,
        ["Practitioner", "Organization"],
    ),
    ("Organization", "partof", "partOf", False, ["Organization"]),
    ("Provenance", "target", "target", True, list(IDS)[:5]),
]


def references(resource: Resource, element: str) -> list[tuple[str, str]]:
    found = resource.get(element, [])
    many = found if isinstance(found, list) else [found]
    return [tuple(one["reference"].split("/")[:2]) for one in many]  # type: ignore[misc]


def names_of(resource: Resource) -> list[str]:
    found = resource.get("name", [])
    if isinstance(found, str):
        return [found]
    return [text for one in found for text in [*one.get("given", ()), one.get("family", "")]]


def code_of(resource: Resource) -> str:
    return str(resource["code"]["coding"][0]["code"])


# Per type: parameter, value, filter text (or none), meaning.
LEAVES: dict[str, list[tuple[str, str, str, Holds]]] = {
    "Patient": [
        ("gender", "male", "gender eq male", lambda s, r: r.get("gender") == "male"),
        ("gender", "male,female", "", lambda s, r: "gender" in r),
        ("gender:missing", "true", "gender pr false", lambda s, r: "gender" not in r),
        ("gender:not", "male", "", lambda s, r: r.get("gender") != "male"),
        (
            "birthdate",
            "ge1980",
            "birthdate ge 1980",
            lambda s, r: r.get("birthDate", "0") >= "1980",
        ),
        ("family:exact", "Ann", "", lambda s, r: any(n["family"] == "Ann" for n in r["name"])),
    ],
    "Organization": [
        ("active", "true", "active eq true", lambda s, r: r.get("active") is True),
    ],
    "Practitioner": [
        ("gender", "male", "gender eq male", lambda s, r: r.get("gender") == "male"),
    ],
    "Observation": [
        ("code", "x", "code eq x", lambda s, r: code_of(r) == "x"),
        ("code:not", "x", "not (code eq x)", lambda s, r: code_of(r) != "x"),
        ("status", "final", "status eq final", lambda s, r: r["status"] == "final"),
        ("subject:missing", "true", "subject pr false", lambda s, r: "subject" not in r),
    ],
    "Encounter": [
        ("status", "finished", "status eq finished", lambda s, r: r["status"] == "finished"),
    ],
    "Provenance": [],
}
for kind in ("Patient", "Organization", "Practitioner"):
    LEAVES[kind] += [
        (
            "name",
            "an",
            'name sw "an"',
            lambda s, r: any(n.lower().startswith("an") for n in names_of(r)),
        ),
        (
            "name:contains",
            "nn",
            'name co "nn"',
            lambda s, r: any("nn" in n.lower() for n in names_of(r)),
        ),
    ]
for kind, ids in IDS.items():
    LEAVES[kind].append(
        ("_id", f"{ids[0]},{ids[-1]}", "", lambda s, r, ids=ids: r["id"] in (ids[0], ids[-1]))
    )


@dataclass(frozen=True)
class Term:
    """A parameter, what it means, and the same in `_filter` where that can say it."""

    name: str
    value: str
    text: str
    holds: Holds


def leaf(kind: str) -> st.SearchStrategy[Term]:
    return st.sampled_from([Term(*one) for one in LEAVES[kind]])


@cache
def terms(kind: str, depth: int) -> st.SearchStrategy[Term]:
    """Terms on resources of a type, with chains and `_has` up to a depth."""
    options = [leaf(kind)]
    if depth:
        for source, param, element, _, targets in EDGES:
            if source == kind:
                for target in targets:
                    inner = terms(target, depth - 1)
                    options.append(st.builds(chain, *map(st.just, (param, element, target)), inner))
                options.append(st.just(untyped(param, element)))
            if kind in targets:
                fixed = map(st.just, (source, param, element, kind))
                options.append(st.builds(has, *fixed, terms(source, depth - 1)))
    return st.one_of(options)


def chain(param: str, element: str, target: str, inner: Term) -> Term:
    def holds(state: State, resource: Resource) -> bool:
        named = references(resource, element)
        return any(
            key in state and key[0] == target and inner.holds(state, state[key]) for key in named
        )

    text = inner.text
    plain = text and "not" not in text and "_has" not in inner.name
    return Term(
        f"{param}:{target}.{inner.name}",
        inner.value,
        f"{param}:{target}.{text}" if plain else "",
        holds,
    )


def untyped(param: str, element: str) -> Term:
    def holds(state: State, resource: Resource) -> bool:
        return any(key in state and key[1] == "p1" for key in references(resource, element))

    return Term(f"{param}._id", "p1", "", holds)


def has(source: str, param: str, element: str, kind: str, inner: Term) -> Term:
    def holds(state: State, resource: Resource) -> bool:
        me = (kind, resource["id"])
        return any(
            key[0] == source and me in references(other, element) and inner.holds(state, other)
            for key, other in state.items()
        )

    return Term(f"_has:{source}:{param}:{inner.name}", inner.value, "", holds)


@st.composite
def resources(draw: st.DrawFn) -> Resource:
    kind = draw(st.sampled_from(sorted(IDS)))
    resource: Resource = {"resourceType": kind, "id": draw(st.sampled_from(IDS[kind]))}
    if kind == "Organization":
        resource |= {"name": draw(st.sampled_from(NAMES)), "active": draw(st.booleans())}
    if kind in ("Patient", "Practitioner"):
        given_names = draw(st.lists(st.sampled_from(NAMES), max_size=1))
        resource["name"] = [{"family": draw(st.sampled_from(NAMES))}]
        if given_names:
            resource["name"][0]["given"] = given_names
        gender = draw(st.sampled_from(["male", "female", None]))
        if gender:
            resource["gender"] = gender
    if kind == "Patient" and draw(st.booleans()):
        resource["birthDate"] = draw(st.sampled_from(["1979-12-31", "1980-01-01", "1990"]))
    if kind == "Observation":
        resource["status"] = draw(st.sampled_from(["final", "amended"]))
        resource["code"] = {"coding": [{"code": draw(st.sampled_from(["x", "y"]))}]}
    if kind == "Encounter":
        resource["status"] = draw(st.sampled_from(["finished", "planned"]))
        resource["class"] = {"code": "AMB"}
    if kind == "Provenance":
        resource["recorded"] = "2024-01-01T00:00:00Z"
        resource["agent"] = [{"who": {"display": "x"}}]
    for source, _, element, many, targets in EDGES:
        if source != kind:
            continue
        named = draw(
            st.lists(
                st.sampled_from([f"{t}/{id}" for t in targets for id in IDS[t]]),
                min_size=1 if kind == "Provenance" else 0,
                max_size=2 if many else 1,
            )
        )
        if draw(st.booleans()) and named:
            named[0] += "/_history/1"
        holders = [{"reference": one} for one in named]
        if holders:
            resource[element] = holders if many else holders[0]
    return resource


def state_at(log: list[tuple[tuple[str, str], Resource | None]], t: int) -> State:
    state: State = {}
    for key, resource in log[:t]:
        if resource is None:
            state.pop(key, None)
        else:
            state[key] = resource
    return state


def found(lake: Lake, where: str | Scope, params: list[tuple[str, str]], at: int) -> list[Any]:
    """Every match and include of all pages, each as (type, id)."""
    page = lake.search(where, params, at=at, strict=True)
    matches, includes = [], []
    while True:
        matches += [(v.resource_type, v.id) for v in page.versions]
        includes.append([(v.resource_type, v.id) for v in page.included])
        if page.next is None:
            return [matches, includes]
        page = lake.search(where, [*params, ("_cursor", page.next)], at=at, strict=True)


def fill(lake: Lake, steps: list[Any]) -> list[tuple[tuple[str, str], Resource | None]]:
    log: list[tuple[tuple[str, str], Resource | None]] = []
    alive: set[tuple[str, str]] = set()
    for step in steps:
        if step == "flush":
            lake.flush()
        elif step == "compact":
            lake.compact()
        elif isinstance(step, tuple):
            if step in alive:
                lake.transact([Delete(*step)])
                alive.discard(step)
                log.append((step, None))
        else:
            key = (step["resourceType"], step["id"])
            before = lake.t
            lake.transact([Put(step)])
            assert lake.t == before + 1
            alive.add(key)
            log.append((key, step))
    return log


steps = st.lists(
    st.one_of(
        resources(),
        resources(),
        resources(),
        resources(),
        resources(),
        st.sampled_from([(kind, id) for kind, ids in IDS.items() for id in ids]),
        st.sampled_from(["flush", "compact"]),
    ),
    min_size=5,
    max_size=45,
)


@contextmanager
def small_parts() -> Iterator[None]:
    """Segments of some versions, parts of fewer, blocks of very few."""
    with (
        mock.patch.object(flush, "SEGMENT_ROWS", 7),
        mock.patch.object(build, "PART_ROWS", 4),
        mock.patch.object(build, "_BLOCK_ENTRIES", 2),
        mock.patch.object(patient_order, "FEW_PARTS", 1),
    ):
        yield


SETTINGS = settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)


@SETTINGS
@given(steps, st.data())
def test_joins_find_what_a_plain_evaluation_finds(steps: list[Any], data: st.DataObject) -> None:
    with (
        tempfile.TemporaryDirectory(prefix="chartlake-test-") as name,
        small_parts(),
        Lake.open(Path(name) / "lake") as lake,
    ):
        log = fill(lake, steps)
        for _ in range(25):
            at = data.draw(st.sampled_from([lake.t, lake.t, *range(lake.t + 1)]), "at")
            state = state_at(log, at)
            kind = data.draw(st.sampled_from(sorted(IDS)), "type")
            asked = data.draw(st.lists(terms(kind, 3), min_size=1, max_size=2), "terms")
            params = [(term.name, term.value) for term in asked]
            texts = [term for term in asked if term.text]
            if len(texts) == 2 and data.draw(st.booleans(), "filter"):
                word = data.draw(st.sampled_from(["and", "or"]), "word")
                params = [("_filter", f"({texts[0].text}) {word} not ({texts[1].text})")]
                ways: dict[str, Callable[[list[bool]], bool]] = {"and": all, "or": any}
                expected = {
                    key
                    for key, r in state.items()
                    if key[0] == kind
                    and ways[word]([asked[0].holds(state, r), not asked[1].holds(state, r)])
                }
            else:
                expected = {
                    key
                    for key, r in state.items()
                    if key[0] == kind and all(term.holds(state, r) for term in asked)
                }
            size = data.draw(st.sampled_from(["1", "2", "50"]), "count")
            matches, _ = found(lake, kind, [*params, ("_count", size)], at)
            assert len(matches) == len(set(matches))
            assert set(matches) == expected, (kind, params, at)
            total = lake.search(kind, [*params, ("_total", "accurate")], at=at).total
            assert total == len(expected)


def closure(state: State, matches: set[tuple[str, str]], specs: list[Any]) -> set[tuple[str, str]]:
    included: set[tuple[str, str]] = set()
    frontier, first = set(matches), True
    while frontier:
        fresh: set[tuple[str, str]] = set()
        for reverse, iterate, edge, target in specs:
            source, _, element, _, _ = edge
            if not first and not iterate:
                continue
            if reverse:
                fresh |= {
                    key
                    for key, resource in state.items()
                    if key[0] == source
                    for named in references(resource, element)
                    if named in frontier and target in ("", named[0])
                }
            else:
                fresh |= {
                    named
                    for key in frontier
                    if key[0] == source
                    for named in references(state[key], element)
                    if named in state and target in ("", named[0])
                }
        first = False
        frontier = fresh - included - matches
        included |= frontier
    return included


@SETTINGS
@given(steps, st.data())
def test_includes_are_the_closure_of_the_page(steps: list[Any], data: st.DataObject) -> None:
    with (
        tempfile.TemporaryDirectory(prefix="chartlake-test-") as name,
        small_parts(),
        Lake.open(Path(name) / "lake") as lake,
    ):
        lake.search_limits = type(lake.search_limits)(page_includes=2)
        log = fill(lake, steps)
        for _ in range(15):
            at = data.draw(st.sampled_from([lake.t, lake.t, *range(lake.t + 1)]), "at")
            state = state_at(log, at)
            kind = data.draw(st.sampled_from(sorted(IDS)), "type")
            specs = []
            params = [("_count", "50")]
            for edge in data.draw(st.lists(st.sampled_from(EDGES), max_size=3), "edges"):
                reverse = data.draw(st.booleans(), "reverse")
                fits = kind in edge[4] if reverse else edge[0] == kind
                iterate = not fits or data.draw(st.booleans(), "iterate")
                target = data.draw(st.sampled_from(["", *edge[4]]), "target")
                if reverse and not iterate and target not in ("", kind):
                    continue
                specs.append((reverse, iterate, edge, target))
                what = f"{edge[0]}:{edge[1]}" + (f":{target}" if target else "")
                params.append(
                    (
                        ("_revinclude" if reverse else "_include")
                        + (":iterate" if iterate else ""),
                        what,
                    )
                )
            matches, includes = found(lake, kind, params, at)
            expected = {key for key in state if key[0] == kind}
            assert set(matches) == expected
            given_out = [key for page in includes for key in page]
            assert len(given_out) == len(set(given_out))
            assert all(len(page) <= 2 for page in includes)
            assert set(given_out) == closure(state, expected, specs), (kind, params, at)


@SETTINGS
@given(steps, st.data())
def test_compartments_and_several_types(steps: list[Any], data: st.DataObject) -> None:
    with (
        tempfile.TemporaryDirectory(prefix="chartlake-test-") as name,
        small_parts(),
        Lake.open(Path(name) / "lake") as lake,
    ):
        log = fill(lake, steps)
        for _ in range(6):
            at = data.draw(st.sampled_from([lake.t, lake.t, *range(lake.t + 1)]), "at")
            state = state_at(log, at)
            whose = data.draw(st.sampled_from(["Patient", "Practitioner", "Encounter"]))
            id = data.draw(st.sampled_from(IDS[whose]))
            elements = {(source, param): element for source, param, element, _, _ in EDGES}
            elements |= {
                ("Encounter", "patient"): "subject",
                ("Provenance", "patient"): "target",
            }
            members = {
                key
                for key, resource in state.items()
                if key == (whose, id)
                or any(
                    (whose, id) in references(resource, elements[key[0], param])
                    for param in COMPARTMENTS[whose].get(key[0], ())
                    if (key[0], param) in elements
                )
            }
            matches, _ = found(lake, Scope((), (whose, id)), [("_count", "2")], at)
            assert sorted(matches) == sorted(members)
            some = data.draw(st.lists(st.sampled_from(sorted(IDS)), min_size=1, unique=True))
            sort = data.draw(st.sampled_from(["_id", "-_lastUpdated", "-_id,_lastUpdated"]))
            params = [("_count", "3"), ("_sort", sort)]
            matches, _ = found(lake, Scope(tuple(some)), params, at)
            assert sorted(matches) == sorted(key for key in state if key[0] in some)
            if sort == "_id":
                assert [key[1] for key in matches] == sorted(key[1] for key in matches)
