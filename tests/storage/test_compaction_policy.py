"""Which runs are merged: few runs, and little rewriting, whatever arrives."""

from __future__ import annotations

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from storage.compaction_policy import FAN_IN, SMALL_BYTES, Run, runs, tier, worth_merging


def test_runs_gather_the_segments_of_one_rewrite() -> None:
    found = runs([(1, 1, 10), (2, 2, 20), (5, 3, 1), (6, 3, 2)])
    assert found == [Run(1, (1,), 10), Run(2, (2,), 20), Run(3, (5, 6), 3)]


def test_tiers_are_four_times_one_another() -> None:
    assert [tier(size * SMALL_BYTES) for size in (0, 1, 4, 16, 64)] == [0, 0, 1, 2, 3]
    assert tier(SMALL_BYTES + 1) == 1


def test_small_runs_go_along_with_the_lowest_full_tier() -> None:
    large = [Run(number, (number,), 8 * SMALL_BYTES) for number in range(4)]
    small = [Run(9, (9,), 1)]
    assert worth_merging(large[:3] + small) == []
    assert worth_merging(large + small) == large + small
    full = [Run(number, (number,), 1) for number in range(10, 14)]
    assert worth_merging(large + full) == full


@given(st.lists(st.integers(1, 40 * SMALL_BYTES), min_size=1, max_size=400))
@settings(max_examples=60)
def test_runs_stay_few_and_a_byte_is_rewritten_once_a_tier(sizes: list[int]) -> None:
    held: list[Run] = []
    number = rewritten = 0
    for size in sizes:
        number += 1
        held.append(Run(number, (number,), size))
        while chosen := worth_merging(held):
            number += 1
            size = sum(run.bytes for run in chosen)
            rewritten += size
            held = [run for run in held if run not in chosen] + [Run(number, (number,), size)]
    total = sum(sizes)
    assert sum(run.bytes for run in held) == total
    tiers = tier(total) + 1
    assert len(held) <= (FAN_IN - 1) * tiers
    # Within a tier a run may be merged again while it is small for it.
    assert rewritten <= total * (tiers + 1) * 2 + len(sizes) * FAN_IN * SMALL_BYTES
    assert tiers <= max(1, math.log(total / SMALL_BYTES, FAN_IN) + 2) if total > SMALL_BYTES else 1
