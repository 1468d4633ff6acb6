"""Rates of the last minute, by a clock of the test's own."""

from service.reading_rate import ReadingRate


def test_rates_are_of_the_last_minute() -> None:
    now = [1000.0]
    rate = ReadingRate(clock=lambda: now[0])
    for _ in range(30):
        now[0] += 1
        rate.read(100)
    assert rate.per_second() == (1.0, 100.0)
    now[0] += 45
    assert rate.per_second() == (16 / 60, 1600 / 60)
    now[0] += 100
    assert rate.per_second() == (0.0, 0.0)
    assert (rate.notes, rate.characters) == (30, 3000)
