"""A function of FHIRPath: how it is called, and with how many arguments."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from schemas.fhirpath.values import Items

Apply = Callable[..., Items]
"""`(run, items, focus, *arguments)`: the input collection, what the arguments start from, and
the arguments, still to be evaluated."""


@dataclass(frozen=True)
class Function:
    """`least` to `most` arguments; `sorts` for one whose arguments are keys of an order."""

    apply: Apply
    least: int = 0
    most: int = 0
    sorts: bool = False
