"""What joins resources in a search: chains, `_has`, `_list`; worked out set by set.

The resources at the far end of a link are searched as of the same commit, whole, and become one
set of ids, which the near end is compared with: never a query for each id, and never a cut. Sets
are kept for the next page, which asks for the same ones as of the same commit.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

import apsw

from schemas.param_set import ParamSet
from schemas.terminology import Terminology
from storage import index
from storage.index.membership import Among, TextSet
from storage.index.probe import Probe
from storage.kept_versions import KeptVersion
from storage.query import type_state
from storage.query.alternatives import Alternatives
from storage.query.canonical import Canonical, bare, canonical_of, names
from storage.query.code_sets import CodeSets
from storage.query.conditions import Every, Holds, Ids, Some
from storage.query.dependence import depends_on
from storage.query.flushed import FlushedIndex
from storage.query.limits import SearchLimits, beyond
from storage.query.matches import Matches
from storage.query.plan import Joins, Plan, Planner, references
from storage.query.tree import InHierarchy, InList, Node, Reverse
from storage.query.type_state import TypeState
from storage.terms import Terms
from storage.version_rows import Bodies, rows_of_versions
from storage.versions import Version

_NONE = TextSet([])


class Evaluation:
    """One search's view of the lake: as of commit `t`, on one connection."""

    def __init__(
        self,
        connection: apsw.Connection,
        bodies: Bodies,
        terms: Terms,
        flushed: FlushedIndex,
        t: int,
        known: ParamSet,
        limits: SearchLimits,
        terminology: Callable[[], Terminology] | None = None,
    ) -> None:
        """`terminology` gives what was known of codes at `t`; None: no one asks for value sets."""
        self.connection = connection
        self.bodies = bodies
        self.terms = terms
        self.flushed = flushed
        self.t = t
        self.known = known
        self.limits = limits
        self._kept = flushed.sets
        self._states = flushed.states.of(connection)
        joins = Joins(self._matching, self._named, self._entries, self._hierarchy)
        codes = CodeSets(connection, terminology) if terminology is not None else None
        meanings = flushed.meanings.of(known, limits)
        self._planner = Planner(connection, self.find, joins, meanings, codes)

    @cached_property
    def state(self) -> Hashable:
        """What answers as of one commit depend on: while it is the same, so are they.

        An erasure takes something out of them; and the past is searched by the search parameters
        that there are now.
        """
        return self.t, self.erasures, self.known

    def state_of(self, asked: Mapping[str, Sequence[Node]]) -> Hashable:
        """What an answer depends on that asks something of the resources of some types.

        Of now that is the last version of each type that has to do with it: it stays the same
        while others are written.
        """
        types = depends_on(asked)
        if types is None:
            return self.state
        newest = []
        for name in sorted(types):
            number = self.find(name)
            state = None if number is None else self._state(number)
            if state is not None and state.following_v is not None:
                return self.state
            newest.append((name, 0 if state is None else state.newest_v))
        return tuple(newest), self.erasures, self.known

    @cached_property
    def erasures(self) -> int:
        """How many erasures there were."""
        for state in self._states.values():
            return state.erasures
        return int(self.connection.execute("SELECT count(*) FROM erasure").get)

    def find(self, text: str) -> int | None:
        """The number of a text; None when no row can have it."""
        return self.terms.find(self.connection, text)

    def matches(self, resource_type: str, nodes: Sequence[Node]) -> Matches:
        """The resources of a type that meet all nodes."""
        return self._meeting(self._planner.plan(resource_type, nodes))

    def _meeting(self, planned: Plan) -> Matches:
        """The versions that meet a plan."""
        number = planned.type_number
        state = None if number is None else self._state(number)
        return Matches(self.connection, self.flushed, planned, self.t, state)

    def _state(self, type_number: int) -> TypeState:
        """How the versions of a type lie in the tiers."""
        state = self._states.get((type_number, self.t))
        if state is None:
            state = type_state.read(self.connection, type_number, self.t)
            self._states[type_number, self.t] = state
        return state

    def referring(
        self,
        source_type: str,
        param: str,
        target_type: str,
        ids: TextSet,
        canonicals: Iterable[Canonical] = (),
    ) -> Matches:
        """The resources that name one of some others by a reference parameter.

        By `Type/id`, or by one of the canonicals.
        """
        p, number = self.find(index.param_key(source_type, param)), self.find(target_type)
        if p is None or number is None:
            found: list[Holds] = [Alternatives([])]
        else:
            found = [Alternatives(references(p, ids, number))]
            found += [holds for one in canonicals for holds in names(p, one)]
        planned = self._planner.planned(
            source_type, found[0] if found[1:] == [] else Some(tuple(found))
        )
        return self._meeting(planned)

    def with_urls(self, resource_type: str, urls: TextSet) -> list[Version]:
        """The resources of a type with one of some canonical URLs (without versions)."""
        p = self.find(index.param_key(resource_type, "url"))
        planned = Plan(self.find(resource_type))
        if p is None or not len(urls) or not self.has_urls(resource_type):
            return []
        planned.alternatives.append(
            Alternatives([Probe("uri", p, Among("uri", urls), by_version=False)])
        )
        return self.unobserved(self._meeting(planned))

    def has_urls(self, resource_type: str) -> bool:
        """Whether resources of a type are named by canonical URLs."""
        found = self.known(resource_type).get("url")
        return found is not None and found.type == "uri"

    def unobserved(self, found: Matches) -> list[Version]:
        """Matches with their bodies, which are looked at and not given out."""
        return self.unobserved_versions(found.versions().tolist())

    def unobserved_versions(self, versions: list[int]) -> list[Version]:
        """Versions with their bodies, which are looked at and not given out."""
        return [one.version for one in self.versions(versions)]

    def versions(self, versions: list[int]) -> list[KeptVersion]:
        """Versions with their bodies, in their order; not noted to the trail."""
        kept = self.flushed.versions.get(versions, self.erasures)
        missing = [v for v in versions if v not in kept]
        if missing:
            rows = rows_of_versions(self.connection, missing)
            read = self.bodies.kept(self.connection, rows)
            self.flushed.versions.keep(read, self.erasures)
            kept.update(read)
        return [kept[v] for v in versions if v in kept]

    def _matching(
        self, given: str, target_type: str, inner: Node
    ) -> tuple[TextSet, tuple[Canonical, ...]]:
        key = ("matching", target_type, inner, self.state_of({target_type: (inner,)}))
        found: tuple[TextSet, tuple[Canonical, ...]] | None = self._kept.get(key)
        if found is None:
            matches = self.matches(target_type, [inner])
            ids = matches.ids()
            found = (ids, self._canonicals(matches) if self.has_urls(target_type) else ())
            self._kept.keep(key, found)
        self._limited(given, found[0])
        return found

    def _canonicals(self, matches: Matches) -> tuple[Canonical, ...]:
        """How canonical references name some resources."""
        named = (canonical_of(version.resource()) for version in self.unobserved(matches))
        return tuple(dict.fromkeys(one for one in named if one is not None))

    def _named(self, resource_type: str, node: Reverse) -> TextSet:
        key = ("named", resource_type, node, self.state_of({resource_type: (node,)}))
        found: TextSet | None = self._kept.get(key)
        if found is None:
            found = self._names(resource_type, node)
            self._kept.keep(key, found)
        return self._limited(node.given, found)

    def _names(self, resource_type: str, node: Reverse) -> TextSet:
        matches = self.matches(node.source_type, [node.inner])
        p = self.find(index.param_key(node.source_type, node.param))
        number = self.find(resource_type)
        if p is None or number is None:
            return _NONE
        ids = matches.named(p, number)
        if not self.has_urls(resource_type):
            return ids
        urls = matches.named(p, 0)
        more = []
        for version in self.with_urls(resource_type, TextSet.of(bare(urls.strings))):
            canonical = canonical_of(version.resource())
            if canonical is not None:
                naming = self._planner.holds(node.source_type, node.inner)
                holds = Every((naming, Some(tuple(names(p, canonical)))))
                planned = self._planner.planned(node.source_type, holds)
                if self._meeting(planned).total():
                    more.append(version.id)
        return TextSet.of([*ids.strings, *more])

    def _entries(self, resource_type: str, node: InList) -> TextSet:
        key = ("list", resource_type, node, self.state)
        found: TextSet | None = self._kept.get(key)
        if found is None:
            planned = Plan(self.find("List"), ids=TextSet.of(node.list_ids))
            lists = self.unobserved(self._meeting(planned))
            found = TextSet.of(
                id for version in lists for id in listed(version.resource(), resource_type)
            )
            self._kept.keep(key, found)
        return found

    def _hierarchy(self, resource_type: str, node: InHierarchy) -> TextSet:
        key = ("hierarchy", resource_type, node, self.state)
        found: TextSet | None = self._kept.get(key)
        if found is None:
            known = set(node.ids)
            step = list(node.ids)
            # A circle of parts ends as well: what is known is not looked at again.
            while step:
                step = [id for id in self._next(resource_type, node, step) if id not in known]
                known.update(step)
                self._limited(node.given, TextSet.of(known))
            found = TextSet.of(known)
            self._kept.keep(key, found)
        return found

    def _next(self, resource_type: str, node: InHierarchy, ids: Sequence[str]) -> Sequence[str]:
        """The parts of some resources; with `above`, what they are part of."""
        if not node.above:
            matches = self.referring(resource_type, node.param, resource_type, TextSet.of(ids))
            return matches.ids().strings
        p = self.find(index.param_key(resource_type, node.param))
        number = self.find(resource_type)
        if p is None or number is None:
            return ()
        planned = self._planner.planned(resource_type, Ids(TextSet.of(ids)))
        matches = self._meeting(planned)
        return matches.named(p, number).strings

    def _limited(self, given: str, found: TextSet) -> TextSet:
        if len(found) > self.limits.max_joined:
            raise beyond(
                given, "leads over too many resources", self.limits.max_joined, "search_max_joined"
            )
        return found


def listed(found: dict[str, Any], resource_type: str) -> list[str]:
    """The ids of a type in a List, without the entries that say they were taken off it."""
    ids = []
    for entry in found.get("entry", ()):
        reference = entry.get("item", {}).get("reference", "")
        kind, _, rest = reference.partition("/")
        if kind == resource_type and rest and entry.get("deleted") is not True:
            ids.append(rest.partition("/")[0])
    return ids
