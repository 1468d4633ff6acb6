"""The index rows of a resource, straight from its elements.

What `storage.index.rows_of` gives for the values of `schemas.search_values.extract`, without an
object for each value, and with one look at an element for all parameters that index it. Every
commit pays for this; the slower way stays what the index is verified against.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

from schemas import value_converters as converters
from schemas.compartments import PATIENT_PARAMS
from schemas.composite_values import UCUM_SUFFIX, CompositeOf
from schemas.dates import date_range
from schemas.element_path import Branch, Evaluator
from schemas.folding import normalized
from schemas.ids import parse_reference
from schemas.index_values import IndexValue, ReferenceValue
from schemas.param_set import R4, ParamSet
from schemas.path_functions import Computed, Refers, Where, reference_type
from schemas.search_values import Action, Node, value_tree
from schemas.value_converters import (
    OF_TYPE,
    TYPE_SEPARATOR,
    BoundCode,
    in_base_units,
    number_of,
    text_of,
)
from schemas.value_sets import system_of
from storage.index.direct_composites import Cells, DirectComposites
from storage.index.entries import Rows
from storage.index.probe import Intern
from storage.index.value_rows import TEXT, param_key, rows_of

Params = tuple[tuple[str, str], ...]
"""Parameters, each with the name of its texts."""


class _Numbers(dict[str, int]):
    """The numbers of a type's parameters, a new one for each that is met first."""

    def __init__(self, resource_type: str, intern: Intern) -> None:
        self._resource_type = resource_type
        self._intern = intern

    def __missing__(self, param: str) -> int:
        found = self[param] = self._intern(param_key(self._resource_type, param))
        return found


class _Found:
    """The rows found in one resource, each once, and the patients that it refers to."""

    __slots__ = ("intern", "numbers", "patients", "quantity", "rows", "string", "token")

    def __init__(self, numbers: dict[str, int], intern: Intern) -> None:
        self.numbers = numbers
        self.intern = intern
        self.rows: dict[str, dict[tuple[Any, ...], None]] = defaultdict(dict)
        self.token = self.rows["token"]
        self.string = self.rows["string"]
        self.patients: dict[str, str] = {}
        # The last amount with its columns: several parameters in a row have the same.
        self.quantity: tuple[Any, Any] = None, _NOTHING

    def add_token(self, params: Params, system: str | None, code: str, text: str | None) -> None:
        """A token of several parameters, found by its text as well."""
        numbers, rows = self.numbers, self.token
        number = self.intern(system) if system else 0
        for param, _ in params:
            rows[numbers[param], code, number] = None
        if text:
            folded = normalized(text)
            if folded:
                kept, rows = "" if text == folded else text, self.string
                for _, texts in params:
                    rows[numbers[texts], folded, kept] = None

    def add_values(self, resource_type: str, values: list[IndexValue]) -> None:
        """What was extracted value by value."""
        for kind, rows in rows_of(resource_type, values, self.intern).items():
            self.rows[kind].update(dict.fromkeys(rows))
        for value in values:
            if (
                type(value) is ReferenceValue
                and value.resource_type == "Patient"
                and value.url is None
                and value.id is not None
            ):
                self.patients.setdefault(value.param, value.id)


Emit = Callable[[Any, Any, _Found], None]


def _coding(value: Any, params: Params, found: _Found) -> None:
    if type(value) is dict:
        _add_coding(value, params, found)


def _add_coding(coding: dict[str, Any], params: Params, found: _Found) -> str | None:
    """The display of a coding whose token was added."""
    system, code, text = coding.get("system"), coding.get("code"), coding.get("display")
    # As `text_of`, without the calls.
    system = system if type(system) is str and system else None
    code = code if type(code) is str else ""
    text = text if type(text) is str and text else None
    if system or code or text:
        found.add_token(params, system, code, text)
    return text


def _concept(value: Any, params: Params, found: _Found) -> None:
    if type(value) is not dict:
        return
    codings, words = value.get("coding"), text_of(value.get("text"))
    if type(codings) is list:
        for coding in codings:
            if type(coding) is dict and _add_coding(coding, params, found) == words:
                words = None
    if words:
        found.add_token(params, None, "", words)


def _identifier(value: Any, params: Params, found: _Found) -> None:
    if type(value) is not dict:
        return
    kind = value.get("type")
    _identifier_token(value, kind, params, found)
    codings = kind.get("coding") if type(kind) is dict else None
    own = text_of(value.get("value"))
    if own and type(codings) is list:
        typed = _with_suffix(params, OF_TYPE)
        for coding in codings:
            code = text_of(coding.get("code")) if type(coding) is dict else None
            if code:
                system = text_of(coding.get("system"))
                found.add_token(typed, system, f"{code}{TYPE_SEPARATOR}{own}", None)


def _identifier_token(value: dict[str, Any], kind: Any, params: Params, found: _Found) -> None:
    system, code = text_of(value.get("system")), text_of(value.get("value"))
    if system or code:
        text = text_of(kind.get("text")) if type(kind) is dict else None
        found.add_token(params, system, code or "", text)


def _code(value: Any, params: Params, found: _Found) -> None:
    if type(value) is bool:
        found.add_token(params, None, "true" if value else "false", None)
    elif type(value) is str and value:
        found.add_token(params, None, value, None)


def _bound_code(binding: str) -> Emit:
    def emit(value: Any, params: Params, found: _Found) -> None:
        if type(value) is str and value:
            found.add_token(params, system_of(binding, value), value, None)

    return emit


def _date(value: Any, params: Params, found: _Found) -> None:
    if type(value) is str:
        try:
            low, high = date_range(value)
        except ValueError:
            return
        rows = found.rows["date"]
        for param, _ in params:
            rows[found.numbers[param], low, high] = None


def _string(value: Any, params: Params, found: _Found) -> None:
    if type(value) is str and value:
        folded = normalized(value)
        kept = "" if value == folded else value
        for param, _ in params:
            found.string[found.numbers[param], folded, kept] = None


def _quantity(value: Any, params: Params, found: _Found) -> None:
    written, converted = _quantity_cells(value, found)
    rows, numbers = found.rows["quantity"], found.numbers
    for cells in written:
        for param, _ in params:
            rows[(numbers[param], *cells)] = None
    for cells in converted:
        for param, _ in _with_suffix(params, UCUM_SUFFIX):
            rows[(numbers[param], *cells)] = None


_NOTHING: tuple[tuple[Cells, ...], tuple[Cells, ...]] = (), ()


def _quantity_cells(value: Any, found: _Found) -> tuple[tuple[Cells, ...], tuple[Cells, ...]]:
    """The columns of an amount as written, and in base units; each at most once."""
    if value is found.quantity[0]:
        return found.quantity[1]
    number = number_of(value.get("value")) if type(value) is dict else None
    if number is None:
        return _NOTHING
    get, amount = value.get, value["value"]
    comparator = get("comparator")
    least = None if comparator in ("<", "<=") else amount
    most = None if comparator in (">", ">=") else amount
    low = -math.inf if least is None else number
    high = math.inf if most is None else number
    name, code, unit = get("system"), get("code"), get("unit")
    # As `text_of`, without the calls.
    name = name if type(name) is str and name else None
    code = code if type(code) is str and code else None
    unit = unit if type(unit) is str else ""
    written = (low, high, found.intern(name) if name else 0, code or "", unit)
    converted = in_base_units(least, most, name, code)
    in_units = () if converted is None else ((converted[0], converted[1], 0, converted[2], ""),)
    cells = (written,), in_units
    found.quantity = value, cells
    return cells


def _concept_cells(value: Any, found: _Found) -> tuple[tuple[Cells, ...], tuple[Cells, ...]]:
    if type(value) is not dict:
        return _NOTHING
    cells: list[Cells] = []
    codings, words = value.get("coding"), text_of(value.get("text"))
    for coding in codings if type(codings) is list else ():
        if type(coding) is dict:
            system, code, text = coding.get("system"), coding.get("code"), coding.get("display")
            # As `text_of`, without the calls.
            system = system if type(system) is str and system else None
            code = code if type(code) is str else ""
            if system or code or text_of(text):
                cells.append((code, found.intern(system) if system else 0))
            if text == words:
                words = None
    if words:
        cells.append(("", 0))
    return tuple(cells), ()


def _string_cells(value: Any, _found: _Found) -> tuple[tuple[Cells, ...], tuple[Cells, ...]]:
    if type(value) is not str or not value:
        return _NOTHING
    folded = normalized(value)
    return ((folded, "" if value == folded else value),), ()


def _date_cells(value: Any, _found: _Found) -> tuple[tuple[Cells, ...], tuple[Cells, ...]]:
    if type(value) is str:
        try:
            return (date_range(value),), ()
        except ValueError:
            pass
    return _NOTHING


@dataclass(frozen=True)
class _References:
    """Parameters of a reference: of any, and of one to a type (`where(resolve() is Patient)`)."""

    of_any: Params
    of_type: tuple[tuple[str, Params], ...]


def _reference(value: Any, wanted: _References, found: _Found) -> None:
    if type(value) is not dict:
        return
    params = wanted.of_any
    if wanted.of_type:
        named = reference_type(value)
        for kind, more in wanted.of_type:
            if kind == named:
                params += more
    text = value.get("reference")
    if type(text) is str and text:
        _reference_text(text, params, found)
    identifier = value.get("identifier")
    if type(identifier) is dict:
        of_type = identifier.get("type")
        _identifier_token(identifier, of_type, _with_suffix(params, ":identifier"), found)


def _reference_text(text: str, params: Params, found: _Found) -> None:
    parsed = parse_reference(text)
    if parsed.kind == "relative":
        target = parsed.id or ""
        if parsed.resource_type == "Patient":
            for param, _ in params:
                found.patients.setdefault(param, target)
    elif parsed.kind in ("absolute", "urn", "contained"):
        target = text
    else:
        return
    kind = found.intern(parsed.resource_type) if parsed.resource_type else 0
    rows = found.rows["reference"]
    for param, _ in params:
        rows[found.numbers[param], target, kind] = None


@cache
def _with_suffix(params: Params, suffix: str) -> Params:
    return _named(param + suffix for param, _ in params)


def _named(params: Iterable[str]) -> Params:
    return tuple((param, param + TEXT) for param in dict.fromkeys(params))


_EMIT: dict[Any, Emit] = {
    converters.of_coding: _coding,
    converters.of_concept: _concept,
    converters.of_identifier: _identifier,
    converters.of_code: _code,
    converters.of_date: _date,
    converters.of_string: _string,
    converters.of_quantity: _quantity,
}


_CELLS: dict[Any, Any] = {
    converters.of_concept: _concept_cells,
    converters.of_string: _string_cells,
    converters.of_date: _date_cells,
    converters.of_quantity: _quantity_cells,
}


@dataclass
class _Place:
    """What is done with the values of one JSON key.

    `direct`: for each value; `rest`: the slower way; `children`: by the keys within a value;
    `composites`: of the whole resource.
    """

    direct: list[tuple[Emit, Any]]
    rest: list[Action]
    children: dict[str, _Place]
    composites: DirectComposites


@cache
def _place_of(resource_type: str) -> _Place:
    return _place(value_tree(resource_type))


def _place(node: Node) -> _Place:
    by_converter: dict[Any, list[str]] = {}
    of_any: list[str] = []
    of_type: dict[str, list[str]] = {}
    rest = []
    composites = DirectComposites(_CELLS)
    for action in node.actions:
        if isinstance(action.convert, CompositeOf):
            if not composites.add(action.param, action.convert):
                rest.append(action)
            continue
        kind = _required_type(action) if action.convert is converters.of_reference else None
        if kind is not None:
            of_type.setdefault(kind, []).append(action.param)
        elif action.rest:
            rest.append(action)
        elif action.convert is converters.of_reference:
            of_any.append(action.param)
        elif action.convert in _EMIT or isinstance(action.convert, BoundCode):
            by_converter.setdefault(action.convert, []).append(action.param)
        else:
            rest.append(action)
    direct: list[tuple[Emit, Any]] = []
    for convert, params in by_converter.items():
        bound = isinstance(convert, BoundCode)
        direct.append((_bound_code(convert.binding) if bound else _EMIT[convert], _named(params)))
    if of_any or of_type:
        typed = tuple((kind, _named(params)) for kind, params in of_type.items())
        direct.append((_reference, _References(_named(of_any), typed)))
    children = {key: _place(child) for key, child in node.children.items()}
    return _Place(direct, rest, children, composites)


def _required_type(action: Action) -> str | None:
    """The type in `where(resolve() is Type)`, when that is all that follows the keys."""
    if len(action.rest) != 1 or not isinstance(action.rest[0], Where):
        return None
    criterion = action.rest[0].criterion
    if not isinstance(criterion, Evaluator) or len(criterion.branches) != 1:
        return None
    steps = criterion.branches[0].steps
    if len(steps) != 1 or not isinstance(steps[0], Computed):
        return None
    computed = steps[0]
    itself = computed.branches == (Branch((), "Reference"),)
    return computed.function.type if itself and isinstance(computed.function, Refers) else None


class DirectRows:
    """Gives the index rows of resources, with the numbers of texts of one lake."""

    def __init__(self, intern: Intern) -> None:
        self.intern = intern
        self._numbers: dict[str, _Numbers] = {}
        # The parameters in use, and the places of those types that have others than R4's own.
        self._known: tuple[ParamSet, dict[str, _Place]] = R4, {}

    def use(self, params: ParamSet) -> None:
        """From now on index these parameters."""
        self._known = params, {kind: _place(params.tree(kind)) for kind in params.types}

    def of(self, resource: dict[str, Any]) -> tuple[Rows, str | None]:
        """The rows of a resource of a known type, and the patient whose record it belongs to.

        The patient is the first one of `schemas.compartments.patient_ids`.
        """
        kind = resource["resourceType"]
        numbers = self._numbers.get(kind)
        if numbers is None:
            numbers = self._numbers[kind] = _Numbers(kind, self.intern)
        found = _Found(numbers, self.intern)
        place = self._known[1].get(kind) or _place_of(kind)
        values: list[IndexValue] = []
        _walk(place, resource, found, values)
        if place.composites.sites:
            place.composites.find(resource, found)
        if place.rest:
            _act(place.rest, [resource], values)
        if values:
            found.add_values(kind, values)
        rows = {of_kind: list(distinct) for of_kind, distinct in found.rows.items() if distinct}
        return rows, _owner(resource, kind, found.patients)


def _walk(place: _Place, item: dict[str, Any], found: _Found, values: list[IndexValue]) -> None:
    children = place.children
    for key, value in item.items():
        child = children.get(key)
        if child is None:
            continue
        items = value if type(value) is list else (value,)
        for emit, wanted in child.direct:
            for one in items:
                emit(one, wanted, found)
        if child.rest:
            _act(child.rest, list(items), values)
        if child.children:
            for one in items:
                if type(one) is dict:
                    _walk(child, one, found, values)


def _act(actions: list[Action], items: list[Any], values: list[IndexValue]) -> None:
    items = [item for item in items if item is not None]
    for action in actions:
        reached = items
        for step in action.rest:
            reached = step(reached)
        for one in reached:
            action.convert(action.param, one, values)


def _owner(resource: dict[str, Any], kind: str, patients: dict[str, str]) -> str | None:
    if kind == "Patient" and isinstance(resource.get("id"), str):
        return str(resource["id"])
    for param in PATIENT_PARAMS.get(kind, ()):
        if param in patients:
            return patients[param]
    return None
