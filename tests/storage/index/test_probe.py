"""Prefix ranges and LIKE patterns find exactly the texts that Python says they should."""

from __future__ import annotations

import apsw
from hypothesis import given
from hypothesis import strategies as st

from storage.index.probe import after_prefix, escape_like, prefix_condition

texts = st.text(alphabet=st.sampled_from("ab%_\\\u00e9\ud7ff\ue000\U0010ffff"), max_size=4)


@given(texts, texts)
def test_prefix_condition(prefix: str, text: str) -> None:
    where, args = prefix_condition("x", prefix)
    got = (
        apsw.Connection(":memory:")
        .execute(f"SELECT {where} FROM (SELECT ? AS x)", (*args, text))
        .get
    )
    assert bool(got) == text.startswith(prefix)


@given(texts, texts)
def test_escaped_like(part: str, text: str) -> None:
    got = (
        apsw.Connection(":memory:")
        .execute("SELECT ? LIKE ? ESCAPE '\\'", (text, f"%{escape_like(part)}%"))
        .get
    )
    assert bool(got) == (part in text)


def test_nothing_sorts_after_the_last_character() -> None:
    assert after_prefix("\U0010ffff") is None
    assert after_prefix("a\U0010ffff") == "b"
    assert after_prefix("\ud7ff") == "\ue000"
