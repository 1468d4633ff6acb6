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
        default the node itself, if it is one), `root` is `%rootResource` (by default the same),
        which a `#id` is looked up in; `variables` by name without `%`. Raises FhirPathError.
        """
        context = _node(node, type_name)
        within = _resource(resource)
        if within is None and isinstance(context, Node):
            within = context
        outermost = _resource(root)
        run = Run(
            context,
            within,
            outermost if outermost is not None else within,
            variables or {},
            environment or NOTHING,
        )
        try:
            return self.step(run, run.this)
        except RecursionError:
            raise FhirPathError("The expression is nested too deeply.", "limit") from None

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


def _resource(value: Any) -> Node | None:
    return value if value is None or isinstance(value, Node) else resource_node(value)


@lru_cache(maxsize=4096)
def compile_expression(text: str) -> Expression:
    """The expression, compiled once and kept. Raises FhirPathError of kind `syntax`, `semantic`
    (an unknown function or type) or `limit`."""
    return Expression(text)
