"""The cache of decrypted columns stays within its bound."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from storage.analytics.column_cache import ColumnCache


def test_least_recently_used_goes_first() -> None:
    cache = ColumnCache(max_bytes=10)
    cache.put("s", "a", "A", 4)
    cache.put("s", "b", "B", 4)
    assert cache.get("s", "a") == "A"
    cache.put("s", "c", "C", 4)
    assert (cache.get("s", "a"), cache.get("s", "b"), cache.get("s", "c")) == ("A", None, "C")


def test_forget_is_by_path() -> None:
    cache = ColumnCache()
    for path in ("/lake/Patient/1", "/lake/Patient/2", "/lake/Observation/1"):
        cache.put(path, "id", path, 10)
    cache.forget("/lake/Patient/")
    assert cache.bytes == 10
    assert cache.get("/lake/Patient/1", "id") is None
    assert cache.get("/lake/Observation/1", "id") is not None


def test_too_large_is_not_kept() -> None:
    cache = ColumnCache(max_bytes=10)
    assert cache.get_or("s", "a", lambda: "A", lambda _: 11) == "A"
    assert cache.bytes == 0


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 12)), max_size=40))
def test_bytes_are_what_is_held(puts: list[tuple[str, int]]) -> None:
    cache = ColumnCache(max_bytes=20)
    for what, size in puts:
        cache.put("s", what, size, size)
        assert cache.bytes == sum(size for _, size in cache._items.values()) <= 20
