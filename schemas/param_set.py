"""The search parameters of one lake: R4's own, and those that were added to it.

A set never changes; when a parameter is added or taken away, another set takes its place.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from schemas.search_params import SearchParam, search_params
from schemas.search_values import Node, indexed_codes, merged_tree, value_tree


class ParamSet:
    """Parameters by resource type, and the trees by which their values are found."""

    def __init__(self, added: Iterable[SearchParam] = ()) -> None:
        """`added` besides R4's own; a type without any costs nothing more than without a set."""
        self._by_type: dict[str, dict[str, SearchParam]] = {}
        self._added = tuple(added)
        for param in self._added:
            mine = self._by_type.setdefault(param.base, dict(search_params(param.base)))
            mine[param.code] = param
        self._trees: dict[str, Node] = {}

    @property
    def types(self) -> frozenset[str]:
        """The types with parameters that are not R4's own."""
        return frozenset(self._by_type)

    def without_pending(self) -> ParamSet:
        """Those that can be searched by: all that was stored is indexed by them."""
        return ParamSet(param for param in self._added if param.pending is None)

    def __call__(self, resource_type: str) -> Mapping[str, SearchParam]:
        """The parameters of a type, by code; see `schemas.search_params.search_params`."""
        found = self._by_type.get(resource_type)
        return search_params(resource_type) if found is None else MappingProxyType(found)

    def tree(self, resource_type: str) -> Node:
        """See `schemas.search_values.value_tree`."""
        found = self._by_type.get(resource_type)
        if found is None:
            return value_tree(resource_type)
        tree = self._trees.get(resource_type)
        if tree is None:
            tree = self._trees[resource_type] = merged_tree(found, indexed_codes(found))
        return tree


R4 = ParamSet()
"""R4's own parameters and no others."""
