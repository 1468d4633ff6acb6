"""Sets that flushed parts lead to are kept over commits, and what a search anew would find."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage.index.membership import TextSet
from storage.lake import Delete, Lake, Put
from storage.query.kept_sets import KeptSets
from storage.query.matches import Matches

Make = Callable[..., dict[str, Any]]

ASKED = (
    ("Patient", ("_has:Observation:patient:code", "4548-4")),
    ("Patient", ("_has:Observation:patient:status", "final")),
    ("Observation", ("subject:Patient.gender", "female")),
)


def found(lake: Lake, resource_type: str, param: tuple[str, str], at: int) -> list[str]:
    return sorted(v.id for v in lake.search(resource_type, [param], at=at).versions)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["observation", "patient", "unsay", "remove", "flush", "compact", "erase"]),
        st.integers(0, 4),
        st.integers(0, 4),
    ),
    min_size=3,
    max_size=12,
)


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=STEPS)
def test_kept_sets_are_those_of_a_search_anew(
    tmp_path_factory: pytest.TempPathFactory, observation: Make, patient: Make, steps: Any
) -> None:
    with Lake.open(tmp_path_factory.mktemp("sets") / "lake") as lake:
        lake.transact([Put(patient(f"p{n}")) for n in range(5)])
        for what, n, m in steps:
            if what == "observation":
                lake.transact([Put(observation(f"o{n}", patient=f"p{m}"))])
            elif what == "patient":
                lake.transact([Put(patient(f"p{n}", gender="male" if m % 2 else "female"))])
            elif what == "unsay":
                lake.transact([Put(observation(f"o{n}", patient=f"p{m}", status="amended"))])
            elif what == "remove":
                if any(lake.search("Observation", [("_id", f"o{n}")]).versions):
                    lake.transact([Delete("Observation", f"o{n}")])
            elif what == "erase":
                if any(lake.search("Observation", [("_id", f"o{n}")]).versions):
                    lake.erase([("Observation", f"o{n}")], reason="a test")
            elif what == "flush":
                lake.flush()
            else:
                lake.flush()
                lake.compact()
            for at in (lake.t, max(lake.t - 1, 1)):
                kept = [found(lake, kind, param, at) for kind, param in ASKED]
                sets, lake._index.sets = lake._index.sets, KeptSets()
                cache = dict(lake._index.cache._kept)
                lake._index.cache.clear()
                assert kept == [found(lake, kind, param, at) for kind, param in ASKED]
                lake._index.cache._kept.update(cache)
                lake._index.cache._bytes = sum(size for _, size in cache.values())
                lake._index.sets = sets


def test_a_commit_has_flushed_parts_not_looked_at_again(
    lake: Lake, observation: Make, patient: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    method = Matches._named_by

    def counting(self: Matches, *arguments: Any) -> Any:
        read.append(1)
        return method(self, *arguments)

    monkeypatch.setattr(Matches, "_named_by", counting)
    lake.transact([Put(patient("p1")), Put(patient("p2")), Put(observation("o1", patient="p1"))])
    lake.flush()
    assert found(lake, *ASKED[0], lake.t) == ["p1"]
    once = len(read)
    assert once
    lake.transact([Put(observation("o2", patient="p2"))])
    assert found(lake, *ASKED[0], lake.t) == ["p1", "p2"]
    assert len(read) == once
    lake.transact([Delete("Observation", "o1")])
    assert found(lake, *ASKED[0], lake.t) == ["p2"]
    assert len(read) > once


def test_what_is_kept_is_bounded_in_bytes_and_shared_sets_count_once() -> None:
    one = TextSet.of(f"patient-{n}" for n in range(100))
    assert one.with_more(["patient-1"]) is one
    assert set(one.with_more(["x"]).strings) == {*one.strings, "x"}
    sets = KeptSets(limit_bytes=2 * one.nbytes)
    sets.keep("before", one)
    alone = sets.nbytes
    sets.keep("after", one)
    assert one.nbytes < alone < sets.nbytes < alone + one.nbytes
    for n in range(50):
        sets.keep(n, TextSet.of(f"{n}-{m}" for m in range(100)))
        assert sets.nbytes <= 2 * one.nbytes
    assert sets.get("before") is None
    assert sets.get(49) is not None
