"""Which units are the same, and the one conversion there is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.analytics.quantity_units import (
    _SPELLINGS,
    canonical_unit,
    ifcc_mmol_mol,
    ngsp_percent,
    spellings_of,
)


@pytest.mark.parametrize(
    ("ngsp", "ifcc"),
    # https://ngsp.org/ifcc.asp, and the diagnostic thresholds of WHO and ADA.
    [(5.0, 31), (5.7, 39), (6.0, 42), (6.5, 48), (7.0, 53), (8.0, 64), (9.0, 75), (10.0, 86)],
)
def test_haemoglobin_a1c(ngsp: float, ifcc: int) -> None:
    assert ngsp_percent(ifcc) == ngsp
    assert ifcc_mmol_mol(ngsp) == ifcc


@given(st.integers(20, 200))
def test_haemoglobin_a1c_there_and_back(ifcc: int) -> None:
    assert abs(ifcc_mmol_mol(ngsp_percent(ifcc)) - ifcc) <= 1


def test_no_spelling_stands_for_two_units() -> None:
    every = [s for code, others in _SPELLINGS.items() for s in (code, *others)]
    assert len(every) == len(set(every))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [("mg/dL", "mg/dl", True), ("mm[Hg]", "mmHg", True), ("%", "percent", True),
     ("10*3/uL", "10*9/L", True), ("", "1", True), ("kg", "[lb_av]", False),
     ("mg/dL", "mmol/L", False), ("U/L", "IU/L", False), ("furlong", "furlong", True)],
)  # fmt: skip
def test_spellings(one: str, other: str, same: bool) -> None:
    assert (canonical_unit(one) == canonical_unit(other)) == same
    assert (other in spellings_of(one)) == same
