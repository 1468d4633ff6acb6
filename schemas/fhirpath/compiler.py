"""From the syntax tree to closures.

Each expression becomes one function `(run, focus) -> items`: `focus` is what a path without a
beginning starts from. No function changes a list that it was given.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from schemas.fhirpath import arithmetic
from schemas.fhirpath.equality import (
    distinct,
    equal,
    equal_items,
    equivalent_items,
    identity,
    order,
)
from schemas.fhirpath.errors import FhirPathError
from schemas.fhirpath.functions import FUNCTIONS, Function
from schemas.fhirpath.nodes import Node, Slot, add_slot, holder_of, resource_node, slots_of
from schemas.fhirpath.quantities import Quantity
from schemas.fhirpath.run import MAX_STEPS, Run, Step, checked
from schemas.fhirpath.syntax import (
    Binary,
    Call,
    Empty,
    Expr,
    Index,
    Literal,
    Member,
    Ordered,
    Special,
    Typed,
    Unary,
    Variable,
    parts,
)
from schemas.fhirpath.types import TypeInfo, TypeTest, supertypes
from schemas.fhirpath.values import Items, boolean, integer, system_value
from schemas.structure import suggestion

_ARITHMETIC = frozenset({"+", "-", "*", "/", "div", "mod", "&"})
_TYPE_FUNCTIONS = frozenset({"is", "as", "ofType"})
_VALUE_SETS = "http://hl7.org/fhir/ValueSet/"
_EXTENSIONS = "http://hl7.org/fhir/StructureDefinition/"
_CONSTANTS = {
    "ucum": "http://unitsofmeasure.org",
    "sct": "http://snomed.info/sct",
    "loinc": "http://loinc.org",
}
TRUE: Items = [True]
FALSE: Items = [False]
NONE: Items = []


def compile_step(node: Expr) -> Step:
    """The function of an expression. Raises FhirPathError (semantic) for an unknown function or
    type, or a wrong number of arguments."""
    if isinstance(node, Literal):
        constant: Items = [node.value]
        return lambda run, focus: constant
    if isinstance(node, Empty):
        return lambda run, focus: NONE
    if isinstance(node, Member):
        return _member(node)
    if isinstance(node, Call):
        return _call(node)
    if isinstance(node, Binary):
        return _binary(node)
    if isinstance(node, Index):
        return _index(node)
    if isinstance(node, Typed):
        return _typed(node.operator, compile_step(node.of), node.type)
    if isinstance(node, Unary):
        operand, operator = compile_step(node.operand), node.operator
        return lambda run, focus: arithmetic.signed(operator, operand(run, focus))
    if isinstance(node, Special):
        return _special(node.name)
    if isinstance(node, Variable):
        return _variable(node.name)
    raise FhirPathError("asc and desc belong in the arguments of sort().", "semantic")


def _member(node: Member) -> Step:
    name = node.name
    known: dict[str, tuple[Slot, ...]] = {}
    primitive_value = name == "value"

    def follow(items: Items) -> Items:
        out: Items = []
        for item in items:
            if type(item) is Node:
                kind = item.type
                slots = known.get(kind)
                if slots is None:
                    slots = known[kind] = slots_of(kind).get(name, ())
                if slots:
                    holder = holder_of(item)
                    if holder is not None:
                        for slot in slots:
                            add_slot(out, item, holder, slot)
                elif primitive_value and type(item.value) is not dict and item.value is not None:
                    out.append(system_value(item))
            elif isinstance(item, (Quantity, TypeInfo)) and name in (
                ("value", "unit") if isinstance(item, Quantity) else ("namespace", "name")
            ):
                out.append(getattr(item, name))
        return out

    if node.of is not None:
        of = compile_step(node.of)
        return lambda run, focus: follow(of(run, focus))
    if not name[0].isupper():
        return lambda run, focus: follow(focus)

    def begin(run: Run, focus: Items) -> Items:
        # A type's name at the beginning of a path stands for the context, if it is of that type.
        if len(focus) == 1:
            item = focus[0]
            if type(item) is Node and name in supertypes(item.type):
                return focus
        return follow(focus)

    return begin


def _index(node: Index) -> Step:
    of, at = compile_step(node.of), compile_step(node.at)

    def nth(run: Run, focus: Items) -> Items:
        items = of(run, focus)
        n = integer(at(run, focus), "An index")
        return NONE if n is None or not 0 <= n < len(items) else [items[n]]

    return nth


def _typed(operator: str, of: Step, specifier: str) -> Step:
    test = TypeTest(specifier)
    if operator == "is":

        def is_of(run: Run, focus: Items) -> Items:
            items = of(run, focus)
            if not items:
                return NONE
            if len(items) > 1:
                raise FhirPathError(f"is takes one item, not {len(items)}.")
            return TRUE if test.is_(items[0]) else FALSE

        return is_of
    if operator == "ofType":
        return lambda run, focus: [item for item in of(run, focus) if test.as_(item)]

    def as_of(run: Run, focus: Items) -> Items:
        items = of(run, focus)
        if len(items) > 1:
            raise FhirPathError(f"as takes one item, not {len(items)}.")
        return items if items and test.as_(items[0]) else NONE

    return as_of


def _special(name: str) -> Step:
    if name == "this":
        return lambda run, focus: run.this
    if name == "total":
        return lambda run, focus: run.total
    return lambda run, focus: NONE if run.index is None else [run.index]


def _variable(name: str) -> Step:
    def value(run: Run, focus: Items) -> Items:
        if name in run.variables:
            return _items(run.variables[name])
        if name == "context":
            return NONE if run.context is None else [run.context]
        if name == "resource":
            return NONE if run.resource is None else [run.resource]
        if name == "rootResource":
            return NONE if run.root is None else [run.root]
        raise FhirPathError(f"There is no variable %{name[:64]}.", "semantic")

    if name in _CONSTANTS:
        constant: Items = [_CONSTANTS[name]]
    elif name.startswith("vs-"):
        constant = [_VALUE_SETS + name[3:]]
    elif name.startswith("ext-"):
        constant = [_EXTENSIONS + name[4:]]
    else:
        return value
    return lambda run, focus: constant


def _items(value: Any) -> Items:
    if isinstance(value, (list, tuple)):
        return [one for member in value for one in _items(member)]
    if value is None:
        return NONE
    if isinstance(value, dict):
        return [resource_node(value)]
    return [value]


def _binary(node: Binary) -> Step:
    operator = node.operator
    left, right = _scoped(node.left), _scoped(node.right)
    if operator in _ARITHMETIC:
        compute = arithmetic.binary
        return lambda run, focus: compute(operator, left(run, focus), right(run, focus))
    if operator == "|":

        def union(run: Run, focus: Items) -> Items:
            both = [*left(run, focus), *right(run, focus)]
            run.spend(len(both))
            return checked(distinct(both))

        return union
    if operator in ("and", "or", "xor", "implies"):
        return _logical(operator, left, right)
    if operator in ("=", "!=", "~", "!~"):
        test = equal_items if operator in ("=", "!=") else equivalent_items
        wanted, other = (FALSE, TRUE) if operator[0] == "!" else (TRUE, FALSE)

        def same(run: Run, focus: Items) -> Items:
            a, b = left(run, focus), right(run, focus)
            if len(a) > 16:
                run.spend(len(a))
            found = test(a, b)
            return NONE if found is None else wanted if found else other

        return same
    if operator in ("in", "contains"):
        return _membership(operator, left, right)
    return _comparison(operator, left, right)


def _logical(operator: str, left: Step, right: Step) -> Step:
    if operator == "and":

        def both(run: Run, focus: Items) -> Items:
            a = boolean(left(run, focus))
            if a is False:
                return FALSE
            b = boolean(right(run, focus))
            return FALSE if b is False else NONE if a is None or b is None else TRUE

        return both
    if operator == "or":

        def either(run: Run, focus: Items) -> Items:
            a = boolean(left(run, focus))
            if a:
                return TRUE
            b = boolean(right(run, focus))
            return TRUE if b else NONE if a is None or b is None else FALSE

        return either
    if operator == "xor":

        def one(run: Run, focus: Items) -> Items:
            a, b = boolean(left(run, focus)), boolean(right(run, focus))
            return NONE if a is None or b is None else TRUE if a != b else FALSE

        return one

    def implied(run: Run, focus: Items) -> Items:
        a = boolean(left(run, focus))
        if a is False:
            return TRUE
        b = boolean(right(run, focus))
        if b:
            return TRUE
        return NONE if a is None or b is None else FALSE

    return implied


def _membership(operator: str, left: Step, right: Step) -> Step:
    one, many = (left, right) if operator == "in" else (right, left)

    def member(run: Run, focus: Items) -> Items:
        item, items = one(run, focus), many(run, focus)
        if not item:
            return NONE
        if len(item) > 1:
            raise FhirPathError(f"{operator!r} takes one item, not {len(item)}.")
        if not items:
            return FALSE
        if len(items) > 8:
            wanted = identity(item[0])
            return TRUE if any(identity(other) == wanted for other in items) else FALSE
        return TRUE if any(equal(item[0], other) for other in items) else FALSE

    return member


_COMPARED: dict[str, Callable[[int], bool]] = {
    "<": lambda found: found < 0,
    "<=": lambda found: found <= 0,
    ">": lambda found: found > 0,
    ">=": lambda found: found >= 0,
}


def _comparison(operator: str, left: Step, right: Step) -> Step:
    holds = _COMPARED[operator]

    def compared(run: Run, focus: Items) -> Items:
        a, b = left(run, focus), right(run, focus)
        if not a or not b:
            return NONE
        if len(a) > 1 or len(b) > 1:
            raise FhirPathError(f"{operator!r} takes one item on either side.")
        found = order(a[0], b[0], operator)
        return NONE if found is None else TRUE if holds(found) else FALSE

    return compared


def _call(node: Call) -> Step:
    name = node.name
    source = compile_step(node.of) if node.of is not None else None
    if name in _TYPE_FUNCTIONS:
        if len(node.arguments) != 1:
            raise FhirPathError(f"{name}() takes a type.", "semantic")
        specifier = _specifier(node.arguments[0], name)
        return _typed(name, source or (lambda run, focus: focus), specifier)
    function = FUNCTIONS.get(name)
    if function is None:
        near = suggestion(name, FUNCTIONS)
        raise FhirPathError(f"FHIRPath has no function {name[:64]}().{near}", "semantic")
    if not function.least <= len(node.arguments) <= function.most:
        raise FhirPathError(
            f"{name}() takes {function.least} to {function.most} arguments, "
            f"not {len(node.arguments)}.",
            "semantic",
        )
    return _applied(function, source, node)


def _applied(function: Function, source: Step | None, node: Call) -> Step:
    apply = function.apply
    if function.sorts:
        keys = [_sort_key(argument) for argument in node.arguments]
        arguments: tuple[Any, ...] = tuple(keys)
    else:
        arguments = tuple(_scoped(argument) for argument in node.arguments)

    def call(run: Run, focus: Items) -> Items:
        items = focus if source is None else source(run, focus)
        run.steps += 1 + (len(items) >> 4)
        if run.steps > MAX_STEPS:
            run.spend(0)
        return apply(run, items, focus, *arguments)

    return call


def _sort_key(argument: Expr) -> tuple[Step, bool, bool]:
    """The key, whether it is descending, and whether empty keys come first."""
    if isinstance(argument, Ordered):
        return compile_step(argument.key), argument.descending, not argument.descending
    if isinstance(argument, Unary) and argument.operator == "-":
        return compile_step(argument.operand), True, True
    return compile_step(argument), False, True


def _scoped(node: Expr) -> Step:
    """As `compile_step`; what `defineVariable` defines inside is unknown outside."""
    step = compile_step(node)
    if not _defines(node):
        return step

    def scoped(run: Run, focus: Items) -> Items:
        outer = run.variables
        try:
            return step(run, focus)
        finally:
            run.variables = outer

    return scoped


def _defines(node: Expr) -> bool:
    if isinstance(node, Call) and node.name == "defineVariable":
        return True
    return any(_defines(part) for part in parts(node))


def _specifier(node: Expr, function: str) -> str:
    if isinstance(node, Member):
        if node.of is None:
            return node.name
        return f"{_specifier(node.of, function)}.{node.name}"
    raise FhirPathError(f"{function}() takes the name of a type.", "semantic")
