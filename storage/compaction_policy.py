"""Which segments of a type are worth merging, by the sizes of its sorted runs.

A *run* is one segment, or several that came from one rewrite and hold disjoint ranges of patients:
whoever looks for a patient opens one file of each run. Sizes fall into tiers, each four times the
one below; as soon as a tier has four runs, they become one run of the next tier, and take the
smaller ones with them. So a version is rewritten about once a tier, log4(size / 1 MiB) times in
all, and a type has at most three runs a tier.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

FAN_IN = 4

# Everything up to here is of the lowest tier: merging so little takes some hundredths of a second.
SMALL_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class Run:
    """A sorted run: its number, its segments, and their bytes."""

    number: int
    segments: tuple[int, ...]
    bytes: int


def tier(size_bytes: int) -> int:
    """The tier of a run of so many bytes."""
    found = 0
    while size_bytes > SMALL_BYTES:
        size_bytes //= FAN_IN
        found += 1
    return found


def runs(segments: Iterable[tuple[int, int, int]]) -> list[Run]:
    """The runs of some segments, given as (segment, run, bytes), in the order of their numbers."""
    parts: dict[int, list[tuple[int, int]]] = {}
    for segment, run, size in segments:
        parts.setdefault(run, []).append((segment, size))
    return [
        Run(run, tuple(segment for segment, _ in found), sum(size for _, size in found))
        for run, found in sorted(parts.items())
    ]


def worth_merging(found: Sequence[Run]) -> list[Run]:
    """The runs to merge next; empty when the type is well as it is."""
    by_tier: dict[int, list[Run]] = {}
    for run in found:
        by_tier.setdefault(tier(run.bytes), []).append(run)
    full = [number for number, members in by_tier.items() if len(members) >= FAN_IN]
    if not full:
        return []
    return [run for run in found if tier(run.bytes) <= min(full)]
