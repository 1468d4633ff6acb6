"""Primitive types. https://hl7.org/fhir/R4/datatypes.html#primitive"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from schemas.primitives import CHECKS, MAX_STRING_CHARACTERS
from schemas.structure import PRIMITIVE_TYPES

GOOD: dict[str, list[Any]] = {
    "base64Binary": ["QUJD", "QUI=", "QQ==", "QU JD\n"],
    "boolean": [True, False],
    "canonical": ["http://x.org/a|1", "#local"],
    "code": ["a", "a b", "in-progress", "<="],
    "date": ["2024", "2024-02", "2024-02-29", "0001"],
    "dateTime": ["2024", "2024-02-29", "2024-01-01T00:00:00Z", "2016-12-31T23:59:60.5+14:00"],
    "decimal": [1, Decimal("1.50"), Decimal("1E+400"), -5],
    "id": ["a", "A-1.2", "x" * 64],
    "instant": ["2024-01-01T00:00:00Z", "2024-01-01T00:00:00.000001-13:59"],
    "integer": [0, -(2**31), 2**31 - 1],
    "markdown": ["# x\n\ny"],
    "oid": ["urn:oid:1.2.840.0"],
    "positiveInt": [1, 2**31 - 1],
    "string": ["a", " a ", "a\tb\r\nc", "é李😀"],
    "time": ["10:00:00", "23:59:60.5"],
    "unsignedInt": [0],
    "uri": ["urn:x", "http://x.org/ü", "x"],
    "url": ["mailto:a@b.c"],
    "uuid": ["urn:uuid:c757873d-ec9a-4326-a141-556f43239520"],
    "xhtml": ['<div xmlns="http://www.w3.org/1999/xhtml">x</div>'],
}
BAD: dict[str, list[Any]] = {
    "base64Binary": ["", "Q", "QU=D", "QUJDQ", "Ä===", "QUJ-", 5, "QR=="[:3]],
    "boolean": ["true", 1, 0, None],
    "canonical": ["", "a b", 1],
    "code": ["", " a", "a ", "a  b", "a\n", 1, True],
    "date": ["", "2024-2", "2024-02-30", "2024-01-01T00:00:00Z", "0000", 2024],
    "dateTime": ["2024-01-01T00:00", "2024-01-01T00:00:00", "2024-01-01T25:00:00Z", "2024-13"],
    "decimal": ["1", True, None, float("1.5")],
    "id": ["", "a_b", "x" * 65, "a b", 1],
    "instant": ["2024-01-01", "2024-01-01T00:00Z", "2023-02-29T00:00:00Z"],
    "integer": ["1", Decimal(1), 2**31, True],
    "markdown": ["", 1],
    "oid": ["1.2.3", "urn:oid:3.1", "urn:oid:1.02"],
    "positiveInt": [0, -1, "1"],
    "string": ["", "\x00", "a\x0b", 1, None, "x" * (MAX_STRING_CHARACTERS + 1)],
    "time": ["10:00", "24:00:00", "10:00:00Z"],
    "unsignedInt": [-1, Decimal(0)],
    "uri": ["", "a b", "a\n", 1],
    "url": [" x"],
    "uuid": ["c757873d-ec9a-4326-a141-556f43239520", "urn:uuid:x"],
    "xhtml": ["text", "", "<p>x</p>", "<div>\x00</div>"],
}


def test_every_primitive_type_has_a_check() -> None:
    assert set(CHECKS) == PRIMITIVE_TYPES == set(GOOD) == set(BAD)


@pytest.mark.parametrize(("kind", "value"), [(k, v) for k in GOOD for v in GOOD[k]])
def test_good_values(kind: str, value: Any) -> None:
    assert CHECKS[kind](value) is None


@pytest.mark.parametrize(("kind", "value"), [(k, v) for k in BAD for v in BAD[k]])
def test_bad_values(kind: str, value: Any) -> None:
    assert CHECKS[kind](value)
