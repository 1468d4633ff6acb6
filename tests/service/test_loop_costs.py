"""What is short is done in the event loop."""

from __future__ import annotations

import time

import pytest

from service import loop_costs
from service.loop_costs import LoopCosts

KIND = ("search", "Observation", "patient")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The processor time that has passed, to be set."""
    now = [0.0]
    monkeypatch.setattr(time, "thread_time", lambda: now[0])
    return now


def test_what_is_not_known_is_not_short(clock: list[float]) -> None:
    costs = LoopCosts()
    assert not costs.is_short(KIND)
    assert costs.measured(KIND, lambda: "found") == "found"
    assert costs.is_short(KIND)
    assert not costs.is_short(("search", "Observation", "code"))


def test_a_long_one_is_remembered_for_a_while(clock: list[float]) -> None:
    costs = LoopCosts()

    def work() -> None:
        clock[0] += 0.05
        raise ValueError

    with pytest.raises(ValueError):
        costs.measured(KIND, work)
    tries = 0
    while not costs.is_short(KIND):
        costs.measured(KIND, lambda: None)
        tries += 1
    assert 20 < tries < 60


def test_kinds_that_clients_make_up_are_bounded(
    clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop_costs, "_MOST_KINDS", 10)
    costs = LoopCosts()
    for number in range(100):
        costs.measured(("search", "Patient", str(number)), lambda: None)
    assert len(costs._seconds) == 10
