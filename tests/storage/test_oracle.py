"""A lake and a dictionary do the same steps; whatever is asked, at any past t, they agree."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from schemas.outcomes import FhirError
from storage.lake import Delete, Lake, Put

ids = st.sampled_from(["a", "b", "c", "d"])
genders = st.sampled_from(["male", "female", "other"])
pick = st.integers(0, 10_000)


class LakeMachine(RuleBasedStateMachine):
    """The oracle keeps every version: id → [(t, gender or None for a deletion)]."""

    @initialize()
    def open(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="chartlake-test-"))
        self.lake = Lake.open(self.folder / "lake")
        self.versions: dict[str, list[tuple[int, str | None]]] = {}
        self.t = 0

    def teardown(self) -> None:
        if hasattr(self, "lake"):
            assert self.lake.verify() == []
            self.lake.close()
            shutil.rmtree(self.folder)

    def at(self, t: int) -> dict[str, tuple[int, str]]:
        """id → (version, gender) of what is current at t."""
        found = {}
        for id, versions in self.versions.items():
            known = [(n, g) for n, (vt, g) in enumerate(versions, 1) if vt <= t]
            if known and known[-1][1] is not None:
                found[id] = (known[-1][0], known[-1][1])
        return found

    @rule(changes=st.dictionaries(ids, genders, min_size=1, max_size=3))
    def put(self, changes: dict[str, str]) -> None:
        commit = self.lake.transact([Put(patient(id, gender)) for id, gender in changes.items()])
        self.t += 1
        assert commit.t == self.t
        for id, gender in changes.items():
            self.versions.setdefault(id, []).append((self.t, gender))

    @rule(id=ids)
    def delete(self, id: str) -> None:
        versions = self.versions.get(id)
        if not versions:
            with pytest.raises(FhirError):
                self.lake.transact([Delete("Patient", id)])
            return
        deleted = self.lake.transact([Delete("Patient", id)]).versions[0]
        if versions[-1][1] is not None:
            self.t += 1
            versions.append((self.t, None))
        assert (deleted.version_id, deleted.t) == (len(versions), versions[-1][0])

    @rule(id=ids, expected=st.integers(1, 4), gender=genders)
    def put_if_match(self, id: str, expected: int, gender: str) -> None:
        operation = Put(patient(id, gender), if_match=expected)
        if len(self.versions.get(id, [])) == expected:
            self.lake.transact([operation])
            self.t += 1
            self.versions[id].append((self.t, gender))
        else:
            with pytest.raises(FhirError) as failure:
                self.lake.transact([operation])
            assert failure.value.category == "precondition"

    @rule()
    def flush(self) -> None:
        self.lake.flush()

    @rule()
    def reopen(self) -> None:
        self.lake.close()
        self.lake = Lake.open(self.folder / "lake")

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

    @rule(id=ids)
    def history(self, id: str) -> None:
        versions = self.versions.get(id)
        if not versions:
            with pytest.raises(FhirError):
                self.lake.history("Patient", id)
            return
        page = self.lake.history("Patient", id)
        seen = [(v.t, None if v.deleted else v.resource()["gender"]) for v in page.versions]
        assert seen == versions[::-1]
        assert page.total == len(versions)

    @rule(gender=genders, when=pick, wanted=st.sets(ids, min_size=1))
    def search(self, gender: str, when: int, wanted: set[str]) -> None:
        t = when % (self.t + 1)
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


def patient(id: str, gender: str) -> dict[str, Any]:
    return {"resourceType": "Patient", "id": id, "gender": gender}


TestLake = LakeMachine.TestCase
TestLake.settings = settings(
    max_examples=25,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
