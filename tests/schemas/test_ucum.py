"""UCUM units: grammar, conversion, what is refused.

https://ucum.org/ucum, https://hl7.org/fhir/R4/ucum.html
"""

from __future__ import annotations

import time
from decimal import Decimal

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from schemas.ucum import DIGITS, canonical, convert, is_unit
from schemas.ucum_atoms import table


@pytest.mark.parametrize(
    ("value", "unit", "expected", "base"),
    [
        ("95", "mg/dL", "950", "g.m-3"),
        ("5", "10*3/uL", "5E12", "m-3"),
        ("5", "10^3/uL", "5E12", "m-3"),
        ("1", "mmol", "602214076000000000000", "1"),
        ("60", "/min", "1", "s-1"),
        ("60", "{beats}/min", "1", "s-1"),
        ("1", "mm[Hg]", "133322", "g.m-1.s-2"),
        ("1", "(kg.m)/s2", "1000", "g.m.s-2"),
        ("1", "kg.m/s2", "1000", "g.m.s-2"),
        ("1", "kg/m/s2", "1000", "g.m-1.s-2"),
        ("1", "kg/(m.s2)", "1000", "g.m-1.s-2"),
        ("3", "U/(10.g){feces}", "3011070380000000", "g-1.s-1"),
        ("50", "%", "0.5", "1"),
        ("1", "{score}", "1", "1"),
        ("37", "Cel", "310.15", "K"),
        ("98.6", "[degF]", "310.15", "K"),
        ("80", "[degRe]", "373.15", "K"),
        ("500", "mCel", "273.65", "K"),
        ("3", "[IU]/mL", "3000000", "[iU].m-3"),
        ("3", "k[iU]/L", "3000000", "[iU].m-3"),
        ("7.40", "[pH]", "7.40", "[pH]"),
        ("20", "dB", "2", "B"),
        ("1", "B[10.nV]", "1", "B[10.nV]"),
        ("1", "[m/s2/Hz^(1/2)]", "1", "[m/s2/Hz^(1/2)]"),
        ("1", "KiBy", "8192", "1"),
        ("1", "[lb_av]", "453.59237", "g"),
        ("2", "a", "63115200", "s"),
    ],
)
def test_an_amount_in_base_units(value: str, unit: str, expected: str, base: str) -> None:
    assert canonical(Decimal(value), unit) == (Decimal(expected), base)


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "mg ", "mg/", "/", "//m", "m..s", "m(", "(m", "m)", "(m))", "(m.s)2", "m+", "m0",
        "m-0", "0", "MG/DL", "Torr", "tablet", "µg", "mg{", "mg{a}{b}", "{ }", "{é}", "{a{b}}",
        "k[lb_av]", "kk", "ccm", "2.5.", "Cel/min", "2.Cel", "Cel2", "[degF].m", "[pH]/L",
        "(Cel/m)", "m/s\n", "m\x00", "10*2147483648", "m201", "m200.m200", "(10*200)/(m.9)0",
    ],
)  # fmt: skip
def test_what_is_no_unit(text: str) -> None:
    assert not is_unit(text)
    assert canonical(Decimal(1), text) is None
    assert convert(Decimal(1), text, text) is None


def test_every_atom_is_a_unit_and_every_metric_one_takes_every_prefix() -> None:
    for code, atom in table().atoms.items():
        assert is_unit(code)
        for prefix in table().prefixes:
            # `ph` is no pico-hour but an atom, the phot.
            known = prefix + code in table().atoms
            assert is_unit(prefix + code) == (atom.metric or known), prefix + code


@pytest.mark.parametrize(
    ("value", "unit", "to", "expected"),
    [
        ("98.6", "[degF]", "Cel", "37"),
        ("37", "Cel", "[degF]", "98.6"),
        ("-40", "Cel", "[degF]", "-40"),
        ("0", "K", "Cel", "-273.15"),
        ("70.5", "kg", "g", "70500"),
        ("1", "[ft_i]", "[in_i]", "12"),
        ("120", "mm[Hg]", "kPa", "15.99864"),
        ("1", "wk", "d", "7"),
        ("10", "dB", "B", "1"),
        ("1", "m", "[ft_i]", "3.280839895013123359580052493438320"),
    ],
)
def test_conversion(value: str, unit: str, to: str, expected: str) -> None:
    assert convert(Decimal(value), unit, to) == Decimal(expected)


@pytest.mark.parametrize(
    ("unit", "to"),
    [
        ("kg", "m"), ("mg/dL", "mmol/L"), ("[pH]", "mol/L"), ("Np", "B"), ("[IU]", "U"),
        ("[IU]/mL", "[arb'U]/mL"), ("B[V]", "B[mV]"), ("kg", "nonsense"), ("nonsense", "nonsense"),
    ],
)  # fmt: skip
def test_what_does_not_compare_is_not_converted(unit: str, to: str) -> None:
    assert convert(Decimal(1), unit, to) is None


def test_values_that_are_no_amounts() -> None:
    for text in ("NaN", "Infinity", "1E+2000", "1E-2000"):
        assert canonical(Decimal(text), "[degF]") is None
        assert canonical(Decimal(text), "mg") is None


def test_hostile_units_are_answered_at_once() -> None:
    hostile = [
        "(" * 200,
        "m.(" * 66,
        "9" * 200,
        "[mi_i]200" * 22,
        "{" * 200,
        "[" * 200,
        "m" * 10**6,
    ]
    hostile += ["[mi_i]200." * 19 + "m", "/m" * 100, "10*200." * 28 + "m", "1" * 10**6]
    begin = time.perf_counter()
    for text in hostile:
        canonical(Decimal(1), text)
        convert(Decimal(1), text, text)
    assert time.perf_counter() - begin < 1


_ATOMS = sorted(code for code, atom in table().atoms.items() if not atom.special)
_SPECIAL = sorted(code for code, atom in table().atoms.items() if atom.special)


@st.composite
def simple_units(draw: st.DrawFn) -> str:
    """An atom with a prefix where it takes one, and an exponent."""
    code = draw(st.sampled_from(_ATOMS))
    prefix = draw(st.sampled_from(["", *table().prefixes])) if table().atoms[code].metric else ""
    exponent = draw(st.sampled_from(["", "2", "3", "-1", "+2"]))
    return prefix + code + exponent


units = st.recursive(
    simple_units(),
    lambda inner: st.builds(
        "{}{}{}".format, inner, st.sampled_from("./"), inner.map("({})".format)
    ),
    max_leaves=4,
)
values = st.decimals(-(10**9), 10**9, allow_nan=False, places=6)


@given(values, units)
def test_base_units_are_a_unit_and_their_own_base(value: Decimal, unit: str) -> None:
    found = canonical(value, unit)
    assert found is not None
    assert canonical(*found) == found


@given(values, units, st.sampled_from(["k", "m", "u", "da", "Mi"]))
def test_there_and_back(value: Decimal, unit: str, prefix: str) -> None:
    other = f"{prefix}m.({unit})/m"
    there = convert(value, unit, other)
    assert there is not None
    back = convert(there, other, unit)
    assert back is not None and abs(back - value) <= abs(value) * Decimal(10) ** (3 - DIGITS)


@given(values, st.sampled_from(["Cel", "[degF]", "[degRe]", "K", "mK", "[degR]"]))
def test_temperatures_there_and_back(value: Decimal, unit: str) -> None:
    for to in ("Cel", "[degF]", "[degRe]", "K"):
        there = convert(value, unit, to)
        assert there is not None
        back = convert(there, to, unit)
        assert back is not None and abs(back - value) < Decimal("1E-15")


@given(values, units, units, units)
def test_products_are_associative_and_division_is_from_the_left(
    value: Decimal, a: str, b: str, c: str
) -> None:
    a, b, c = f"({a})", f"({b})", f"({c})"
    assert canonical(value, f"({a}.{b}).{c}") == canonical(value, f"{a}.({b}.{c})")
    assert canonical(value, f"{a}.{b}") == canonical(value, f"{b}.{a}")
    assert canonical(value, f"{a}/{b}/{c}") == canonical(value, f"{a}/({b}.{c})")
    assert canonical(value, f"{a}/{b}.{c}") == canonical(value, f"({a}/{b}).{c}")


@given(st.text(max_size=40))
def test_any_text_is_answered(text: str) -> None:
    assert is_unit(text) == (canonical(Decimal(1), text) is not None)


@given(values, st.sampled_from(_SPECIAL), simple_units())
def test_special_units_stand_alone(value: Decimal, special: str, other: str) -> None:
    assume(table().atoms[special].special)
    assert canonical(value, special) is not None
    for text in (f"{special}.{other}", f"{other}/{special}", f"{special}2", f"/{special}"):
        assert canonical(value, text) is None
