"""What cannot be parsed or evaluated."""

from __future__ import annotations


class FhirPathError(ValueError):
    """An expression that is no FHIRPath, breaks a limit, or fails on what it is evaluated on.

    `kind` is `syntax`, `semantic` (an element or type that does not exist), `execution` (wrong
    types or numbers of items) or `limit`. Texts name functions, types and places in the
    expression, never values of a resource.
    """

    def __init__(self, message: str, kind: str = "execution") -> None:
        super().__init__(message)
        self.kind = kind
