"""Creatinine and eGFR agree (CKD-EPI 2021)."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from service.synth.physiology import creatinine_for


# https://www.kidney.org/professionals/kdoqi/gfr_calculator: 50 years, 1.0 mg/dL
@pytest.mark.parametrize(("female", "expected"), [(True, 69), (False, 92)])
def test_published_values(female: bool, expected: int) -> None:
    creatinine, egfr = creatinine_for(float(expected), 50, female)
    assert float(creatinine) == pytest.approx(1.0, abs=0.011)
    assert abs(egfr - expected) <= 1


@given(st.floats(15, 120), st.floats(18, 95), st.booleans())
def test_inverse(filtration: float, age: float, female: bool) -> None:
    creatinine, egfr = creatinine_for(filtration, age, female)
    assert creatinine > 0
    # Below, creatinine is held at the least that laboratories report, and cannot be inverted.
    assume(float(creatinine) >= 0.3)
    assert float(egfr) == pytest.approx(filtration, rel=0.05, abs=1)
