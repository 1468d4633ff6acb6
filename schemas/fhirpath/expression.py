"""Compiling an expression once, and evaluating it on many elements."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from schemas.fhirpath.compiler import compile_step
from schemas.fhirpath.errors import FhirPathError
from schemas.fhirpath.grammar import parse
from schemas.fhirpath.nodes import Node, resource_node
from schemas.fhirpath.run import NOTHING, Environment, Run
from schemas.fhirpath.values import Items, boolean, plain
from schemas.structure import RESOURCE_TYPES


class Expression:
    """A compiled expression. It keeps no state: threads may share it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tree = parse(text)
        self.step = compile_step(self.tree)

    def __repr__(self) -> str:
        return f"Expression({self.text!r})"

    def items(
        self,
        node: Any,
        *,
        type_name: str | None = None,
        resource: Any = None,
        root: Any = None,
        variables: Mapping[str, Any] | None = None,
        environment: Environment | None = None,
    ) -> Items:
        """The result as it is inside: `Node`s with type and place for elements, System values else.

        `node` is a resource (a dict with `resourceType`), an element of `type_name`, a `Node`, or
        None for an expression that needs nothing to start from; `resource` is `%resource` (by
        default the one that a node is in), `root` is `%rootResource` (by default the same, or what
        contains it), which a `#id` is looked up in; `variables` by name without `%`. Raises
        FhirPathError.
        """
        context = _node(node, type_name)
        within = _resource(resource)
        if within is None and isinstance(context, Node):
            within = _owner(context)
        outermost = _resource(root)
        run = Run(
            context,
            within,
            outermost if outermost is not None else _container(within),
            variables or {},
            environment or NOTHING,
        )
        try:
            return self.step(run, run.this)
        except RecursionError:
            raise FhirPathError("The expression is nested too deeply.", "limit") from None
        except ArithmeticError:
            raise FhirPathError("A number is too large, or has too many digits.") from None

    def evaluate(
        self,
        node: Any,
        *,
        type_name: str | None = None,
        resource: Any = None,
        root: Any = None,
        variables: Mapping[str, Any] | None = None,
        environment: Environment | None = None,
    ) -> list[Any]:
        """The result as ordinary values: dicts for complex elements, the JSON value of primitives
        (their `_` object where they have no value), text for dates. Arguments as of `items`."""
        found = self.items(
            node,
            type_name=type_name,
            resource=resource,
            root=root,
            variables=variables,
            environment=environment,
        )
        return [plain(item) for item in found]

    def holds(
        self,
        node: Any,
        *,
        type_name: str | None = None,
        resource: Any = None,
        root: Any = None,
        variables: Mapping[str, Any] | None = None,
        environment: Environment | None = None,
    ) -> bool:
        """Whether the expression is true as an invariant: a result that is empty counts as true
        (what cannot be told breaks no rule), one that is no boolean does, too.

        Raises FhirPathError for several items. Arguments as of `items`.
        """
        found = self.items(
            node,
            type_name=type_name,
            resource=resource,
            root=root,
            variables=variables,
            environment=environment,
        )
        return boolean(found) is not False


def _node(value: Any, type_name: str | None) -> Any:
    if isinstance(value, Node):
        return value
    if type_name is not None:
        return Node(value, type_name)
    return resource_node(value) if isinstance(value, dict) else value


def _owner(node: Node | None) -> Node | None:
    """The resource that an element is in, the node itself included."""
    while node is not None and not (node.type in RESOURCE_TYPES or node.type == "Resource"):
        node = node.parent
    return node


def _container(resource: Node | None) -> Node | None:
    """The resource that a contained one is in; any other is its own."""
    if resource is not None and resource.key == "contained":
        return _owner(resource.parent)
    return resource


def _resource(value: Any) -> Node | None:
    return value if value is None or isinstance(value, Node) else resource_node(value)


# Longer ones are compiled each time: clients send expressions, and what is kept has to be bounded.
MAX_KEPT_CHARACTERS = 1_000


def compile_expression(text: str) -> Expression:
    """The expression, compiled once and kept. Raises FhirPathError of kind `syntax`, `semantic`
    (an unknown function or type) or `limit`."""
    return _kept(text) if len(text) <= MAX_KEPT_CHARACTERS else Expression(text)


@lru_cache(maxsize=1024)
def _kept(text: str) -> Expression:
    return Expression(text)
