"""Nothing that an expression says can run away: time, depth, and size are bounded."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.fhirpath import FhirPathError, compile_expression
from schemas.fhirpath.grammar import parse
from schemas.fhirpath.patterns import pattern

PATIENT = {"resourceType": "Patient", "name": [{"given": ["a" * 40]}]}


@pytest.mark.parametrize(
    "expression",
    [
        "1" + " + 1" * 5_000,
        "(" * 5_000 + "1" + ")" * 5_000,
        "-" * 5_000 + "1",
        "a" + ".a" * 5_000,
        "a[" * 5_000,
        "iif(" * 500 + "true" + ", 1)" * 500,
        "'" + "x" * 100_000 + "'",
    ],
)
def test_an_expression_too_long_or_too_deep_is_refused(expression: str) -> None:
    with pytest.raises(FhirPathError):
        parse(expression)


@pytest.mark.parametrize(
    "expression",
    [
        "'a'.repeatAll($this)",
        "'a'.repeat($this & 'a')",
        "'abcdefghijklmnopqrstuvwxyz'.toChars().aggregate($total & $total, 'a')",
        "'aaaaaaaaaa'.replace('a', 'aaaaaaaaaa')" + ".replace('a', 'aaaaaaaaaa')" * 8,
    ],
)
def test_what_grows_without_end_is_stopped(expression: str) -> None:
    began = time.monotonic()
    with pytest.raises(FhirPathError):
        compile_expression(expression).evaluate(PATIENT)
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("regex", ["^(a+)+$", "^(a|a)*$", "(a*)*b", "(a?){30}a{30}b", "^(a|aa)+$"])
def test_a_regular_expression_takes_no_exponential_time(regex: str) -> None:
    began = time.monotonic()
    found = compile_expression("name.given.first() & 'b!' matches('')".partition(" matches")[0])
    text = found.evaluate(PATIENT)[0]
    pattern(regex, "", full=False).found(text)
    assert time.monotonic() - began < 2


@given(
    regex=st.from_regex(r"\A[ab.^$]?(\([abc|]{1,5}[+*?]?\)[+*?]?[abc]?){1,3}\$?\Z"),
    text=st.text("abc\n", max_size=12),
    full=st.booleans(),
)
def test_following_all_ways_at_once_finds_what_python_finds(
    regex: str, text: str, full: bool
) -> None:
    try:
        compiled = re.compile(regex, re.DOTALL)
    except re.error:
        return
    ours = pattern(regex, "", full=full)
    ours.wild = True
    wanted = compiled.fullmatch(text) if full else compiled.search(text)
    assert ours.found(text) is (wanted is not None)


@given(st.text("abc()[]{}.,'@%$|&=<>+-*/ 0123456789namegiventruefirst", max_size=60))
def test_any_text_is_an_expression_or_refused(text: str) -> None:
    try:
        compile_expression(text).evaluate(PATIENT)
    except FhirPathError as failure:
        assert failure.kind in ("syntax", "semantic", "execution", "limit")
