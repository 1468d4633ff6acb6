"""An id and its key stand for one another, whatever the id looks like."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.lake import Lake, Put
from storage.packed_ids import pack, unpack

ID = st.from_regex(r"[A-Za-z0-9.\-]{1,64}", fullmatch=True)
UUID_LIKE = st.uuids().map(str)


@given(st.one_of(ID, UUID_LIKE, UUID_LIKE.map(str.upper), UUID_LIKE.map(lambda u: u[:-1] + "g")))
def test_unpacking_gives_the_id_again(id: str) -> None:
    assert unpack(pack(id)) == id


@given(st.lists(st.one_of(ID, UUID_LIKE, UUID_LIKE.map(str.upper)), unique=True))
def test_different_ids_have_different_keys(ids: list[str]) -> None:
    assert len({pack(id) for id in ids}) == len(ids)


@pytest.mark.parametrize(
    ("id", "is_packed"),
    [
        ("0f8fad5b-d9cb-469f-a165-70867728950e", True),
        ("0F8FAD5B-d9cb-469f-a165-70867728950e", False),
        ("0f8fad5bd9cb469fa16570867728950e", False),
        ("0f8fad5-bd9cb-469f-a165-70867728950e", False),
        ("0f8fad5b-d9cb-469f-a165-7086772895-e", False),
        ("1", False),
        ("1.5", False),
    ],
)
def test_only_canonical_uuids_are_packed(id: str, is_packed: bool) -> None:
    assert isinstance(pack(id), bytes) == is_packed


def test_ids_that_look_like_numbers_stay_texts(lake: Lake, tmp_path: Path) -> None:
    for id in ("1", "01", "1.0", "1e3"):
        lake.transact([Put({"resourceType": "Patient", "id": id})])
    assert {id: lake.read("Patient", id).id for id in ("1", "01", "1.0", "1e3")} == {
        id: id for id in ("1", "01", "1.0", "1e3")
    }


def test_sorting_by_id_does_not_see_how_ids_are_kept(lake: Lake) -> None:
    ids = ["zebra", "0aa", *(str(uuid.UUID(int=n << 120)) for n in (1, 90, 200)), "5-b"]
    for id in ids:
        lake.transact([Put({"resourceType": "Patient", "id": id})])
    params: list[tuple[str, str]] = [("_sort", "_id"), ("_count", "4")]
    page = lake.search("Patient", params)
    found: list[Any] = [version.id for version in page.versions]
    page = lake.search("Patient", [*params, ("_cursor", page.next or "")])
    assert found + [version.id for version in page.versions] == sorted(ids)
    assert [v.id for v in lake.search("Patient", [("_id", ids[2])]).versions] == [ids[2]]
