"""Calibration: monotone, within bounds, and near the truth it was made from."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from nlp.models.calibration import Calibration, curves, isotonic


@given(st.lists(st.tuples(st.floats(-20, 0), st.booleans()), min_size=1, max_size=200))
def test_points_rise(scored: list[tuple[float, bool]]) -> None:
    points = isotonic(scored)
    assert all(a[1] <= b[1] for a, b in itertools.pairwise(points))
    assert all(0 < y < 1 for _, y in points)


def test_scores_are_shares() -> None:
    rows = [("A", -0.1, n % 10 != 0) for n in range(200)]
    rows += [("A", -3.0, n % 2 == 0) for n in range(200)]
    calibration = Calibration(curves({"s": rows}))
    assert abs(calibration("s", "A", -0.1) - 0.9) < 0.02
    assert abs(calibration("s", "A", -3.0) - 0.5) < 0.02
    # A type too rare for a curve of its own has the scheme's.
    assert calibration("s", "B", -3.0) == calibration("s", "*", -3.0)
