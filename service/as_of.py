"""`at`: which past state of the lake an answer is of.

It is the number of a commit, or an instant (R4 datatypes.html#instant): the last commit at or
before it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated

from fastapi import Query

from schemas.ids import parse_instant
from schemas.outcomes import FhirError, error
from service.notices import Notice, notice
from service.whole_number import whole_number
from storage.lake import AsOf, Lake, LakeAt

At = Annotated[
    list[str] | None,
    Query(description="Commit number or instant to answer as of, at most one; default: now."),
]


def parse_at(given: Sequence[str | int] | str | int | None) -> AsOf | None:
    """The commit or moment that the parameter `at` names; None where it is not given.

    Raises FhirError: `value` (neither a number nor an instant), `invalid` (two different ones).
    """
    if given is None or isinstance(given, (str, int)):
        values = [] if given is None else [str(given)]
    else:
        values = list(dict.fromkeys(str(value) for value in given))
    if not values:
        return None
    if len(values) > 1:
        raise error("invalid", "at is given twice, with different values.", "at")
    number = whole_number(values[0])
    if number is not None:
        return number
    try:
        # A `+` of an offset that came through an address unescaped is a space.
        return parse_instant(values[0].replace(" ", "+"))
    except ValueError:
        raise error(
            "value",
            "at is the number of a commit, or an instant such as 2026-05-01T12:00:00Z (with "
            "seconds and a zone).",
            "at",
        ) from None


@contextmanager
def view_at(lake: Lake, at: AsOf | None) -> Iterator[tuple[LakeAt, Notice]]:
    """The lake as of `at` and what to say of its answer.

    A resource that is not found in it may have been erased: then the FhirError says so.
    """
    view = lake.at(at)
    said = notice(lake, view.t, past=at is not None)
    try:
        yield view, said
    except FhirError as failure:
        if failure.category == "not-found" and said.issues:
            raise FhirError(failure.category, [*failure.issues, *said.issues]) from None
        raise
