"""Cursors: what they hold, and that pages of one search are of one moment."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.outcomes import FhirError
from storage.keys import new_key
from storage.lake import Delete, Lake, Put
from storage.query.page import Cursors, Position

Make = Callable[..., dict[str, Any]]


@given(st.integers(0, 2**62), st.integers(0, 2**62), st.integers(-1, 2**62), st.data())
def test_cursors_come_back_and_changed_ones_do_not(
    t: int, v: int, total: int, data: st.DataObject
) -> None:
    cursors = Cursors(b"k" * 32)
    text = cursors.write(Position(t, v, total), ["search", "Patient"])
    assert cursors.read(text, ["search", "Patient"]) == Position(t, v, total)
    with pytest.raises(FhirError):
        Cursors(new_key()).read(text, ["search", "Patient"])
    for question in (["search", "Observation"], ["searchPatient"], ["search", "Patient", ""]):
        with pytest.raises(FhirError):
            cursors.read(text, question)
    position = data.draw(st.integers(0, len(text) - 1))
    letter = data.draw(st.sampled_from("ABCxyz019-_=\u00e9"))
    changed = text[:position] + letter + text[position + 1 :]
    try:
        read = cursors.read(changed, ["search", "Patient"])
    except FhirError as failure:
        assert failure.category == "value"
    else:
        assert read == Position(t, v, total)


@pytest.mark.parametrize("text", ["", "A", "====", "A" * 300, "%00", "\u2603", " "])
def test_nonsense_is_refused_cleanly(lake: Lake, text: str) -> None:
    with pytest.raises(FhirError) as failure:
        lake.search("Patient", [("_cursor", text)])
    assert failure.value.category == "value"
    assert failure.value.issues[0].expression == ("_cursor",)


def test_a_cursor_is_bound_to_its_search(lake: Lake, patient: Make) -> None:
    lake.transact([Put(patient(f"p{n}")) for n in range(5)])
    params = [("gender", "female"), ("_count", "2")]
    cursor = lake.search("Patient", params).next
    assert cursor is not None
    for other in (
        [("gender", "male")],
        [],
        [*params, ("_sort", "_id")],
        [*params, ("active", "true")],
    ):
        with pytest.raises(FhirError):
            lake.search("Patient", [*other, ("_cursor", cursor)])
    with pytest.raises(FhirError):
        lake.search("Observation", [*params, ("_cursor", cursor)])
    bigger = lake.search("Patient", [("gender", "female"), ("_count", "50"), ("_cursor", cursor)])
    assert [v.id for v in bigger.versions] == ["p2", "p3", "p4"]
    assert (bigger.total, bigger.next) == (5, None)


writes = st.lists(
    st.tuples(st.integers(0, 11), st.sampled_from(["put", "match", "delete"])), max_size=8
)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(writes, min_size=1, max_size=6),
    st.integers(1, 4),
    st.sampled_from(["_lastUpdated", "-_lastUpdated", "_id", "-birthdate", "birthdate"]),
    st.booleans(),
)
def test_every_match_once_whatever_is_written_meanwhile(
    tmp_path_factory: pytest.TempPathFactory,
    rounds: list[list[tuple[int, str]]],
    count: int,
    sort: str,
    flush: bool,
) -> None:
    folder: Path = tmp_path_factory.mktemp("pages")
    with Lake.open(folder / "lake") as lake:

        def write(steps: list[tuple[int, str]]) -> None:
            for number, what in steps:
                resource = {
                    "resourceType": "Patient",
                    "id": f"p{number}",
                    "gender": "female" if what == "match" else "male",
                    "birthDate": f"19{50 + number % 3}",
                }
                try:
                    lake.transact(
                        [Delete("Patient", f"p{number}") if what == "delete" else Put(resource)]
                    )
                except FhirError as failure:
                    assert failure.category == "not-found"

        lake.transact(
            [Put({"resourceType": "Patient", "id": f"p{n}", "gender": "female"}) for n in range(12)]
        )
        write(rounds[0])
        params = [("gender", "female"), ("_sort", sort), ("_count", str(count))]
        whole = lake.search("Patient", [*params[:2], ("_count", "1000")])
        seen, page = [], lake.search("Patient", params)
        later = iter(rounds[1:])
        while True:
            seen += [(v.id, v.version_id) for v in page.versions]
            assert page.total == whole.total
            if page.next is None:
                break
            write(next(later, []))
            if flush:
                lake.flush()
            page = lake.search("Patient", [*params, ("_cursor", page.next)])
        assert seen == [(v.id, v.version_id) for v in whole.versions]
