"""Blocks come back as they were written, sorted, each value once; damage is refused."""

from __future__ import annotations

import math
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.index import build, entries
from storage.index.block import Block, decode, encode
from storage.index.column_codec import pack_texts, unpack_texts
from storage.index.condition import All, Compare, Either
from storage.index.texts import Texts

UUID = "0f0e0d0c-0b0a-4000-8000-0123456789ab"
texts = st.text(max_size=5) | st.uuids().map(str) | st.sampled_from(["", UUID, UUID.upper()])
KINDS: dict[str, tuple[dict[str, type], st.SearchStrategy[Any]]] = {
    "token": ({"code": str, "system": int}, st.tuples(texts, st.integers(0, 3))),
    "date": (
        {"low": int, "high": int},
        st.tuples(st.integers(-(2**63), 2**63 - 1), st.integers(-(2**63), 2**63 - 1)),
    ),
    "quantity": (
        {"low": float, "high": float, "system": int, "code": str, "unit": str},
        st.tuples(
            st.floats(allow_nan=False), st.floats(allow_nan=False), st.integers(0, 9), texts, texts
        ),
    ),
}


def values(block: Block) -> list[tuple[Any, ...]]:
    """The entries of a block: each row with its value."""
    columns = [
        [text.decode() for text in column] if isinstance(column, Texts) else column.tolist()
        for column in block.columns.values()
    ]
    distinct = list(zip(*columns, strict=True))
    return [
        (*distinct[number], row)
        for number, row in zip(block.value_of_entries().tolist(), block.rows.tolist(), strict=True)
    ]


@pytest.mark.parametrize("kind", sorted(KINDS))
@given(st.data())
def test_entries_come_back(kind: str, data: st.DataObject) -> None:
    kinds, strategy = KINDS[kind]
    given_entries = data.draw(
        st.lists(st.tuples(strategy, st.integers(0, build.PART_ROWS - 1)), min_size=1, unique=True)
    )
    # 0.0 and -0.0 are one value, as in SQL.
    wanted = {(*(v + 0 if isinstance(v, float) else v for v in e), row) for e, row in given_entries}
    wanted_list = [entry[:-1] for entry in wanted]
    columns = {
        name: entries.value_array(list(column), kinds[name])
        for name, column in zip(kinds, zip(*wanted_list, strict=True), strict=True)
    }
    rows = np.array([entry[-1] for entry in wanted], np.int64)
    found: list[tuple[Any, ...]] = []
    with mock.patch.object(build, "_BLOCK_ENTRIES", 5):
        for block in build.blocks(columns, rows):
            again = decode(encode(block), kinds)
            assert values(again) == values(block)
            found += values(again)
    as_bytes = [tuple(v.encode() if isinstance(v, str) else v for v in e) for e in found]
    assert as_bytes == sorted(as_bytes)
    assert len(found) == len(wanted) and set(found) == wanted


@given(st.lists(texts))
def test_texts_come_back(given_texts: list[str]) -> None:
    packed = pack_texts(Texts.of(given_texts))
    assert [
        t.decode() for t in unpack_texts(packed, len(given_texts), ordered=False)
    ] == given_texts


def test_uuids_take_sixteen_bytes() -> None:
    import uuid

    column = Texts.of([str(uuid.UUID(int=n * 7919**9)) for n in range(1000)])
    assert sum(map(len, pack_texts(column))) == 16_000


def test_every_flipped_bit_is_refused() -> None:
    columns = {"code": entries.value_array(["a", "b", UUID], str), "system": np.arange(3)}
    (block,) = build.blocks(columns, np.array([5, 6, 7]))
    blob = encode(block)
    kinds: dict[str, type] = {"code": str, "system": int}
    for position in range(len(blob)):
        for bit in range(8):
            changed = bytearray(blob)
            changed[position] ^= 1 << bit
            try:
                again = decode(bytes(changed), kinds)
            except ValueError:
                continue
            assert values(again) == values(block), position
    with pytest.raises(ValueError):
        decode(blob[:-3], kinds)


def test_infinite_ends_are_kept() -> None:
    columns = {"low": np.array([-math.inf, 1.5]), "high": np.array([2.5, math.inf])}
    (block,) = build.blocks(columns, np.array([0, 0]))
    again = decode(encode(block), {"low": float, "high": float})
    assert values(again) == [(-math.inf, 2.5, 0), (1.5, math.inf, 0)]


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 9)), min_size=1, unique=True))
def test_selected_rows_are_those_of_the_values_asked_for(given: list[tuple[str, int]]) -> None:
    columns = {"code": entries.value_array([code for code, _ in given], str)}
    (block,) = build.blocks(columns, np.array([row for _, row in given]))
    asked = Either(
        (Compare("code", "=", "b"), Compare("code", ">=", "e"), Compare("code", "=", "z"))
    )
    found = sorted(block.select(asked).tolist())
    assert found == sorted(row for code, row in given if code in "bef")


@given(
    st.lists(
        st.tuples(st.sampled_from(["a", "ab", "b", "c"]), st.integers(0, 2), st.integers(0, 99)),
        min_size=1,
        unique=True,
    ),
    st.sampled_from(["a", "ab", "b", "z", ""]),
    st.integers(0, 2),
    st.sets(st.integers(0, 120)),
)
def test_one_text_is_found_by_its_place(
    given: list[tuple[str, int, int]], code: str, system: int, few: set[int]
) -> None:
    columns = {
        "code": entries.value_array([one[0] for one in given], str),
        "system": np.array([one[1] for one in given]),
    }
    (block,) = build.blocks(columns, np.array([one[2] for one in given]))
    block = decode(encode(block), {"code": str, "system": int})
    rows = np.array(sorted(few), np.int64)
    text = Compare("code", "=", code)
    for condition, meets in (
        (text, lambda one: one[0] == code),
        (All((text, Compare("system", "=", system))), lambda one: one[:2] == (code, system)),
        (
            All((text, Compare("system", ">", system))),
            lambda one: one[0] == code and one[1] > system,
        ),
    ):
        wanted = sorted(one[2] for one in given if meets(one))
        assert sorted(block.select(condition).tolist()) == wanted
        assert set(block.among(rows, condition).tolist()) == set(wanted) & few
