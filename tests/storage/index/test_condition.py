"""A condition means the same in SQL and over columns, and bounds never hide what meets it."""

from __future__ import annotations

from typing import Any

import apsw
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from storage.index.condition import All, Compare, Condition, Contains, Either, Prefix, after_prefix
from storage.index.texts import Texts

texts = st.text(alphabet=st.sampled_from("ab%_\\\u00e9\ud7ff\ue000\U0010ffff"), max_size=4)
numbers = st.integers(-3, 3)
operators = st.sampled_from(["=", "<", "<=", ">", ">="])
leaves = (
    st.builds(Compare, st.just("text"), operators, texts)
    | st.builds(Compare, st.sampled_from(["low", "high"]), operators, numbers)
    | st.builds(Prefix, st.just("text"), texts)
    | st.builds(Contains, st.just("text"), texts)
)
conditions: st.SearchStrategy[Any] = st.recursive(
    leaves,
    lambda parts: (
        st.lists(parts, max_size=3).map(lambda p: All(tuple(p)))
        | st.lists(parts, max_size=3).map(lambda p: Either(tuple(p)))
    ),
    max_leaves=5,
)
CONNECTION = apsw.Connection(":memory:")


@given(conditions, st.lists(st.tuples(texts, numbers, numbers), min_size=1, max_size=8))
def test_sql_columns_and_bounds_agree(
    condition: Condition, values: list[tuple[str, int, int]]
) -> None:
    values.sort(key=lambda value: value[0].encode())
    sql, args = condition.sql()
    expected = [
        bool(
            CONNECTION.execute(
                f"SELECT {sql} FROM (SELECT ? AS text, ? AS low, ? AS high)", (*args, *value)
            ).get
        )
        for value in values
    ]
    found = Texts.of([value[0] for value in values])
    rest = {"low": np.array([v[1] for v in values]), "high": np.array([v[2] for v in values])}
    for ordered in (False, True):
        column = Texts(found.offsets, found.data, ordered=ordered)
        assert condition.mask({"text": column, **rest}).tolist() == expected
    bounds = {
        "text": (values[0][0].encode(), values[-1][0].encode()),
        "low": (int(rest["low"].min()), int(rest["low"].max())),
    }
    assert condition.possible(bounds) or not any(expected)
    assert condition.possible({}) or not any(expected)


@given(texts, texts)
def test_prefix_is_what_python_says(prefix: str, text: str) -> None:
    sql, args = Prefix("x", prefix).sql()
    got = CONNECTION.execute(f"SELECT {sql} FROM (SELECT ? AS x)", (*args, text)).get
    assert bool(got) == text.startswith(prefix)


def test_bounds_leave_blocks_unread() -> None:
    assert not Compare("code", "=", "m").possible({"code": (b"a", b"c")})
    assert not Prefix("code", "m").possible({"code": (b"n", b"z")})
    assert not Compare("high", ">", 5).possible({"high": (1, 5)})


def test_nothing_sorts_after_the_last_character() -> None:
    assert after_prefix("\U0010ffff") is None
    assert after_prefix("a\U0010ffff") == "b"
    assert after_prefix("\ud7ff") == "\ue000"
