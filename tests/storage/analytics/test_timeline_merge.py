"""What counts as said twice."""

from __future__ import annotations

import pytest

from storage.analytics.timeline_merge import normalised


@pytest.mark.parametrize(
    ("one", "other"),
    [("Diabetes mellitus (disorder)", "diabetes  Mellitus"), ("HbA1c, blood", "hba1c blood"),
     ("Type-2 diabetes", "type 2 diabetes")],
)  # fmt: skip
def test_same_words(one: str, other: str) -> None:
    assert normalised(one) == normalised(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("Type 1 diabetes", "Type 2 diabetes"), ("Fracture (open)", "Fracture")],
)
def test_other_words(one: str, other: str) -> None:
    assert normalised(one) != normalised(other)


def test_nothing_said() -> None:
    assert normalised(None) == normalised("—") == ""
