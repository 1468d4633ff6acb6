"""A lake and a dictionary do the same steps; whatever is asked, at any past t, they agree.

The steps: transactions of puts and deletions with and without conditions, refused ones among them,
consumer cursors, flushes, compaction where there is one, new keys, closing and opening again, and
being killed. The questions: reads, versions, histories, changes, counts and searches, now and at
every past commit.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from schemas.outcomes import FhirError
from storage.lake import Delete, Lake, Put

IDS = ("a", "b", "c", "5b0f2f6e-9d5c-4b1e-8a53-0d4c1c0f7e11")
GENDERS = ("male", "female", "other")

ids = st.sampled_from(IDS)
genders = st.sampled_from(GENDERS)
consumers = st.sampled_from(["enrich", "export"])
pick = st.integers(0, 10_000)


@dataclass(frozen=True)
class Change:
    """One operation; `gender` None is a deletion."""

    id: str
    gender: str | None
    if_match: int | None = None
    must_not_exist: bool = False

    def operation(self) -> Put | Delete:
        """What the lake is given."""
        if self.gender is None:
            return Delete("Patient", self.id, if_match=self.if_match)
        return Put(
            {"resourceType": "Patient", "id": self.id, "gender": self.gender},
            if_match=self.if_match,
            must_not_exist=self.must_not_exist,
        )


def _change(id: str, gender: str | None, if_match: int | None, must_not_exist: bool) -> Change:
    return Change(id, gender, if_match, must_not_exist and gender is not None)


changes = st.builds(
    _change,
    ids,
    st.none() | genders,
    st.none() | st.none() | st.integers(1, 4),
    st.sampled_from([False, False, True]),
)


class LakeMachine(RuleBasedStateMachine):
    """The oracle keeps every version: id → [(t, gender or None for a deletion)]."""

    @initialize()
    def open(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="chartlake-test-"))
        self.lake = Lake.open(self.folder / "lake")
        self.versions: dict[str, list[tuple[int, str | None]]] = {}
        self.log: list[tuple[int, str, int]] = []
        self.cursors: dict[str, int] = {}
        self.t = 0

    def teardown(self) -> None:
        if hasattr(self, "lake"):
            try:
                assert self.lake.verify() == []
                self.every_past_t()
            finally:
                self.lake.close()
                shutil.rmtree(self.folder)

    # The oracle's answers

    def at(self, t: int) -> dict[str, tuple[int, str]]:
        """id → (version, gender) of what is current at t."""
        found = {}
        for id, versions in self.versions.items():
            known = [(n, g) for n, (vt, g) in enumerate(versions, 1) if vt <= t]
            if known and known[-1][1] is not None:
                found[id] = (known[-1][0], known[-1][1])
        return found

    def refusal(self, wanted: list[Change]) -> set[str]:
        """The categories that one of the changes is refused with; empty when all can be made."""
        found = set()
        for change in wanted:
            versions = self.versions.get(change.id, [])
            if change.if_match is not None and change.if_match != len(versions):
                found.add("precondition")
            elif change.must_not_exist and versions and versions[-1][1] is not None:
                found.add("conflict")
            elif change.gender is None and not versions:
                found.add("not-found")
        if len({change.id for change in wanted}) < len(wanted):
            found = {"invalid"}
        return found

    # Steps

    @rule(wanted=st.lists(changes, min_size=1, max_size=4), consumer=st.none() | consumers)
    def transact(self, wanted: list[Change], consumer: str | None) -> None:
        cursor = None if consumer is None else (consumer, self.t)
        refused = self.refusal(wanted)
        operations = [change.operation() for change in wanted]
        if refused:
            with pytest.raises(FhirError) as failure:
                self.lake.transact(operations, cursor=cursor)
            assert failure.value.category in refused
            return
        commit = self.lake.transact(operations, cursor=cursor)
        if cursor is not None:
            self.cursors[cursor[0]] = cursor[1]
        effective = [
            change
            for change in wanted
            if change.gender is not None or self.versions[change.id][-1][1] is not None
        ]
        self.t += bool(effective)
        for change in effective:
            versions = self.versions.setdefault(change.id, [])
            versions.append((self.t, change.gender))
            self.log.append((self.t, change.id, len(versions)))
        assert commit.t == self.t
        assert [(v.id, v.version_id, v.t, v.deleted) for v in commit.versions] == [
            (
                change.id,
                len(self.versions[change.id]),
                self.versions[change.id][-1][0],
                change.gender is None,
            )
            for change in wanted
        ]

    @rule(id=ids, gender=genders)
    def bring_back(self, id: str, gender: str) -> None:
        """A resource that was deleted is created again: its versions go on."""
        if id in self.versions and self.versions[id][-1][1] is None:
            self.transact([Change(id, gender, must_not_exist=True)], None)

    @rule(consumer=consumers, when=pick)
    def move_cursor(self, consumer: str, when: int) -> None:
        t = when % (self.t + 1)
        commit = self.lake.transact([], cursor=(consumer, t))
        assert (commit.t, commit.versions) == (self.t, [])
        self.cursors[consumer] = t

    @rule()
    def flush(self) -> None:
        self.lake.flush()

    @rule()
    def compact(self) -> None:
        compact: Callable[[], Any] | None = getattr(self.lake, "compact", None)
        if compact is not None:
            compact()

    @rule()
    def renew_keys(self) -> None:
        self.lake.renew_keys()

    @rule()
    def reopen(self) -> None:
        self.lake.close()
        self.lake = Lake.open(self.folder / "lake")

    @rule()
    def crash(self) -> None:
        """Go on with the files as a kill would leave them now."""
        copy = self.folder / "copy"
        shutil.copytree(self.folder / "lake", copy)
        self.lake.close()
        shutil.rmtree(self.folder / "lake")
        copy.rename(self.folder / "lake")
        self.lake = Lake.open(self.folder / "lake")

    @rule()
    def reindex(self) -> None:
        self.lake.reindex()

    # Questions

    @rule(id=ids, when=pick)
    def read(self, id: str, when: int) -> None:
        t = when % (self.t + 1)
        expected = self.at(t).get(id)
        if expected is None:
            with pytest.raises(FhirError) as failure:
                self.lake.read("Patient", id, at=t)
            ever = any(vt <= t for vt, _ in self.versions.get(id, []))
            assert failure.value.category == ("deleted" if ever else "not-found")
            return
        version = self.lake.read("Patient", id, at=t)
        assert (version.version_id, version.resource()["gender"]) == expected

    @rule(id=ids, version_id=st.integers(1, 6))
    def vread(self, id: str, version_id: int) -> None:
        versions = self.versions.get(id, [])
        if version_id > len(versions):
            with pytest.raises(FhirError) as failure:
                self.lake.vread("Patient", id, version_id)
            assert failure.value.category == "not-found"
            return
        version = self.lake.vread("Patient", id, version_id)
        gender = None if version.deleted else version.resource()["gender"]
        assert (version.t, gender) == versions[version_id - 1]
        assert version.version_id == version_id

    @rule(id=ids, count=st.integers(1, 3))
    def history(self, id: str, count: int) -> None:
        versions = self.versions.get(id)
        if not versions:
            with pytest.raises(FhirError):
                self.lake.history("Patient", id)
            return
        page = self.lake.history("Patient", id)
        assert page.total == len(versions)
        paged = []
        cursor = None
        while True:
            part = self.lake.history("Patient", id, count=count, cursor=cursor)
            assert len(part.versions) <= count
            paged += part.versions
            cursor = part.next
            if cursor is None:
                break
        for found in (page.versions, paged):
            seen = [(v.t, None if v.deleted else v.resource()["gender"]) for v in found]
            assert seen == versions[::-1]

    @rule(since=pick, limit=st.integers(1, 5))
    def changes(self, since: int, limit: int) -> None:
        t = since % (self.t + 1)
        expected = [entry for entry in self.log if entry[0] > t]
        assert self.lake.count_changes(t) == len(expected)
        found = [(v.t, v.id, v.version_id) for v in self.lake.changes(t)]
        assert found == expected
        part = [(v.t, v.id, v.version_id) for v in self.lake.changes(t, limit=limit)]
        assert part == expected[: len(part)]
        assert len(part) >= min(limit, len(expected))

    @rule(gender=genders, when=pick, wanted=st.sets(ids, min_size=1))
    def search(self, gender: str, when: int, wanted: set[str]) -> None:
        self.search_at(when % (self.t + 1), gender, wanted)

    @rule()
    def every_past_t(self) -> None:
        """What is found is what was there, whatever came after."""
        for t in range(self.t + 1):
            for gender in GENDERS:
                self.search_at(t, gender, {"a", "b"})
            for id, (version_id, gender) in self.at(t).items():
                version = self.lake.read("Patient", id, at=t)
                assert (version.version_id, version.resource()["gender"]) == (version_id, gender)

    def search_at(self, t: int, gender: str, wanted: set[str]) -> None:
        current = self.at(t)
        for params, expected in (
            ([("gender", gender)], {i for i, (_, g) in current.items() if g == gender}),
            ([("gender:not", gender)], {i for i, (_, g) in current.items() if g != gender}),
            ([("_id", ",".join(sorted(wanted)))], wanted & set(current)),
            (
                [("_id", ",".join(sorted(wanted))), ("gender", gender)],
                {i for i in wanted & set(current) if current[i][1] == gender},
            ),
            ([], set(current)),
        ):
            page = self.lake.search("Patient", params, at=t)
            assert {v.id: v.version_id for v in page.versions} == {
                i: current[i][0] for i in expected
            }
            assert page.total == len(expected)

    @invariant()
    def counts(self) -> None:
        if hasattr(self, "lake"):
            assert self.lake.t == self.t
            assert self.lake.stats()["resources"].get("Patient", 0) == len(self.at(self.t))
            for name in ("enrich", "export"):
                assert self.lake.cursor(name) == self.cursors.get(name, 0)


TestLake = LakeMachine.TestCase
TestLake.settings = settings(
    max_examples=25,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
