"""The functions of FHIRPath and those that FHIR adds, by name.

http://hl7.org/fhirpath/N1/#functions, https://hl7.org/fhir/R4/fhirpath.html#functions
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from schemas.fhirpath.functions import (
    aggregates,
    collections,
    conversions,
    fhir,
    iteration,
    mathematics,
    moments,
    strings,
)
from schemas.fhirpath.functions.signature import Function

__all__ = ["FUNCTIONS", "Function"]

FUNCTIONS: Mapping[str, Function] = MappingProxyType(
    {
        **collections.FUNCTIONS,
        **iteration.FUNCTIONS,
        **aggregates.FUNCTIONS,
        **strings.FUNCTIONS,
        **conversions.FUNCTIONS,
        **mathematics.FUNCTIONS,
        **moments.FUNCTIONS,
        **fhir.FUNCTIONS,
    }
)
"""Name → function; `is`, `as` and `ofType` belong to the compiler."""
