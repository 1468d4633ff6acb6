"""Sets of texts that flushed matches lead to: their ids, or what they name by a reference.

Such a set joins resources, and a lake has the parts of years: each commit would have the whole of
it made anew. But a commit adds to the hot tier, and flushed parts stay as they are. So the set of
each part is kept as long as none of the matches is superseded, and that of all parts together.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import partial
from typing import Any

from storage.index.membership import TextSet
from storage.index.part_map import Part
from storage.query.flushed import FlushedMatches
from storage.query.kept_sets import KeptSets


def flushed_set(
    flushed: FlushedMatches,
    sets: KeptSets,
    what: tuple[Hashable, ...],
    read: Callable[[Part], Any],
) -> TextSet:
    """All texts that `read` gives (an Arrow array) of the matches in each part.

    `what` tells this reading from any other.
    """
    if flushed.decided_by is None:
        return TextSet.of_arrays([read(part) for part in flushed.parts])
    key = ("flushed", *what, flushed.decided_by)
    found: TextSet | None = sets.get(key)
    if found is None:
        found = TextSet.of_arrays(
            [flushed.worked_out(part, what, partial(read, part)) for part in flushed.parts]
        )
        sets.keep(key, found)
    return found
