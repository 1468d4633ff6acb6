"""Values of search parameters whose expression needs the whole of FHIRPath.

`schemas.element_path` follows what R4's own parameters say, and is fast. Expressions that users add
may say more. They are evaluated on one resource alone, without anything that changes with time or
with other resources: what is in the index must be true as long as the version is.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from schemas.element_path import Branch
from schemas.fhirpath import FhirPathError, Node, compile_expression
from schemas.fhirpath.strict import check_strictly
from schemas.fhirpath.syntax import Call, Expr, parts
from schemas.fhirpath.values import plain
from schemas.index_values import IndexValue
from schemas.search_params import SearchParam, expression_branches
from schemas.value_converters import converter, of_type

_MIXED = "mixed"

_ELSEWHERE = frozenset({
    "resolve", "memberOf", "subsumes", "subsumedBy", "conformsTo", "now", "today", "timeOfDay",
    "trace",
})  # fmt: skip


def followed(param: SearchParam) -> tuple[Branch, ...] | None:
    """The branches of a parameter; None when it needs the whole of FHIRPath, or cannot be used."""
    try:
        found = expression_branches(param.expression, param.base)
    except ValueError:
        return None
    if any(branch.type == _MIXED for branch in found):
        return None
    readable = param.kind == "age" or any(converter(param, branch) for branch in found)
    return found if readable else None


def fhirpath_reason(param: SearchParam) -> str | None:
    """Why the expression of a parameter cannot be used, or None when it can."""
    try:
        compiled = compile_expression(param.expression)
        kinds = check_strictly(compiled, param.base)
    except FhirPathError as failure:
        return str(failure).rstrip(".")
    if kinds is not None and not any(of_type(param.type, kind) for kind in kinds):
        return f"nothing that it finds in a {param.base} can be read as a {param.type}"
    used = sorted(_functions(compiled.tree) & _ELSEWHERE)
    if used:
        return f"{used[0]}() depends on more than the resource itself"
    return None


def _functions(node: Expr) -> set[str]:
    found = {node.name} if isinstance(node, Call) else set()
    return found.union(*(_functions(part) for part in parts(node)))


@dataclass(frozen=True)
class FhirPathValues:
    """Converts a resource to the values of a parameter of a type (`token`, `date`, …).

    What cannot be computed in a resource has no value there.
    """

    expression: str
    type: str

    def __call__(self, param: str, resource: Any, out: list[IndexValue]) -> None:
        try:
            found = compile_expression(self.expression).items(resource)
        except FhirPathError:
            return
        for kind, value in map(_typed, found):
            convert = of_type(self.type, kind)
            if convert is not None and value is not None:
                convert(param, value, out)


def _typed(item: Any) -> tuple[str, Any]:
    """FHIR type and JSON value of an item; a System value is of the FHIR type that it is like."""
    if isinstance(item, Node):
        return item.type, item.value
    value = plain(item)
    if isinstance(value, bool):
        return "boolean", value
    if isinstance(value, (int, Decimal)):
        return "decimal", value
    return ("Quantity" if isinstance(value, dict) else "string"), value
