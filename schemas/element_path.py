"""FHIRPath, the part that R4's search parameters and our views use, compiled against R4's types.

An expression becomes branches: the JSON keys to follow (a choice such as `value` is one branch for
each of its types), with filters between them, and the FHIR type found at the end. Knowing the type
beforehand is what lets search and views read a resource without looking twice.

A path over a choice (`component.value`) finds its values type by type, not in document order.

Supported: paths, `[n]`, `|`, `and or = != < <= > >= & + - * /`, `is`, `as`, `ofType`, `where`,
`exists`, `empty`, `not`, `first`, `last`, `count`, `extension(url)`, `hasExtension(url)`, `select`,
`join`, `iif`, and `resolve() is Type`, answered from the reference's text.
http://hl7.org/fhirpath/N1/
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from schemas import path_functions as run
from schemas.path_syntax import Binary, Call, Index, Literal, Member, Node, This, Typed, parse_path
from schemas.structure import PRIMITIVE_TYPES, RESOURCE_TYPES, TYPES

Items = list[Any]
Step = Callable[[Items], Items]


@dataclass(frozen=True)
class Key:
    """Follows one JSON key."""

    name: str

    def __call__(self, items: Items) -> Items:
        name, out = self.name, []
        for item in items:
            if type(item) is dict:
                value = item.get(name)
                if type(value) is list:
                    out += value if None not in value else [v for v in value if v is not None]
                elif value is not None:
                    out.append(value)
        return out


@dataclass(frozen=True)
class Branch:
    """Steps from the start, and the FHIR type of what they find."""

    steps: tuple[Step, ...]
    type: str

    def __call__(self, items: Items) -> Items:
        for step in self.steps:
            items = step(items)
            if not items:
                break
        return items

    def then(self, step: Step, kind: str) -> Branch:
        """This branch, one step longer."""
        return Branch((*self.steps, step), kind)


_SUBTYPES = {
    "Quantity": {"Age", "Count", "Distance", "Duration", "Quantity"},
    "string": {"string", "code", "id", "markdown"},
    "uri": {"uri", "url", "canonical", "oid", "uuid"},
    "integer": {"integer", "positiveInt", "unsignedInt"},
    "Resource": RESOURCE_TYPES,
    "DomainResource": RESOURCE_TYPES - {"Bundle", "Binary", "Parameters"},
}
_FUNCTIONS = frozenset(
    {"where", "select", "iif", "first", "last", "extension", "join", *run.AGGREGATES}
)


def compile_path(
    expression: str, type_name: str | None = None
) -> Callable[[dict[str, Any]], Items]:
    """A function from a resource (or an element of `type_name`) to the values at the path.

    Without `type_name` the resource's own `resourceType` decides. Arrays are flattened, nulls left
    out; the function never raises. Raises ValueError for an expression outside the subset, or one
    that names an element the type does not have.
    """
    node = parse_path(expression)
    if type_name is not None:
        return evaluator(_expand(node, Branch((), type_name), expression))
    _check_functions(node, expression)
    by_type: dict[str, Callable[[dict[str, Any]], Items]] = {}

    def evaluate(resource: dict[str, Any]) -> Items:
        kind = resource.get("resourceType")
        if not isinstance(kind, str) or kind not in RESOURCE_TYPES:
            return []
        if kind not in by_type:
            by_type[kind] = evaluator(_expand(node, Branch((), kind), expression))
        return by_type[kind](resource)

    return evaluate


def branches(expression: str, type_name: str) -> list[Branch]:
    """The branches of an expression for a type. Raises ValueError as `compile_path` does."""
    return _expand(parse_path(expression), Branch((), type_name), expression)


def root_keys(found: Sequence[Branch]) -> frozenset[str] | None:
    """JSON keys of the start without all of which the branches find nothing; None if unknown."""
    keys: set[str] = set()
    for branch in found:
        first = branch.steps[0] if branch.steps else None
        if isinstance(first, Key):
            keys.add(first.name)
        elif isinstance(first, run.Computed) and first.function in (run.FIRST, run.LAST):
            inner = root_keys([b for b in first.branches if isinstance(b, Branch)])
            if inner is None:
                return None
            keys |= inner
        else:
            return None
    return frozenset(keys)


@dataclass(frozen=True)
class Evaluator:
    """Follows all branches from one item, in order."""

    branches: tuple[Branch, ...]

    def __call__(self, item: Any) -> Items:
        out: Items = []
        for branch in self.branches:
            out += branch([item])
        return out


def evaluator(found: Sequence[Branch]) -> Evaluator:
    """One function that follows all branches, in order."""
    return Evaluator(tuple(found))


def _expand(node: Node, root: Branch, text: str) -> list[Branch]:
    if isinstance(node, This):
        return [root]
    if isinstance(node, Literal):
        value = node.value
        kind = "boolean" if isinstance(value, bool) else "string"
        if not isinstance(value, (bool, str)):
            kind = "decimal"
        return [root.then(run.Constant(value), kind)]
    if isinstance(node, Member):
        return _member(node, root, text)
    if isinstance(node, Index):
        return _nth(_expand(node.of, root, text), node.n)
    if isinstance(node, Typed):
        return _typed(node, root, text)
    if isinstance(node, Call):
        return _call(node, root, text)
    if node.operator == "|":
        return [*_expand(node.left, root, text), *_expand(node.right, root, text)]
    return _operation(node, root, text)


def _member(node: Member, root: Branch, text: str) -> list[Branch]:
    if isinstance(node.of, This) and node.name[0].isupper() and node.name in TYPES:
        # A type's name at the start: the context itself when it is of that type, else nothing.
        return [root] if node.name in (root.type, "Resource", "DomainResource") else []
    starts = _expand(node.of, root, text)
    found, lacking = [], None
    for branch in starts:
        table = TYPES.get(branch.type)
        element = table.elements.get(node.name) if table is not None else None
        if element is not None:
            found += [branch.then(Key(key), kind) for key, kind in element.json_names.items()]
        elif table is not None and node.name in table.json_names:
            # `valueDateTime` for `value as dateTime`, as some profiles have it.
            found.append(branch.then(Key(node.name), table.json_names[node.name][1]))
        else:
            lacking = branch.type
    # Of a choice, one type may have what another has not.
    if lacking is not None and not found:
        raise ValueError(f"FHIRPath {text!r}: {lacking} has no element {node.name!r}")
    return found


def _nth(found: list[Branch], n: int) -> list[Branch]:
    if len(found) <= 1:
        return [branch.then(run.Nth(n), branch.type) for branch in found]
    kinds = {branch.type for branch in found}
    merged = run.Computed(tuple(found), run.Nth(n))
    return [Branch((merged,), kinds.pop() if len(kinds) == 1 else "mixed")]


def _typed(node: Typed, root: Branch, text: str) -> list[Branch]:
    if isinstance(node.of, Call) and node.of.function == "resolve" and node.operator == "is":
        return [
            Branch((run.Computed((branch,), run.Refers(node.type)),), "boolean")
            for branch in _expand(node.of.of, root, text)
        ]
    wanted = _SUBTYPES.get(node.type, {node.type})
    kept = []
    for branch in _expand(node.of, root, text):
        if branch.type == "Resource":
            kept.append(branch.then(run.OfResourceType(frozenset(wanted)), node.type))
        elif branch.type in wanted:
            kept.append(branch)
    if node.operator == "is":
        return [Branch((run.Computed(tuple(kept), run.exists),), "boolean")]
    return kept


def _call(node: Call, root: Branch, text: str) -> list[Branch]:
    name, arguments = node.function, node.arguments
    if name not in _FUNCTIONS:
        raise ValueError(f"FHIRPath {text!r}: the function {name}() is not supported")
    found = _expand(node.of, root, text)
    if name == "first":
        return _nth(found, 0)
    if name == "last":
        return _nth(found, -1)
    if name == "where" or (name == "exists" and arguments):
        found = [_filtered(branch, node, text) for branch in found]
        if name == "where":
            return found
    if name == "iif":
        return [found for branch in found for found in _conditional(branch, node, text)]
    if name == "select":
        return [mapped for branch in found for mapped in _mapped(branch, node, text)]
    if name in ("extension", "hasExtension"):
        found = [_extension(branch, _text_argument(node, text)) for branch in found]
        if name == "extension":
            return found
    if name == "join":
        joined = run.Join(_text_argument(node, text) if arguments else "")
        return [Branch((run.Computed(tuple(found), joined),), "string")]
    function, kind = run.AGGREGATES[name]
    return [Branch((run.Computed(tuple(found), function),), kind)]


def _filtered(branch: Branch, node: Call, text: str) -> Branch:
    if len(node.arguments) != 1:
        raise ValueError(f"FHIRPath {text!r}: {node.function}() takes one criterion")
    criterion = evaluator(_expand(node.arguments[0], Branch((), branch.type), text))
    return branch.then(run.Where(criterion), branch.type)


def _mapped(branch: Branch, node: Call, text: str) -> list[Branch]:
    if len(node.arguments) != 1:
        raise ValueError(f"FHIRPath {text!r}: select() takes one projection")
    inner = _expand(node.arguments[0], Branch((), branch.type), text)
    if not inner:
        return []
    kinds = {found.type for found in inner}
    kind = kinds.pop() if len(kinds) == 1 else "mixed"
    return [branch.then(run.Select(evaluator(inner)), kind)]


def _conditional(branch: Branch, node: Call, text: str) -> list[Branch]:
    if len(node.arguments) != 3:
        raise ValueError(f"FHIRPath {text!r}: iif() takes a criterion and two results")
    inner = [_expand(one, Branch((), branch.type), text) for one in node.arguments]
    kinds = {found.type for result in inner[1:] for found in result}
    step = run.Conditional(*(evaluator(result) for result in inner))
    return [branch.then(step, kinds.pop() if len(kinds) == 1 else "mixed")]


def _extension(branch: Branch, url: str) -> Branch:
    """Extensions by URL; those of a primitive are in its `_name` sibling."""
    steps = branch.steps
    last = steps[-1] if steps else None
    if branch.type in PRIMITIVE_TYPES and isinstance(last, Key):
        steps = (*steps[:-1], Key("_" + last.name))
    return Branch((*steps, Key("extension"), run.WithUrl(url)), "Extension")


def _text_argument(node: Call, text: str) -> str:
    if len(node.arguments) != 1 or not isinstance(node.arguments[0], Literal):
        raise ValueError(f"FHIRPath {text!r}: {node.function}() takes one string")
    return str(node.arguments[0].value)


def _operation(node: Binary, root: Branch, text: str) -> list[Branch]:
    relative = Branch((), root.type)
    left = evaluator(_expand(node.left, relative, text))
    right = evaluator(_expand(node.right, relative, text))
    function, kind = run.OPERATORS[node.operator]
    return [root.then(run.Operation(left, right, function), kind)]


def _check_functions(node: Node, text: str) -> None:
    if isinstance(node, Typed) and isinstance(node.of, Call) and node.of.function == "resolve":
        node = node.of.of
    if isinstance(node, Call) and node.function not in _FUNCTIONS:
        raise ValueError(f"FHIRPath {text!r}: the function {node.function}() is not supported")
    if isinstance(node, (Member, Index, Call, Typed)):
        _check_functions(node.of, text)
    if isinstance(node, Call):
        for argument in node.arguments:
            _check_functions(argument, text)
    if isinstance(node, Binary):
        _check_functions(node.left, text)
        _check_functions(node.right, text)
