"""The state of a type is that of the reader's moment, read once for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from storage.lake import Lake, Put
from storage.query import type_state
from storage.query.type_state import TypeStates

Make = Callable[..., dict[str, Any]]


def test_tiers_and_commits_are_told(lake: Lake, observation: Make, patient: Make) -> None:
    lake.transact([Put(observation("o1"))])
    number = lake._terms.id("Observation")
    with lake._database.reading() as connection:
        hot = type_state.read(connection, number, lake.t)
    assert hot.is_hot and hot.parts == (0, 0) and hot.following_v is None
    lake.flush()
    lake.transact([Put(patient("p1"))])
    with lake._database.reading() as connection:
        flushed = type_state.read(connection, number, lake.t - 1)
    assert not flushed.is_hot and flushed.parts[0] == 1 and flushed.newest_v == hot.newest_v
    assert flushed.following_v == hot.newest_v + 1 and flushed.last_v == hot.newest_v
    assert flushed.erasures == 0 and not flushed.erased


def test_states_are_kept_until_something_is_committed(lake: Lake, observation: Make) -> None:
    lake.transact([Put(observation("o1"))])
    states = TypeStates()
    with lake._database.reading() as connection:
        first = states.of(connection)
    with lake._database.reading() as again:
        assert again is connection and states.of(again) is first
    lake.transact([Put(observation("o2"))])
    with lake._database.reading() as later:
        assert later is connection and states.of(later) is not first
