"""History of a resource, a type and the lake, against a list of all versions."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.dates import date_range, to_microseconds
from schemas.outcomes import FhirError
from storage import commit_order
from storage.lake import Delete, Lake, Page, Put, Version

Make = Callable[..., dict[str, Any]]

TYPES = ("Patient", "Organization", "Device")
BEGIN_S = 1_700_000_000
"""2023-11-14T22:13:20Z: where the tests' clock begins."""


class Clock:
    """Stands in for the clock of commits."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.now_ms = BEGIN_S * 1000
        patch.setattr(time, "time_ns", lambda: self.now_ms * 1_000_000)

    def instant(self, offset_ms: int) -> str:
        """A FHIR instant of that clock."""
        at = BEGIN_S * 1000 + offset_ms
        whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at // 1000))
        return f"{whole}.{at % 1000:03}Z"


class Log:
    """All versions of a lake in commit order, with the moment each was superseded."""

    def __init__(self) -> None:
        self.versions: list[Version] = []
        self.ended: dict[tuple[str, str, int], int] = {}

    def add(self, version: Version) -> None:
        before = (version.resource_type, version.id, version.version_id - 1)
        self.ended[before] = to_microseconds(version.last_updated)
        self.versions.append(version)

    def expected(
        self,
        types: tuple[str, ...],
        id: str | None,
        since: str | None,
        during: str | None,
        t: int,
    ) -> list[tuple[str, str, int]]:
        """What R4 says of history, word by word."""
        found = []
        for version in reversed(self.versions):
            key = (version.resource_type, version.id, version.version_id)
            began = to_microseconds(version.last_updated)
            ended = self.ended.get(key)
            follower = next(
                (v for v in self.versions if (v.resource_type, v.id) == key[:2]
                 and v.version_id == key[2] + 1 and v.t <= t),
                None,
            )  # fmt: skip
            if follower is None:
                ended = None
            if version.t > t or (types and key[0] not in types) or id not in (None, key[1]):
                continue
            if since is not None and began < date_range(since)[0]:
                continue
            if during is not None:
                low, high = date_range(during)
                current_before = began < low and (ended is None or ended > low)
                if not (current_before or low <= began < high):
                    continue
            found.append(key)
        return found


def keys(page: Page) -> list[tuple[str, str, int]]:
    return [(v.resource_type, v.id, v.version_id) for v in page.versions]


def every_page(lake: Lake, count: int, **question: Any) -> list[tuple[str, str, int]]:
    page = lake.history(count=count, **question)
    found, total = keys(page), page.total
    while page.next:
        assert len(page.versions) == count
        page = lake.history(count=count, cursor=page.next, **question)
        assert page.total == total
        found += keys(page)
    assert total == len(found)
    return found


STEP = st.tuples(
    st.sampled_from(["put", "put", "put", "delete", "delete", "flush"]),
    st.lists(st.tuples(st.sampled_from(TYPES), st.sampled_from("abc")), min_size=1, max_size=4),
    st.sampled_from([0, 0, 1, 700, 61_000]),
)


@pytest.mark.slow
@settings(max_examples=60)
@given(st.lists(STEP, min_size=6, max_size=16), st.data())
def test_any_history_is_what_the_log_says(steps: list[Any], data: Any) -> None:
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        clock, log = Clock(patch), Log()
        # So small that each way of finding versions is taken.
        in_index, in_table = data.draw(st.sampled_from([(0, 0), (0, 4), (3, 8), (50, 50)]))
        patch.setattr(commit_order, "_FEW_IN_INDEX", in_index)
        patch.setattr(commit_order, "_FEW_IN_TABLE", in_table)
        with Lake.open(Path(folder) / "lake") as lake:
            known: set[tuple[str, str]] = set()
            for what, places, pause in steps:
                clock.now_ms += pause
                if what == "flush":
                    lake.flush()
                    continue
                operations: list[Put | Delete] = []
                for place in dict.fromkeys(places):
                    if what == "put":
                        operations.append(Put({"resourceType": place[0], "id": place[1]}))
                        known.add(place)
                    elif place in known:
                        operations.append(Delete(*place))
                before = lake.t
                for version in lake.transact(operations).versions:
                    if version.t > before:
                        log.add(version)
            for _ in range(12):
                moments = st.integers(-1, clock.now_ms - BEGIN_S * 1000 + 1).map(clock.instant)
                coarse = st.sampled_from(["2023", "2024", "2023-11-14", "2023-11-14T22:13:00Z"])
                moment = st.none() | moments | coarse
                types = tuple(data.draw(st.lists(st.sampled_from(TYPES), unique=True, max_size=2)))
                asked = {"since": data.draw(moment), "during": data.draw(moment)}
                t = data.draw(st.just(lake.t) | st.integers(0, lake.t))
                count = data.draw(st.integers(1, 5))
                assert every_page(lake, count, types=types, at=t, **asked) == log.expected(
                    types, None, t=t, **asked
                )
                assert lake.history(types=types, at=t, count=0, **asked).total == len(
                    log.expected(types, None, t=t, **asked)
                )
                for type_, id in sorted(known)[:2]:
                    wanted = log.expected((type_,), id, t=t, **asked)
                    if log.expected((type_,), id, None, None, t):
                        assert (
                            every_page(lake, count, resource_type=type_, id=id, at=t, **asked)
                            == wanted
                        )
                    else:
                        with pytest.raises(FhirError):
                            lake.history(type_, id, at=t, **asked)


def test_pages_are_of_one_moment_and_hold_what_was_stored(lake: Lake, patient: Make) -> None:
    for number in range(5):
        lake.transact([Put(patient(id=f"p{number}")), Put(patient(id="same", active=True))])
    page = lake.history(count=3)
    lake.flush()
    lake.transact([Delete("Patient", "p0"), Put(patient(id="new"))])
    found = list(page.versions)
    assert (page.total, page.t) == (10, 5)
    while page.next:
        page = lake.history(count=3, cursor=page.next)
        assert (page.total, page.t) == (10, 5)
        found += page.versions
    assert len({(v.id, v.version_id) for v in found}) == 10
    assert {v.resource()["id"] for v in found} == {"same", *(f"p{n}" for n in range(5))}
    newest = lake.history("Patient", count=2).versions
    assert [(v.id, v.deleted, v.body) for v in newest][1] == ("p0", True, b"")


def test_a_cursor_is_good_for_its_own_question_only(lake: Lake, patient: Make) -> None:
    for number in range(4):
        lake.transact([Put(patient(id=f"p{number}"))])
    cursor = lake.history("Patient", count=1).next
    assert cursor is not None
    others: list[dict[str, Any]] = [
        {},
        {"types": ("Patient", "Device")},
        {"resource_type": "Device"},
        {"resource_type": "Patient", "id": "p1"},
        {"resource_type": "Patient", "since": "2020"},
        {"resource_type": "Patient", "during": "2020"},
        {"resource_type": "Patient", "at": 2},
    ]
    for other in others:
        with pytest.raises(FhirError) as refused:
            lake.history(count=1, cursor=cursor, **other)
        assert refused.value.issues[0].expression == ("_cursor",)


@pytest.mark.parametrize(
    ("question", "place"),
    [
        ({"since": "yesterday"}, "_since"),
        ({"during": "2023-02-30"}, "_at"),
        ({"types": ("Nothing",)}, "_type"),
        ({"at": 9}, "at"),
        ({"cursor": "x"}, "_cursor"),
    ],
)
def test_bad_questions_name_the_parameter(lake: Lake, question: Any, place: str) -> None:
    with pytest.raises(FhirError) as refused:
        lake.history(count=1, **question)
    assert refused.value.issues[0].expression == (place,)
    assert "yesterday" not in refused.value.issues[0].diagnostics


def test_the_empty_lake_and_an_unknown_type(lake: Lake) -> None:
    assert lake.history(count=5) == Page([], 0, None, [], 0)
    assert lake.history("Device", count=5).total == 0
