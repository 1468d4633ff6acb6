"""The value sets of required bindings: the only codes that an element may have.

Only those that can be enumerated from R4's own code systems; MIME types, UCUM units and currencies
are open-ended and not among them. https://hl7.org/fhir/R4/terminologies.html#required
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType

from schemas.structure import load_definitions

_PAIRS: dict[str, list[list[str]]] = load_definitions("required_bindings.json.gz")


def _by_code(pairs: list[list[str]]) -> Mapping[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for system, code in pairs:
        found.setdefault(code, set()).add(system)
    return MappingProxyType({code: frozenset(systems) for code, systems in found.items()})


VALUE_SETS: Mapping[str, Mapping[str, frozenset[str]]] = MappingProxyType(
    {url: _by_code(pairs) for url, pairs in _PAIRS.items()}
)
"""Value set URL → code → the systems that have the code."""


@lru_cache(maxsize=4_096)
def system_of(value_set: str, code: str) -> str | None:
    """The system of a code in a value set; None when it is not in it or is in several systems."""
    systems = VALUE_SETS.get(value_set, {}).get(code, frozenset())
    return next(iter(systems)) if len(systems) == 1 else None
