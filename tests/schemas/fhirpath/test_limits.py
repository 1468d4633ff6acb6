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

KEYS = (
    "name", "given", "_given", "contained", "extension", "valueQuantity", "value", "code", "system",
    "birthDate", "_birthDate", "id", "reference", "managingOrganization", "text", "div", "url",
    "multipleBirthInteger", "active", "resourceType", "photo", "data",
)  # fmt: skip
DIGITS = "1.combine(2).combine(3).combine(4).combine(5).combine(6).combine(7).combine(8).combine(9)"
PATIENT = {"resourceType": "Patient", "name": [{"given": ["a" * 40]}]}


@pytest.mark.parametrize(
    "expression",
    [
        "1" + " + 1" * 5_000,
        "(" * 5_000 + "1" + ")" * 5_000,
        "-" * 5_000 + "1",
        "a" + ".a" * 5_000,
        "/*" * 16_000,
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
        f"({DIGITS})" + f".select({DIGITS})" * 5,
        f"({DIGITS}).select({DIGITS}).select({DIGITS}).select({DIGITS})"
        ".aggregate($total.combine($this))",
        f"({DIGITS}).select({DIGITS}).select({DIGITS}).select({DIGITS}) ~ ({DIGITS})"
        f".select({DIGITS}).select({DIGITS}).select({DIGITS})",
        f"({DIGITS}).select({DIGITS}).select({DIGITS}).select({DIGITS})"
        ".select(('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa' & $this.toString()).matches('^(a+)+$'))",
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


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.decimals(allow_nan=False, allow_infinity=False)
    | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner),
    max_leaves=12,
)
STEPS = (
    "name", "given", "value", "extension('x')", "contained", "resolve()", "id", "text", "div",
    "first()", "where($this is Patient)", "as(string)", "ofType(Quantity)", "toString()",
    "toQuantity()", "toDate()", "children()", "descendants()", "hasValue()", "type().name",
    "lowBoundary()", "precision()", "single()", "distinct()", "htmlChecks()", "birthDate",
    "sort($this)", "repeat(item)", "abs()", "power(3)", "sqrt()", "ln()", "round(2)", "length()",
    "matches('a+')", "encode('base64')", "join(',')", "toChars()", "not()", "count()", "sum()",
    "max()", "combine(name)", "intersect(name)", "subsetOf(name)", "yearOf()", "timeOf()",
    "conformsTo('http://hl7.org/fhir/StructureDefinition/Patient')", "pathname()", "getValue()",
    "aggregate($this + $total, 1)", "iif($this, 1, 2)", "trace('x')", "select($this & 'x')",
)  # fmt: skip
OPERATORS = ("=", "~", "<", "+", "-", "*", "/", "div", "mod", "&", "|", "in", "and", "implies")


@given(
    resource=st.dictionaries(st.sampled_from(KEYS), JSON),
    left=st.lists(st.sampled_from(STEPS), min_size=1, max_size=5),
    operator=st.sampled_from(OPERATORS),
    right=st.lists(st.sampled_from((*STEPS, "birthDate + 1 day", "5 'mg'")), max_size=2),
)
def test_any_json_is_evaluated_or_the_expression_fails_as_such(
    resource: dict, left: list[str], operator: str, right: list[str]
) -> None:
    text = ".".join(left) + f" {operator} " + (".".join(right) if right else "@2024-02-29")
    try:
        compile_expression(text).evaluate({**resource, "resourceType": "Patient"})
    except FhirPathError as failure:
        assert failure.kind in ("syntax", "semantic", "execution", "limit")
