"""What must hold of a version, worked out as far as indexes go: the nodes of a plan.

Leaves are `Alternatives` (entries of the index), `Ids` (of the resource) and `Moments` (of its
commit); each node is asked as SQL of hot versions, and as a mask over the rows of a part.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import apsw

from storage.index.condition import Condition
from storage.index.membership import TextSet
from storage.query.alternatives import Alternatives

Sql = tuple[str, list[Any]]


@dataclass(frozen=True, slots=True)
class Ids:
    """The resource's id is one of these."""

    ids: TextSet


@dataclass(frozen=True, slots=True)
class Moments:
    """A condition on `v`."""

    condition: Condition


@dataclass(frozen=True, slots=True)
class Every:
    """All parts hold."""

    parts: tuple[Holds, ...]


@dataclass(frozen=True, slots=True)
class Some:
    """One part holds, at least."""

    parts: tuple[Holds, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The part does not hold."""

    part: Holds


Holds: TypeAlias = Alternatives | Ids | Moments | Every | Some | Not

NOTHING = Ids(TextSet([]))


def checked(node: Holds) -> Sql:
    """SQL for whether the node holds of the version `r`."""
    if isinstance(node, Alternatives):
        sql = " OR ".join(probe.check("r.v") for probe in node.probes) or "0"
        args = [arg for probe in node.probes for arg in probe.args]
        return (f"NOT ({sql})" if node.excludes else sql), args
    if isinstance(node, Ids):
        return among_ids("+r.id", node.ids)
    if isinstance(node, Moments):
        text, found = node.condition.sql({"v": "+r.v"})
        return text, list(found)
    if isinstance(node, Not):
        text, arguments = checked(node.part)
        return f"NOT ({text})", arguments
    word, none = (" AND ", "1") if isinstance(node, Every) else (" OR ", "0")
    parts = [checked(part) for part in node.parts]
    return word.join(f"({text})" for text, _ in parts) or none, [
        a for _, args in parts for a in args
    ]


def among_ids(column: str, ids: TextSet) -> Sql:
    """SQL for whether a column of packed ids is one of them."""
    selects, args = [], []
    for keys in ids.packed:
        if keys:
            selects.append("SELECT value FROM carray(?)")
            args.append(apsw.carray(keys))
    if not selects:
        return "0", []
    return f"{column} IN ({' UNION ALL '.join(selects)})", args
