"""Flat columns of many bodies at once are those that `schemas.views.flatten` gives for each."""

from __future__ import annotations

import os
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import codes
from schemas.parse import canonical_bytes, parse_resource
from schemas.views import VIEWS, flat_columns, flatten
from storage import flat_columns as flat
from storage.compressed_files import open_compressed
from storage.element_schema import elements

TYPES = sorted({kind for kinds in VIEWS.values() for kind in kinds})
TEXTS = [
    "", "final", "a | b", "Ünïcode \u0000 \U0001f600", "d", "h", "wk", "nlp-derived",
    "https://chartlake.org/fhir/CodeSystem/origin", codes.NLP_MENTION, "source", "begin", "score",
    "Medication", "Organization", "2024", "2024-02", "2024-02-29", "2023-02-29", "1912-07-04",
    "0001-01-01", "9999-12-31T23:59:59-13:00", "2024-05-01T10:00", "2024-05-01T10:00:05+02:00",
    "1949-05-01T10:00:05.123456Z", "2024-05-01T10:00:05.1234567Z", "2024-05-01T23:59:60Z",
    "2024-05-01T24:00:00Z", "2024-05-01T10:00:05+14:00", "2024-05-01T10:00:05+15:00",
    "2024-05-01T10:00:05", "2024-05-01t10:00:05z", " 2024-05-01", "2024-05-01\n",
]  # fmt: skip
NUMBERS = ["0", "-0", "-0.0", "1", "7", "0.1", "1.50", "-3.25e-7", "1E400", "1e-400",
           "123456789012345678901234567890", "0.1234567890123456789", "0.7", "3"]  # fmt: skip

WRONG = st.sampled_from([None, True, "text", 5, [], {}, ["x"], [None], {"a": 1}, [[1]]])


def _of(kind: pa.DataType, wrong: bool) -> st.SearchStrategy[Any]:
    """Values of an element that is read as `kind`."""
    if pa.types.is_struct(kind):
        found = st.fixed_dictionaries(
            {}, optional={field.name: _of(field.type, wrong) for field in kind}
        )
    elif pa.types.is_list(kind):
        found = st.lists(st.none() | _of(kind.value_type, wrong), max_size=3)
    elif pa.types.is_boolean(kind):
        found = st.booleans()
    elif pa.types.is_string(kind):
        found = st.sampled_from(TEXTS)
    else:
        found = st.sampled_from(NUMBERS).map(parse_number)
    return found | WRONG if wrong else found


def parse_number(text: str) -> int | Decimal:
    """As `schemas.parse` has it."""
    return int(text) if text.lstrip("-").isdigit() else Decimal(text)


@st.composite
def resources(draw: st.DrawFn, wrong: bool) -> tuple[str, list[dict[str, Any]]]:
    """A type, and enough resources of it to be read at once."""
    kind = draw(st.sampled_from(TYPES))
    one = st.fixed_dictionaries(
        {}, optional={field.name: _of(field.type, wrong) for field in elements(kind).schema}
    )
    drawn = draw(st.lists(one, min_size=1, max_size=6))
    plain = [{"status": "final"}] * flat._FEW
    return kind, [{"resourceType": kind, "id": "a", **given} for given in drawn + plain]


def check(kind: str, bodies: list[bytes], found: list[Any]) -> None:
    """Compare with a row at a time, kind of number and sign of zero included."""
    rows = [flatten(parse_resource(body)) if body else {} for body in bodies]
    for column, array in zip(flat_columns(kind), found, strict=True):
        wanted = pa.array([row.get(column.name) for row in rows], flat.ARROW_TYPES[column.kind])
        assert array.type == wanted.type
        assert repr(array.to_pylist()) == repr(wanted.to_pylist()), column.name


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(resources(wrong=True))
def test_whatever_is_sent_is_flattened_alike(drawn: tuple[str, list[dict[str, Any]]]) -> None:
    kind, sent = drawn
    bodies = [canonical_bytes(resource) for resource in sent]
    bodies.insert(len(bodies) // 2, b"")
    check(kind, bodies, flat.flattened(kind, bodies))


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(resources(wrong=False))
def test_what_has_the_shape_of_r4_is_read_at_once(drawn: tuple[str, list[dict[str, Any]]]) -> None:
    kind, sent = drawn
    bodies = [canonical_bytes(resource) for resource in sent]
    try:
        found = flat.together(kind, bodies)
    except (pa.ArrowInvalid, ValueError) as refused:
        assert any(text in str(refused) for text in ("zero", "digit", "too big"))
        return
    check(kind, bodies, found)


@pytest.mark.parametrize("kind", TYPES)
def test_every_view_can_be_read_at_once(kind: str) -> None:
    bodies = [canonical_bytes({"resourceType": kind, "id": str(n)}) for n in range(3)]
    check(kind, bodies, flat.together(kind, bodies))


def test_one_odd_body_costs_only_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    bodies = [b'{"resourceType":"Observation","status":"final"}'] * 200
    bodies[77] = b'{"resourceType":"Observation","status":["final"],"code":"text"}'
    alone: list[int] = []
    one_by_one = flat._one_by_one
    monkeypatch.setattr(
        flat, "_one_by_one", lambda kind, some: alone.append(len(some)) or one_by_one(kind, some)
    )
    check("Observation", bodies, flat.flattened("Observation", bodies))
    assert sum(alone) < 2 * flat._FEW


def test_batches_hold_all_bodies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flat, "_BATCH_BYTES", 300)
    bodies = [
        canonical_bytes({"resourceType": "Patient", "birthDate": f"19{n:02}", "id": "x" * n})
        for n in range(100)
    ]
    check("Patient", bodies, flat.flattened("Patient", bodies))
    assert all(not len(column) for column in flat.flattened("Patient", []))


def test_a_type_without_a_view_has_no_columns() -> None:
    assert flat.flattened("Basic", [b"{}"]) == []


@pytest.mark.skipif(not os.environ.get("CHARTLAKE_DATA"), reason="CHARTLAKE_DATA is not set")
def test_real_files() -> None:
    folder = Path(os.environ["CHARTLAKE_DATA"]) / "fhir" / "synthea_615_ndjson"
    for kind in TYPES:
        path = folder / f"{kind}.ndjson.zst"
        if path.exists():
            with open_compressed(path) as file:
                bodies = [line.rstrip(b"\n") for line in file][:2000]
            check(kind, bodies, flat.together(kind, bodies))
