"""The map of parts never leaves out one that has what is asked for, and leaves out most others."""

from __future__ import annotations

from typing import Any

import apsw
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from storage import index
from storage.index.block_cache import BlockCache
from storage.index.condition import All, Compare, Contains, Either, Prefix
from storage.index.probe import Probe

texts = st.text(alphabet="ab\u00e9\U0010ffff", max_size=10)
codes = st.lists(st.lists(texts, min_size=1, max_size=4), min_size=1, max_size=6)
probes = st.one_of(
    st.builds(lambda t: Compare("code", "=", t), texts),
    st.builds(lambda t: Prefix("code", t), texts),
    st.builds(lambda t: Contains("code", t), texts),
    st.builds(lambda t: All((Compare("code", "=", t), Compare("system", "=", 0))), texts),
    st.builds(lambda t, o: Either((Compare("code", o, t),)), texts, st.sampled_from("=<>")),
)


def lake(segments: list[list[str]]) -> tuple[apsw.Connection, BlockCache]:
    connection = apsw.Connection(":memory:")
    index.create_tables(connection)
    for number, some in enumerate(segments):
        rows: list[Any] = [{"token": [(1, code, 0)]} for code in some]
        versions = range(number * 10, number * 10 + len(some))
        blocks = index.blocks_of_rows(list(versions), [False] * len(some), rows)
        index.write_blocks(connection, number, 7, blocks)
    return connection, BlockCache()


@given(codes, probes)
def test_no_part_with_a_match_is_left_out(segments: list[list[str]], condition: Any) -> None:
    connection, cache = lake(segments)
    known = cache.parts(connection, 7)
    probe = Probe("token", 1, condition)
    found = known.with_value(probe, lambda part: cache.directory(connection, part))
    for part, possible in zip(known.parts, found, strict=True):
        matches = sum(map(len, cache.rows(connection, part, probe)))
        assert possible or not matches


def test_parts_without_the_value_are_left_out() -> None:
    connection, cache = lake([["a", "b"], ["c", "d"], ["e"]])
    known = cache.parts(connection, 7)
    for text, expected in (("c", [False, True, False]), ("x", [False] * 3)):
        probe = Probe("token", 1, Compare("code", "=", text))
        found = known.with_value(probe, lambda part: cache.directory(connection, part))
        assert found.tolist() == expected
    assert known.with_versions(np.array([11, 20])).tolist() == [False, True, True]
    assert known.with_versions(np.array([5])).tolist() == [False, False, False]


def test_new_and_dropped_parts_are_noticed() -> None:
    connection, cache = lake([["a"], ["b"]])
    assert len(cache.parts(connection, 7).parts) == 2
    assert cache.parts(connection, 7) is cache.parts(connection, 7)
    index.drop_segment(connection, 0)
    assert len(cache.parts(connection, 7).parts) == 1
    blocks = index.blocks_of_rows([99], [False], [{"token": [(1, "z", 0)]}])
    index.write_blocks(connection, 5, 7, blocks)
    assert [part.min_v for part in cache.parts(connection, 7).parts] == [10, 99]
