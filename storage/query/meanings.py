"""What parameters mean, kept for the next search that has them: codes and dates come again.

Reading a parameter and finding the entries that it asks for depends on nothing but the search
parameters that there are, and on numbers of texts, which never change once they are given.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from schemas.param_set import ParamSet
from storage.query.alternatives import Alternatives
from storage.query.criterion import Criterion
from storage.query.limits import SearchLimits
from storage.query.tree import Node

_MOST = 4_096
_LONGEST = 200

# Of these a single value asks for the same entries for ever.
_KINDS = frozenset({"token", "reference", "string", "uri", "date"})


@dataclass(slots=True)
class Meanings:
    """By type, name and value: the nodes of parameters, and the entries that criteria ask for."""

    known: ParamSet
    limits: SearchLimits
    nodes: dict[tuple[str, str, str], Node] = field(default_factory=dict)
    entries: dict[tuple[str, str, str], Alternatives] = field(default_factory=dict)

    def node(self, resource_type: str, name: str, value: str) -> Node | None:
        """The node of a parameter, if it is kept."""
        return self.nodes.get((resource_type, name, value))

    def keep_node(self, resource_type: str, name: str, value: str, found: Node) -> None:
        """Keep the node of a parameter."""
        if len(value) <= _LONGEST:
            if len(self.nodes) >= _MOST:
                self.nodes.clear()
            self.nodes[resource_type, name, value] = found

    def asked(self, resource_type: str, criterion: Criterion) -> Alternatives | None:
        """The entries that a criterion asks for, if they are kept."""
        if len(criterion.values) != 1:
            return None
        return self.entries.get((resource_type, criterion.given, criterion.values[0]))

    def keep_asked(
        self, resource_type: str, criterion: Criterion, found: list[Alternatives]
    ) -> None:
        """Keep what a criterion asks for, where that stays the same."""
        if not is_lasting(criterion) or len(found) != 1 or not found[0].probes:
            # Without an entry there may be one later, when a text has a number.
            return
        if len(criterion.values[0]) <= _LONGEST:
            if len(self.entries) >= _MOST:
                self.entries.clear()
            self.entries[resource_type, criterion.given, criterion.values[0]] = found[0]


def is_lasting(criterion: Criterion) -> bool:
    """Whether a criterion asks for the same entries for ever, once it asks for any."""
    defined = criterion.defined
    return (
        criterion.kind in _KINDS
        and not criterion.modifier
        and len(criterion.values) == 1
        and defined is not None
        and not defined.indexed_as
        # Approximately: the longer ago, the wider.
        and not (criterion.kind == "date" and criterion.values[0].startswith("ap"))
    )


class KeptMeanings:
    """The meanings by the search parameters and limits that there are now."""

    def __init__(self) -> None:
        self._meanings: Meanings | None = None
        self._lock = threading.Lock()

    def of(self, known: ParamSet, limits: SearchLimits) -> Meanings:
        """Those of some parameters; those of others are forgotten."""
        with self._lock:
            found = self._meanings
            if found is None or found.known is not known or found.limits != limits:
                found = self._meanings = Meanings(known, limits)
            return found
