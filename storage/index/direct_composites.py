"""The rows of composites of a code with a value, straight from the elements.

What `storage.index.composite` gives for the values that `schemas.composite_values` finds, without
an object for each: every Observation has such rows. Other composites go the slower way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from schemas.composite_values import UCUM_SUFFIX, CompositeOf
from schemas.element_path import Key

Cells = tuple[Any, ...]
"""The columns of one component."""

CellsOf = Callable[[Any, Any], tuple[Sequence[Cells], Sequence[Cells]]]
"""Cells of a value as written, and in base units; the second argument is what is being found."""


@dataclass
class _Site:
    """The composites of one kind of repetition: by the key of the code, and that of the value."""

    root: tuple[str, ...]
    by_code: dict[str, CellsOf] = field(default_factory=dict)
    by_value: dict[str, list[tuple[CellsOf, str, list[str], list[str]]]] = field(
        default_factory=dict
    )


class DirectComposites:
    """All composites of a type that can be found so."""

    def __init__(self, cells: dict[Any, CellsOf]) -> None:
        """`cells`: for each converter of a component how its columns are found."""
        self._cells = cells
        self.sites: list[_Site] = []

    def add(self, param: str, composite: CompositeOf) -> bool:
        """Take a composite over; False when it is not one of these."""
        if len(composite.parts) != 2 or any(part.of_resource for part in composite.parts):
            return False
        if not all(isinstance(step, Key) for step in composite.root.steps):
            return False
        known = [
            [
                (step.name, self._cells[convert])
                for branch, convert in part.branches
                for step in branch.steps
                if isinstance(step, Key) and len(branch.steps) == 1 and convert in self._cells
            ]
            for part in composite.parts
        ]
        if [len(one) for one in known] != [len(part.branches) for part in composite.parts]:
            return False
        if len(known[0]) != 1 or not known[1]:
            return False
        site = self._site(tuple(step.name for step in composite.root.steps if type(step) is Key))
        ((code_key, code_cells),) = known[0]
        site.by_code = {code_key: code_cells} if not site.by_code else site.by_code
        if site.by_code.get(code_key) is not code_cells:
            return False
        kind = "$".join(part.type for part in composite.parts)
        for key, value_cells in known[1]:
            entries = site.by_value.setdefault(key, [])
            for cells, its_kind, params, in_units in entries:
                if cells is value_cells and its_kind == kind:
                    params.append(param)
                    in_units.append(param + UCUM_SUFFIX)
                    break
            else:
                entries.append((value_cells, kind, [param], [param + UCUM_SUFFIX]))
        return True

    def find(self, resource: dict[str, Any], found: Any) -> None:
        """Add the rows of a resource to `found`."""
        for site in self.sites:
            items: list[Any] = [resource]
            for name in site.root:
                items = _within(items, name)
            for item in items:
                if type(item) is dict:
                    self._of_item(site, item, found)

    def _of_item(self, site: _Site, item: dict[str, Any], found: Any) -> None:
        codes: Sequence[Cells] | None = None
        for key, entries in site.by_value.items():
            if key not in item:
                continue
            if codes is None:
                codes = [
                    cells
                    for name, cells_of in site.by_code.items()
                    for value in _listed(item.get(name))
                    for cells in cells_of(value, found)[0]
                ]
            if not codes:
                return
            for cells_of, kind, params, in_units in entries:
                rows, numbers = found.rows[kind], found.numbers
                for value in _listed(item[key]):
                    written, converted = cells_of(value, found)
                    for names, values in ((params, written), (in_units, converted)):
                        for name in names if values else ():
                            p = (numbers[name],)
                            for code in codes:
                                for cells in values:
                                    rows[p + code + cells] = None

    def _site(self, root: tuple[str, ...]) -> _Site:
        for site in self.sites:
            if site.root == root:
                return site
        self.sites.append(_Site(root))
        return self.sites[-1]


def _within(items: list[Any], name: str) -> list[Any]:
    return [one for item in items if type(item) is dict for one in _listed(item.get(name))]


def _listed(value: Any) -> Sequence[Any]:
    if type(value) is list:
        return value
    return () if value is None else (value,)
