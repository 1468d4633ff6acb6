"""Parts are merged and versions erased without bodies: what is left is what was indexed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from unittest import mock

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.outcomes import FhirError
from storage import index
from storage.index import build, parts
from storage.index.texts import Texts

P, DATE_P, NAME_P = 1, 2, 3

rows = st.fixed_dictionaries(
    {},
    optional={
        "token": st.lists(
            st.tuples(st.just(P), st.sampled_from("xyz"), st.integers(0, 2)),
            min_size=1,
            unique=True,
        ),
        "date": st.lists(
            st.tuples(st.just(DATE_P), st.integers(0, 4), st.integers(5, 9)),
            min_size=1,
            unique=True,
        ),
        "string": st.lists(
            st.tuples(st.just(NAME_P), st.sampled_from(["ann", "bob"]), st.just("")),
            min_size=1,
            unique=True,
        ),
    },
)
lakes = st.lists(rows, min_size=1, max_size=20)


@pytest.fixture(autouse=True)
def small() -> Iterator[None]:
    with mock.patch.object(build, "PART_ROWS", 4), mock.patch.object(build, "_BLOCK_ENTRIES", 3):
        yield


def database() -> apsw.Connection:
    connection = apsw.Connection(":memory:")
    index.create_tables(connection)
    return connection


def entries(connection: apsw.Connection, segment: int) -> dict[int, set[tuple[Any, ...]]]:
    """What the parts of a segment say of each version."""
    found: dict[int, set[tuple[Any, ...]]] = {}
    for part in parts.part_ids(connection, segment):
        versions = parts.read_versions(connection, part)
        for v in versions.v.tolist():
            found[v] = set()
        for (kind, p), blocks in parts.read_directory(connection, part).items():
            for one in blocks:
                block = parts.read_block(connection, one.id, kind)
                columns = [
                    [t.decode() for t in column] if isinstance(column, Texts) else column.tolist()
                    for column in block.columns.values()
                ]
                values = list(zip(*columns, strict=True))
                for row, number in zip(block.rows, block.value_of_entries(), strict=True):
                    found[int(versions.v[row])].add((kind, p, *values[number]))
    return found


def expected(given: dict[str, list[tuple[Any, ...]]]) -> set[tuple[Any, ...]]:
    return {(kind, *row) for kind, some in given.items() for row in some}


@given(lakes, st.data())
def test_merged_parts_have_what_the_others_had(given: list[Any], data: st.DataObject) -> None:
    connection = database()
    numbers = [n * 3 + 1 for n in range(len(given))]
    known = dict(zip(numbers, given, strict=True))
    order = data.draw(st.permutations(numbers))
    half = len(order) // 2
    for segment, mine in ((1, order[:half]), (2, order[half:])):
        blocks = index.blocks_of_rows(mine, [False] * len(mine), [known[v] for v in mine])
        index.write_blocks(connection, segment, 9, blocks)
        assert entries(connection, segment) == {v: expected(known[v]) for v in mine}
    kept = data.draw(st.permutations(numbers))[: data.draw(st.integers(0, len(numbers)))]
    merged = index.merge(connection, [1, 2], kept)
    for segment in (1, 2):
        index.drop_segment(connection, segment)
    index.write_blocks(connection, 3, 9, merged)
    assert entries(connection, 3) == {v: expected(known[v]) for v in kept}
    assert [
        v for p in parts.part_ids(connection, 3) for v in parts.read_versions(connection, p).v
    ] == kept
    index.drop_segment(connection, 3)
    assert connection.execute("SELECT count(*) FROM index_block").get == 0


@given(lakes, st.data())
def test_erased_versions_have_nothing_left(given: list[Any], data: st.DataObject) -> None:
    connection = database()
    numbers = list(range(1, len(given) + 1))
    cut = data.draw(st.integers(0, len(numbers)))
    flushed, hot = numbers[:cut], numbers[cut:]
    blocks = index.blocks_of_rows(flushed, [False] * cut, given[:cut])
    index.write_blocks(connection, 1, 9, blocks)
    for v in hot:
        index.insert(connection, v, given[v - 1])
    gone = set(data.draw(st.lists(st.sampled_from(numbers))))
    index.delete_versions(connection, sorted(gone))
    assert entries(connection, 1) == {
        v: set() if v in gone else expected(given[v - 1]) for v in flushed
    }
    assert index.hot_versions(connection, numbers[-1]) == {
        v for v in hot if given[v - 1] and v not in gone
    }
    deleted = [
        parts.read_versions(connection, part).v[row]
        for part in parts.part_ids(connection, 1)
        for row in parts.read_versions(connection, part).deleted
    ]
    assert set(deleted) == gone & set(flushed)


def test_a_merge_that_lacks_versions_is_refused() -> None:
    connection = database()
    index.write_blocks(connection, 1, 9, index.blocks_of_rows([1], [False], [{}]))
    with pytest.raises(FhirError, match="1 of the 2"):
        index.merge(connection, [1], [1, 2])


def test_parts_never_come_back_under_the_same_number() -> None:
    connection = database()
    seen: set[int] = set()
    for _ in range(3):
        blocks = index.blocks_of_rows([1], [False], [{"token": [(P, "x", 0)]}])
        index.write_blocks(connection, 1, 9, blocks)
        seen.update(parts.part_ids(connection, 1))
        index.drop_segment(connection, 1)
    assert len(seen) == 3
