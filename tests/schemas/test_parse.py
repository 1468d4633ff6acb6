"""Bytes to resources and back. https://hl7.org/fhir/R4/json.html"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.outcomes import FhirError
from schemas.parse import MAX_DEPTH, canonical_bytes, parse_json, parse_resource


@pytest.mark.parametrize(
    "number",
    [
        "1.50",
        "1E+2",
        "1E+400",
        "-0.0",
        "0.10",
        "1E-400",
        "100",
        "-7",
        "1." + "0" * 60 + "1",
        "123456789012345678901234567890",
        "18446744073709551616",
        "-9223372036854775809",
    ],
)
def test_numbers_survive_to_the_last_digit(number: str) -> None:
    body = b'{"a":%b}' % number.encode()
    assert canonical_bytes(parse_json(body)) == body


def test_a_decimal_is_never_a_float() -> None:
    assert parse_json(b"[1.5, 1e2]") == [Decimal("1.5"), Decimal("1E+2")]
    assert not any(isinstance(one, float) for one in parse_json(b"[1.5, 1e2, 0.1e-3]"))


def test_key_order_is_kept() -> None:
    body = b'{"resourceType":"Patient","z":1,"a":{"y":1,"b":2}}'
    assert canonical_bytes(parse_resource(body)) == body


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "empty"),
        (b" \n\t", "empty"),
        (b"{", "too early (line 1, column 2)"),
        (b'{"resourceType":"Patient",\n  "active":tru}', "line 2, column 1"),
        (b'{"resourceType":"Patient","a":NaN}', "not JSON"),
        (b'{"resourceType":"Patient","a":Infinity}', "not JSON"),
        (b'{"resourceType":"Patient",}', "trailing comma"),
        (b'{"resourceType":"Patient"} x', "trailing characters"),
        (b'{"resourceType":"Patient","a":"\\udc00\\ud800"}', "surrogate"),
        (b'{"resourceType":"Patient","a":"\\ud800"}', "too early"),
        (b'{"resourceType":"Patient","a":"\x01"}', "invalid character"),
        (b'{"resourceType":"Patient","a":"M\xfcller"}', "not UTF-8: byte 32"),
        (b'{"resourceType":"Patient","a":"\xed\xa0\x80"}', "not UTF-8"),
        (b'{"resourceType":"Patient","a":' + b"1" * 5000 + b"}", "out of range"),
        (b'{"a":' * 200 + b"1" + b"}" * 200, f"deeper than {MAX_DEPTH}"),
        (b"[" * 100_000, f"deeper than {MAX_DEPTH}"),
    ],
)
def test_what_is_not_json_is_refused(body: bytes, words: str) -> None:
    with pytest.raises(FhirError) as caught:
        parse_resource(body)
    assert caught.value.category == "invalid"
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"[]", "an array"),
        (b"null", "null"),
        (b'"x"', "a string"),
        (b"1.5", "a number"),
        (b"true", "a boolean"),
        (b'{"id":"1"}', "resourceType is missing"),
        (b'{"resourceType":1}', "must be a string"),
        (b'{"resourceType":"Patent"}', "Did you mean 'Patient'?"),
        (b'{"resourceType":"DomainResource"}', "not a resource type"),
        (b'{"resourceType":"HumanName"}', "not a resource type"),
    ],
)
def test_json_that_is_no_resource_is_refused(body: bytes, words: str) -> None:
    with pytest.raises(FhirError) as caught:
        parse_resource(body)
    assert caught.value.category == "structure"
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "body",
    [
        b'{"resourceType":"Patient","gender":"male","gender":"female"}',
        b'{"resourceType":"Patient", "name" : [{"given":["A"], "given" :["B"]}]}',
        b'{"resourceType":"Patient","gender":"male","g\\u0065nder":"female"}',
        # An escaped colon or quote in a text must not balance the count of keys.
        b'{"resourceType":"Patient","gender":"a\\"\\u003a","gender":"female"}',
        b'{"resourceType":"Patient","gender":"x\\u0022:","gender":"female"}',
        b'{"resourceType":"Patient","gender":"x\\"\\u0020:","gender":"female"}',
        b'{"resourceType":"Patient","a":{"b":1},"a":{"c":1,"d":2}}',
    ],
)
def test_a_key_that_occurs_twice_is_refused_by_name(body: bytes) -> None:
    with pytest.raises(FhirError, match="occurs twice") as caught:
        parse_resource(body)
    assert caught.value.category == "invalid"
    assert caught.value.issues[0].expression[0] in ("gender", "given", "a")


def test_text_that_looks_like_keys_is_no_duplicate() -> None:
    body = rb'{"resourceType":"Patient","a":"\"gender\": \"gender\":","b":"\u0022:\u0022"}'
    assert parse_resource(body)["b"] == '":"'


def test_a_byte_order_mark_is_let_be() -> None:
    assert parse_resource(b'\xef\xbb\xbf{"resourceType":"Patient"}') == {"resourceType": "Patient"}


def test_the_deepest_nesting_that_is_allowed() -> None:
    body = b"[" * MAX_DEPTH + b"]" * MAX_DEPTH
    assert canonical_bytes(parse_json(body)) == body


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.decimals(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=20,
)


@given(_JSON)
def test_what_is_written_reads_back_the_same(value: Any) -> None:
    back = parse_json(canonical_bytes(value))
    assert back == value
    assert repr(back) == repr(parse_json(canonical_bytes(back)))


@given(st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode("utf-8")))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    try:
        value = parse_json(body)
    except FhirError:
        return
    # What we take, the standard library takes as well, and sees the same in it.
    text = body.decode("utf-8-sig")
    assert value == json.loads(text, parse_float=Decimal)


@given(st.lists(st.sampled_from(["a", "b", '"', ":", '":', "\\"]), min_size=1, max_size=6))
def test_duplicates_are_found_exactly(keys: list[str]) -> None:
    for escaped in (True, False):
        members = ",".join(f"{json.dumps(key, ensure_ascii=escaped)}:1" for key in keys)
        body = ("{" + members + "}").encode()
        if len(set(keys)) == len(keys):
            assert list(parse_json(body)) == keys
        else:
            with pytest.raises(FhirError, match="occurs twice"):
                parse_json(body)
