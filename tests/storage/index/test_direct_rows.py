"""Rows straight from the elements are those of the values that were extracted one by one."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.compartments import PATIENT_PARAMS, patient_ids
from schemas.ids import is_id
from schemas.parse import canonical_bytes, parse_resource
from schemas.search_params import search_params
from schemas.structure import PRIMITIVE_TYPES, RESOURCE_TYPES, TYPES, Element
from storage import index
from storage.index import DirectRows

PER_TYPE = 300


class Checked:
    """Compares both ways, with one numbering of texts."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}
        self.direct = DirectRows(self.intern)

    def intern(self, text: str) -> int:
        return self.numbers.setdefault(text, len(self.numbers) + 1)

    def check(self, resource: dict[str, Any]) -> None:
        rows, patient = self.direct.of(resource)
        expected = index.rows(resource, self.intern)
        assert {kind: set(found) for kind, found in rows.items()} == {
            kind: set(found) for kind, found in expected.items()
        }
        # Also the types: 1 and 1.0 and True are equal, but not stored alike.
        assert sorted(map(repr, (r for found in rows.values() for r in found))) == sorted(
            map(repr, (r for found in expected.values() for r in found))
        )
        assert [patient] == (patient_ids(resource) or [None])[:1]


_TEXT = st.sampled_from([
    "", "a", "final", "male", "Ä  ö", "Patient/p1", "Patient/p2/_history/3", "Group/g", "#x",
    "urn:uuid:x", "http://a.org/fhir/Patient/9", "Practitioner/d", "Patient?identifier=1",
    "http://a.org/x|2", "2020", "2020-02-30", "2020-05-01T10:00:00Z", "email", "http://loinc.org",
    "Patient", "1 2.5 E", "<", ">=",
])  # fmt: skip
_ODD = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.decimals(allow_nan=False, allow_infinity=False, places=2)
    | _TEXT,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["reference", "identifier", "coding", "code", "value", "text", "system",
                             "display", "type", "low", "high", "start", "comparator"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)  # fmt: skip


def _element(draw: st.DrawFn, element: Element, kind: str, depth: int) -> Any:
    """An element of the type that it should have; now and then of any."""
    if draw(st.integers(0, 14)) == 0:
        return draw(_ODD)
    count = draw(st.integers(1, 2)) if element.many else 1
    found = [_value(draw, kind, depth) for _ in range(count)]
    return found if element.many else found[0]


def _value(draw: st.DrawFn, kind: str, depth: int) -> Any:
    if kind == "boolean":
        return draw(st.booleans())
    if kind in ("decimal", "integer", "positiveInt", "unsignedInt"):
        return draw(st.integers(-5, 5) | st.decimals(-9, 9, places=1))
    if kind in PRIMITIVE_TYPES or kind not in TYPES:
        return draw(_TEXT)
    return _object(draw, kind, depth)


def _object(draw: st.DrawFn, kind: str, depth: int) -> dict[str, Any]:
    names = TYPES[kind].json_names
    if not depth or not names:
        return {}
    wanted = sorted(name for name in names if not name.startswith("_"))
    if depth == 3:  # The resource: what is searched by, rather than the rest.
        first = {p.expression.split(".")[1].split(" ")[0].strip("()")
                 for p in search_params(kind).values() if "." in p.expression}  # fmt: skip
        wanted = sorted(n for n in wanted if n in first or any(n.startswith(f) for f in first))
    chosen = draw(st.lists(st.sampled_from(wanted), max_size=6, unique=True)) if wanted else []
    return {name: _element(draw, *names[name], depth - 1) for name in chosen}


@st.composite
def resources(draw: st.DrawFn) -> dict[str, Any]:
    common = ["Observation", "Patient", "Condition", "MedicationRequest", "Encounter"]
    kind = draw(st.sampled_from(common) | st.sampled_from(sorted(RESOURCE_TYPES)))
    return {"id": "r", **_object(draw, kind, 3), "resourceType": kind}


CHECKED = Checked()


@settings(max_examples=400, deadline=None)
@given(resources())
def test_rows_of_made_up_resources(resource: dict[str, Any]) -> None:
    CHECKED.check(resource)


def test_what_decides_for_a_patient_is_of_references() -> None:
    """The two ways may find a patient in another order only if a parameter mixes them."""
    for kind, params in PATIENT_PARAMS.items():
        for param in params:
            assert search_params(kind)[param].type == "reference"


def test_every_type_can_be_indexed() -> None:
    for kind in sorted(RESOURCE_TYPES):
        CHECKED.check({"resourceType": kind, "id": "a"})


def test_rows_of_synthea() -> None:
    data, zstd = os.environ.get("CHARTLAKE_DATA"), shutil.which("zstd")
    files = sorted(Path(data).glob("fhir/synthea_*/*.ndjson.zst")) if data else []
    if not files or zstd is None:
        pytest.skip("CHARTLAKE_DATA does not name a folder with fhir/synthea_* (or no zstd)")
    for path in files:
        with subprocess.Popen([zstd, "-dc", str(path)], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            for line in islice(process.stdout, PER_TYPE):
                CHECKED.check(parse_resource(line))
            process.kill()


def test_rows_of_the_official_examples() -> None:
    given = os.environ.get("CHARTLAKE_R4_EXAMPLES")
    path = Path(given) if given else None
    if path is not None and path.is_dir():
        path = path / "hl7.fhir.r4.examples-4.0.1.tgz"
    if path is None or not path.exists():
        pytest.skip("CHARTLAKE_R4_EXAMPLES does not name hl7.fhir.r4.examples-4.0.1.tgz (npm)")
    count = 0
    with tarfile.open(path) as archive:
        for member in archive:
            stream = archive.extractfile(member) if member.name.endswith(".json") else None
            body = stream.read() if stream is not None else b""
            if b'"resourceType"' not in body or len(body) > 200_000:
                continue
            resource = parse_resource(body)
            if is_id(resource.get("id")):
                CHECKED.check(parse_resource(canonical_bytes(resource)))
                count += 1
    assert count > 3000
