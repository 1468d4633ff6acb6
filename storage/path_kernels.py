"""The compiled paths of `schemas.element_path` on many resources at once, in Arrow kernels.

What a path finds in each of `n` things is one `Items`: the values one after the other, and for
each the number of the thing that it was found in, ascending. Each function here does to all things
what the step of the same name in `schemas.path_functions` does to one.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas import path_functions as run
from schemas.element_path import Branch, Evaluator, Key
from storage.element_schema import Unsupported

Numbers = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Items:
    """Values (never null), and of which thing each is."""

    of: Numbers
    values: pa.Array

    def where(self, kept: Mask) -> Items:
        """The items that are kept."""
        return self if kept.all() else Items(self.of[kept], self.values.filter(pa.array(kept)))


@dataclass
class Things:
    """What paths start from: `n` objects, each for itself."""

    values: pa.Array
    n: int
    _found: dict[Hashable, Items] = field(default_factory=dict)

    def follow(self, branch: Branch) -> Items:
        """What a branch finds. Beginnings that branches have in common are followed once."""
        found = Items(np.arange(self.n), self.values)
        for end in range(1, len(branch.steps) + 1):
            steps = branch.steps[:end]
            known = self._found.get(steps)
            if known is None:
                known = self._found[steps] = self._step(found, steps[-1])
            found = known
        return found

    def evaluate(self, branches: Sequence[Any]) -> Items:
        """What several branches find, in their order within each thing."""
        return _together([self.follow(branch) for branch in branches])

    def _step(self, items: Items, step: object) -> Items:
        match step:
            case Key(name):
                return _key(items, name)
            case run.Nth(n):
                return _nth(items, n)
            case run.WithUrl(url):
                return items.where(_equals(items.values.field("url"), url))
            case run.OfResourceType(types) if len(types) == 1:
                return items.where(_equals(items.values.field("resourceType"), next(iter(types))))
            case run.Where(criterion):
                return items.where(_inside(items)._is_true(criterion))
            case run.Select(projection):
                found = _inside(items).evaluate(_branches(projection))
                return Items(items.of[found.of], found.values)
            case run.Conditional(criterion, when_true, otherwise):
                return _conditional(items, criterion, when_true, otherwise)
            case run.Computed(branches, function):
                return self._computed(branches, function)
            case run.Operation(left, right, function):
                return self._operation(left, right, function)
            case run.Constant(value) if isinstance(value, bool | str):
                return Items(np.arange(self.n), pa.repeat(pa.scalar(value), self.n))
        raise Unsupported

    def _computed(self, branches: Sequence[Any], function: object) -> Items:
        if function is run.exists:
            counts = sum(
                (self._counts(self.follow(branch)) for branch in branches), np.zeros(self.n, int)
            )
            return Items(np.arange(self.n), pa.array(counts > 0))
        found = self.evaluate(branches)
        if isinstance(function, run.Nth):
            return _nth(found, function.n)
        if isinstance(function, run.Join):
            return self._joined(found, function.separator)
        raise Unsupported

    def _joined(self, found: Items, separator: str) -> Items:
        _check(found, pa.string())
        counts = self._counts(found)
        ends = np.concatenate([[0], np.cumsum(counts)])
        lists = pa.ListArray.from_arrays(pa.array(ends, pa.int32()), found.values)
        texts = pc.binary_join(lists, separator)
        present = counts > 0
        return Items(np.flatnonzero(present), texts.filter(pa.array(present)))

    def _operation(self, left: Any, right: Any, function: object) -> Items:
        if function is run.equal or function is run.different:
            equal, both = self._equal(left, right)
            flags = equal if function is run.equal else ~equal
            return Items(np.flatnonzero(both), pa.array(flags[both]))
        if function is run.both or function is run.either:
            sides = [self.evaluate(_branches(side)) for side in (left, right)]
            decisive = function is run.either
            decided = self._is(sides[0], decisive) | self._is(sides[1], decisive)
            known = decided | ((self._counts(sides[0]) > 0) & (self._counts(sides[1]) > 0))
            flags = decided if decisive else ~decided
            # What is known but not decided is the other answer, whatever its sides hold.
            return Items(np.flatnonzero(known), pa.array(flags[known]))
        if function is run.concatenated:
            return self._concatenated(left, right)
        if isinstance(function, run.Arithmetic):
            results = self._calculated(left, right, function)
            known = np.array([result is not None for result in results], np.bool_)
            numbers = [float(result) for result in results if result is not None]
            return Items(np.flatnonzero(known), pa.array(numbers, pa.float64()))
        raise Unsupported

    def _calculated(self, left: Any, right: Any, function: run.Arithmetic) -> list[Decimal | None]:
        """Decimals are what is rounded, so they are computed with here too, one by one."""
        sides = zip(self._decimals(left), self._decimals(right), strict=True)
        return [
            next(iter(function([a], [b])), None) if a is not None and b is not None else None
            for a, b in sides
        ]

    def _decimals(self, side: Any) -> list[Decimal | None]:
        """The one number of each thing; None where there is none or are several."""
        branches = _branches(side)
        if len(branches) == 1 and len(branches[0].steps) == 1:
            match branches[0].steps[0]:
                case run.Operation(left, right, function) if isinstance(function, run.Arithmetic):
                    return self._calculated(left, right, function)
                case run.Constant(value) if not isinstance(value, bool | str):
                    return [Decimal(value)] * self.n
        found = self.evaluate(branches)
        _check(found, pa.float64())
        one = self._counts(found) == 1
        check_zero(found.values)
        out: list[Decimal | None] = [None] * self.n
        for place, value in zip(found.of.tolist(), found.values.to_pylist(), strict=True):
            if one[place]:
                out[place] = Decimal(repr(value))
        return out

    def _concatenated(self, left: Any, right: Any) -> Items:
        texts = []
        for side in (left, right):
            first = _nth(self.evaluate(_branches(side)), 0)
            _check(first, pa.string())
            texts.append(pc.fill_null(spread(first, self.n), ""))
        return Items(np.arange(self.n), pc.binary_join_element_wise(*texts, ""))

    def _equal(self, left: Any, right: Any) -> tuple[Mask, Mask]:
        """Where both sides are equal, and where both sides are there. The right is a literal."""
        steps = [branch.steps for branch in _branches(right)]
        if len(steps) != 1 or len(steps[0]) != 1 or not isinstance(steps[0][0], run.Constant):
            raise Unsupported
        value = steps[0][0].value
        if not isinstance(value, bool | str):
            raise Unsupported
        counts, equal = np.zeros(self.n, int), np.zeros(self.n, int)
        for branch in _branches(left):
            found = self.follow(branch)
            counts = counts + self._counts(found)
            if found.values.type == (pa.bool_() if isinstance(value, bool) else pa.string()):
                equal = equal + self._counts(found.where(_equals(found.values, value)))
            elif found.values.type not in (pa.bool_(), pa.string()):
                raise Unsupported
        return (counts == 1) & (equal == 1), counts > 0

    def _is_true(self, criterion: Any) -> Mask:
        return self._is(self.evaluate(_branches(criterion)), True)

    def _is(self, found: Items, value: bool) -> Mask:
        """Which things have one item, and that is the value."""
        _check(found, pa.bool_())
        same: Mask = self._counts(found.where(_equals(found.values, value))) == 1
        return same & (self._counts(found) == 1)

    def _counts(self, found: Items) -> Numbers:
        return np.bincount(found.of, minlength=self.n)


def spread(found: Items, n: int) -> pa.Array:
    """An array of `n` with at most one item of each thing in its place, null elsewhere."""
    if len(found.of) == n:
        return found.values
    places = np.zeros(n, np.int64)
    missing = np.ones(n, np.bool_)
    places[found.of] = np.arange(len(found.of))
    missing[found.of] = False
    return found.values.take(pa.array(places, mask=missing))


def check_zero(numbers: pa.Array) -> None:
    """Refuse a negative zero (ValueError): Arrow reads the integer `-0`, which is 0, as `-0.0`."""
    values = numbers.to_numpy(zero_copy_only=False)
    if np.signbit(values[values == 0]).any():
        raise ValueError("a negative zero")


def _branches(evaluator: object) -> tuple[Branch, ...]:
    if not isinstance(evaluator, Evaluator):
        raise Unsupported
    return evaluator.branches


def _inside(items: Items) -> Things:
    return Things(items.values, len(items.of))


def _check(items: Items, kind: pa.DataType) -> None:
    if items.values.type != kind and len(items.of):
        raise Unsupported


def _equals(values: pa.Array, value: bool | str) -> Mask:
    found: Mask = pc.fill_null(pc.equal(values, pa.scalar(value, values.type)), False).to_numpy(
        zero_copy_only=False
    )
    return found


def _key(items: Items, name: str) -> Items:
    values, of = items.values.field(name), items.of
    if pa.types.is_list(values.type):
        of = np.repeat(of, pc.fill_null(pc.list_value_length(values), 0).to_numpy())
        values = values.flatten()
    if values.null_count:
        present = values.is_valid()
        of = of[present.to_numpy(zero_copy_only=False)]
        values = values.filter(present)
    return Items(of, values)


def _nth(items: Items, n: int) -> Items:
    of = items.of
    if not len(of):
        return items
    begins = np.concatenate([[True], of[1:] != of[:-1]])
    if n == -1:
        return items.where(np.concatenate([begins[1:], [True]]))
    if n < 0:
        raise Unsupported
    if n == 0:
        return items.where(begins)
    starts = np.flatnonzero(begins)
    position = np.arange(len(of)) - np.repeat(starts, np.diff(np.append(starts, len(of))))
    return items.where(position == n)


def _conditional(items: Items, criterion: Any, when_true: Any, otherwise: Any) -> Items:
    true = _inside(items)._is_true(criterion)
    parts = []
    for kept, result in ((true, when_true), (~true, otherwise)):
        chosen = items.where(kept)
        found = _inside(chosen).evaluate(_branches(result))
        parts.append(Items(chosen.of[found.of], found.values))
    return _together(parts)


def _together(parts: Sequence[Items]) -> Items:
    if len({part.values.type for part in parts}) > 1:
        raise Unsupported
    held = [part for part in parts if len(part.of)]
    if len(held) <= 1:
        return held[0] if held else parts[0]
    of = np.concatenate([part.of for part in held])
    values = pa.concat_arrays([part.values for part in held])
    order = np.argsort(of, kind="stable")
    return Items(of[order], values.take(pa.array(order)))
