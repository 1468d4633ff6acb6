"""Thrift's compact protocol, as far as Parquet's headers need it."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.compact_structs import read_struct

# 1: i32 -1, 2: binary "ab", 3: true, 20: [i32 1, i32 -2], 21: {1: false}
SAMPLE = bytes([0x15, 0x01, 0x18, 0x02, 0x61, 0x62, 0x11, 0x09, 40, 0x25, 0x02, 0x03,
                0x1C, 0x12, 0x00, 0x00])  # fmt: skip


def test_each_kind_of_field() -> None:
    found, end = read_struct(SAMPLE + b"what follows")
    assert found == {1: -1, 2: b"ab", 3: True, 20: [1, -2], 21: {1: False}}
    assert end == len(SAMPLE)


@pytest.mark.parametrize("end", range(len(SAMPLE) - 1))
def test_a_cut_off_struct_is_refused(end: int) -> None:
    with pytest.raises(ValueError):
        read_struct(SAMPLE[:end])


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with contextlib.suppress(ValueError):
        read_struct(data)


def test_nesting_has_an_end() -> None:
    with pytest.raises(ValueError):
        read_struct(b"\x1c" * 1000)
    with pytest.raises(ValueError):
        read_struct(b"\x15" + b"\xff" * 20)
