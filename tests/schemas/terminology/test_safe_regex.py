"""Patterns of strangers: they mean what they mean elsewhere, and are never slow."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.terminology.safe_regex import Regex, RegexError


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("abc", "abc", True), ("abc", "abcd", False), ("abc", "xabc", False), ("", "", True),
        ("^abc$", "abc", True), ("a|b", "b", True), ("a|", "", True), ("(a|bc)+", "abcbca", True),
        ("a*", "", True), ("a+", "", False), ("a?b", "b", True), ("a{2}", "aa", True),
        ("a{2}", "aaa", False), ("a{2,}", "aaaa", True), ("a{2,3}", "aaa", True),
        ("a{2,3}", "aaaa", False), ("a{0}", "", True), ("a{0}b", "b", True),
        ("(?:ab){2}", "abab", True),
        ("[a-c]+", "abc", True), ("[^a-c]+", "xyz", True), ("[^a-c]", "a", False),
        ("[a-]", "-", True),
        ("[]a]", "]", True), (r"\d{3}\.\d", "123.4", True), (r"\D", "1", False),
        (r"\w+", "a_1", True),
        (r"[\d.]+", "1.2", True), (r"[\w-]+", "a-b", True), (r"\.", "x", False), (".", "é", True),
        (".", "\n", False), (r"\\", "\\", True), (r"[A-Z][0-9]{2}(\.[0-9])?", "E11.9", True),
    ],
)  # fmt: skip
def test_matching(pattern: str, text: str, expected: bool) -> None:
    assert Regex(pattern).matches(text) is expected
    assert (re.fullmatch(pattern, text) is not None) is expected


@pytest.mark.parametrize(
    "pattern",
    [
        "(", ")", "[", "[a", "*", "a**", "a+?", "a{", "a{x}", "a{3,2}", "a{999}", "(?=a)",
        "(?P<x>a)",
        r"\1", r"\b", r"\p{L}", "[[a]]", "[z-a]", "a" * 1001, "((((a{200}){200}){200}){200})",
        "(" * 100, "\\", "a^b",
    ],
)  # fmt: skip
def test_what_is_refused(pattern: str) -> None:
    with pytest.raises(RegexError):
        Regex(pattern)


def test_what_makes_other_matchers_go_on_for_ever() -> None:
    begin = time.perf_counter()
    for pattern in ("(a+)+b", "(a|a)*b", "(a*)*b", ".*.*.*.*.*.*b", "(a?){100}a{100}b"):
        assert not Regex(pattern).matches("a" * 5_000)
    assert time.perf_counter() - begin < 2


_ATOMS = st.sampled_from(["a", "b", "[ab]", "[^a]", ".", "ab", r"\w"])
_PATTERNS = st.recursive(
    _ATOMS,
    lambda inner: st.one_of(
        st.builds("{}{}".format, inner, inner),
        st.builds("({}|{})".format, inner, inner),
        st.builds(
            "({}){}".format, inner, st.sampled_from(["*", "+", "?", "{2}", "{1,3}", "{0,1}"])
        ),
    ),
    max_leaves=5,
)


@given(_PATTERNS, st.lists(st.text("abc", max_size=6), max_size=8))
def test_it_agrees_with_pythons_own(pattern: str, texts: list[str]) -> None:
    mine = Regex(pattern)
    for text in texts:
        assert mine.matches(text) is (re.fullmatch(pattern, text) is not None)
