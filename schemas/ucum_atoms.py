"""The atoms and prefixes of UCUM, from the table of its own publication.

https://ucum.org/ucum; the table and its licence are in `schemas/ucum_essence`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from importlib import resources
from types import MappingProxyType
from xml.etree import ElementTree  # only our own file is read with it

_NAMESPACE = "{http://unitsofmeasure.org/ucum-essence}"


@dataclass(frozen=True, slots=True)
class Atom:
    """A unit without a prefix.

    It is `value` times the unit term `definition`; both say nothing for those that stand for
    themselves (`base`): the seven base units, arbitrary units, which compare with nothing else
    (UCUM 2.2, section 24), and those whose scale is no straight line. `special` ones (section 21)
    stand alone; of them only temperatures have a definition, and `offset`, in kelvins.
    """

    code: str
    name: str
    metric: bool
    special: bool
    base: bool
    value: Fraction
    definition: str
    offset: Fraction


@dataclass(frozen=True, slots=True)
class Table:
    """Atoms by their case-sensitive code, and the factors of the prefixes."""

    atoms: Mapping[str, Atom]
    prefixes: Mapping[str, Fraction]


# Special units with a scale that is a straight line: kelvins at their zero.
_OFFSETS = {
    "Cel": Fraction(27315, 100),
    "degF": Fraction(45967, 100) * Fraction(5, 9),
    "degRe": Fraction(27315, 100),
}


@lru_cache(maxsize=1)
def table() -> Table:
    """The table, read once."""
    body = resources.files("schemas.ucum_essence").joinpath("ucum-essence.xml").read_bytes()
    root = ElementTree.fromstring(body)  # noqa: S314 - shipped with this module
    atoms = {}
    for element in root:
        kind = element.tag.removeprefix(_NAMESPACE)
        if kind in ("base-unit", "unit"):
            atom = _atom(element, base=kind == "base-unit")
            atoms[atom.code] = atom
    prefixes = {
        element.attrib["Code"]: Fraction(_value(element).attrib["value"])
        for element in root.findall(f"{_NAMESPACE}prefix")
    }
    return Table(MappingProxyType(atoms), MappingProxyType(prefixes))


def _atom(element: ElementTree.Element, *, base: bool) -> Atom:
    code = element.attrib["Code"]
    name = element.findtext(f"{_NAMESPACE}name") or code
    metric = base or element.get("isMetric") == "yes"
    if base:
        return Atom(code, name, metric, False, True, Fraction(1), "", Fraction(0))
    value = _value(element)
    if element.get("isSpecial") == "yes":
        function = value.find(f"{_NAMESPACE}function")
        assert function is not None
        offset = _OFFSETS.get(function.attrib["name"])
        if offset is None:
            return Atom(code, name, metric, True, True, Fraction(1), "", Fraction(0))
        scale = Fraction(Decimal(function.attrib["value"]))
        return Atom(code, name, metric, True, False, scale, function.attrib["Unit"], offset)
    unit = value.attrib["Unit"]
    arbitrary = element.get("isArbitrary") == "yes" and unit == "1"
    factor = Fraction(Decimal(value.attrib["value"]))
    return Atom(code, name, metric, False, arbitrary, factor, unit, Fraction(0))


def _value(element: ElementTree.Element) -> ElementTree.Element:
    found = element.find(f"{_NAMESPACE}value")
    assert found is not None
    return found
