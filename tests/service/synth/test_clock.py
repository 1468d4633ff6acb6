"""Days, ages and offsets."""

from __future__ import annotations

from datetime import date

import pytest

from service.synth import clock


@pytest.mark.parametrize(
    ("day", "zone", "offset"),
    [
        ("2024-03-09", "eastern", "-05:00"),
        ("2024-03-10", "eastern", "-04:00"),
        ("2024-11-02", "pacific", "-07:00"),
        ("2024-11-03", "pacific", "-08:00"),
        ("2024-07-01", "arizona", "-07:00"),
        ("2024-07-01", "hawaii", "-10:00"),
    ],
)
def test_daylight_saving_time(day: str, zone: str, offset: str) -> None:
    assert clock.utc_offset(date.fromisoformat(day).toordinal(), zone) == offset


def test_an_instant_may_pass_midnight() -> None:
    day = date(2024, 12, 31).toordinal()
    assert clock.instant(day, 1441, "central") == "2025-01-01T00:01:00-06:00"


def test_age_counts_completed_years() -> None:
    born = date(2000, 2, 29).toordinal()
    assert clock.age_on(born, date(2018, 2, 28).toordinal()) == 17
    assert clock.age_on(born, date(2018, 3, 1).toordinal()) == 18
