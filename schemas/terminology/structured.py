"""Code systems that are known by the structure of their codes, without a list of them.

Of UCUM, languages and media types the form decides what is a code. Of ICD-10 and ICD-10-CM it
tells where a code stands in the hierarchy, as every code begins with those above it, but not
whether there is such a code.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from schemas import codes, ucum
from schemas.ucum_terms import MAX_LENGTH

BCP_47 = "urn:ietf:bcp:47"
BCP_13 = "urn:ietf:bcp:13"
ICD10 = "http://hl7.org/fhir/sid/icd-10"

# RFC 5646, section 2.1.
_LANGUAGE = re.compile(
    r"(?:(?:[a-z]{2,3}(?:-[a-z]{3}){0,3}|[a-z]{4,8})(?:-[a-z]{4})?(?:-(?:[a-z]{2}|[0-9]{3}))?"
    r"(?:-(?:[a-z0-9]{5,8}|[0-9][a-z0-9]{3}))*(?:-[a-wyz0-9](?:-[a-z0-9]{2,8})+)*"
    r"(?:-x(?:-[a-z0-9]{1,8})+)?|x(?:-[a-z0-9]{1,8})+)",
    re.IGNORECASE | re.ASCII,
)
# RFC 6838, section 4.2, with parameters as in RFC 2045.
_NAME = r"[a-zA-Z0-9][a-zA-Z0-9!#$&^_.+-]{0,126}"
_MEDIA_TYPE = re.compile(
    rf"{_NAME}/{_NAME}(?:[ \t]*;[ \t]*[!#$%&'*+.^_`|~0-9A-Za-z-]+="
    r"(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+|\"[^\"\\\r\n]*\"))*",
    re.ASCII,
)
_LONGEST = 200

# A category of three characters, then up to four after a dot; a block is two categories.
_ICD10CM = re.compile(r"[A-Z][0-9][0-9A-Z](?:\.[0-9A-Z]{1,4})?")
_ICD10 = re.compile(r"[A-Z][0-9]{2}(?:\.[0-9]{1,2})?")


@dataclass(frozen=True, slots=True)
class Structured:
    """A code system known by the structure of its codes.

    `well_formed` decides what can be a code. `by_form` says that this is all there is to it;
    `prefixed` that each code begins with those above it, from the category of three characters on.
    """

    url: str
    name: str
    well_formed: Callable[[str], bool]
    by_form: bool = True
    prefixed: bool = False

    def test(self, code: str) -> bool | None:
        """Whether it is a code; None where its form alone cannot tell."""
        if not self.well_formed(code):
            return False
        return True if self.by_form else None

    def ancestors(self, code: str) -> tuple[str, ...] | None:
        """The codes above one, from the nearest; None for what is no code."""
        if not self.prefixed or not self.well_formed(code):
            return None
        return tuple(code[:end] for end in range(len(code) - 1, 2, -1) if code[end - 1] != ".")

    def same_unit(self, value: str) -> Callable[[str], bool] | None:
        """A test for UCUM's filter `canonical`: units that compare with `value`."""
        base = _base(value)
        if self.url != codes.UCUM or base is None:
            return None
        return lambda code: _base(code) == base


def find(url: str) -> Structured | None:
    """The structured code system of a URL; None when it is none."""
    return _SYSTEMS.get(url)


def _base(unit: str) -> str | None:
    found = ucum.canonical(ucum.ONE, unit)
    return found[1] if found is not None else None


def _matching(pattern: re.Pattern[str], longest: int = _LONGEST) -> Callable[[str], bool]:
    return lambda code: len(code) <= longest and pattern.fullmatch(code) is not None


_SYSTEMS = {
    system.url: system
    for system in (
        Structured(codes.UCUM, "UCUM", lambda code: len(code) <= MAX_LENGTH and ucum.is_unit(code)),
        Structured(BCP_47, "BCP 47 (languages)", _matching(_LANGUAGE)),
        Structured(BCP_13, "BCP 13 (media types)", _matching(_MEDIA_TYPE)),
        Structured(
            codes.ICD10CM, "ICD-10-CM", _matching(_ICD10CM, 8), by_form=False, prefixed=True
        ),
        Structured(ICD10, "ICD-10", _matching(_ICD10, 6), by_form=False, prefixed=True),
    )
}
