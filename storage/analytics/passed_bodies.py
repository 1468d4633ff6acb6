"""Whether a statement only hands bodies through, so that those of the answer alone need be read.

`SELECT id, body FROM observation ORDER BY effective LIMIT 50` sorts a million rows and gives fifty
bodies. Such a statement is run with a place in `body`'s stead, which nothing but the answer can
hold, and the bodies at the places of the answer are put in afterwards. It must be plain from the
syntax that no expression can see the column: everything that is not known here says no.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from storage.analytics import syntax_tree

BODY = "body"
_MODIFIERS = ("ORDER_MODIFIER", "LIMIT_MODIFIER", "LIMIT_PERCENT_MODIFIER")
_STAR_PARTS = ("exclude_list", "replace_list", "rename_list", "qualified_exclude_list", "expr")


def passes_bodies(select: dict[str, Any], relations: frozenset[str]) -> bool:
    """Whether the node of a statement projects `body` in its outermost SELECT and nowhere else.

    `relations` has the names and aliases of its tables, in lower case: a column by such a name may
    be the whole row.
    """
    if select.get("type") != "SELECT_NODE" or select.get("aggregate_handling") != (
        "STANDARD_HANDLING"
    ):
        return False
    if select["group_expressions"] or not _plain_sources(select["from_table"]):
        return False
    if not all(modifier["type"] in _MODIFIERS for modifier in select["modifiers"]):
        return False
    items = select["select_list"]
    stars = [item for item in items if item["type"] == "STAR"]
    bodies = [item for item in items if _is_body(item)]
    if not stars and not bodies:
        return False
    if any(star.get("columns") or any(star.get(part) for part in _STAR_PARTS) for star in stars):
        return False
    nodes = list(syntax_tree.nodes(select))
    if sum(node.get("type") == "STAR" for node in nodes) != len(stars):
        return False
    if any(node.get("type") == "POSITIONAL_REFERENCE" for node in nodes):
        return False
    if any(_is_position(order) for order in _orders(select)) or _names_a_row(nodes, relations):
        return False
    # By whatever name the bodies go in the answer, nothing else in the statement has that name.
    named = {BODY, *(item["alias"].lower() for item in bodies)} - {""}
    accounted = sum((item["column_names"][-1].lower() in named) for item in bodies)
    accounted += sum((item["alias"].lower() in named) for item in bodies)
    return sum(text.lower() in named for text in syntax_tree.strings(select)) == accounted


def _is_body(item: dict[str, Any]) -> bool:
    return item["type"] == "COLUMN_REF" and str(item["column_names"][-1]).lower() == BODY


def _plain_sources(source: dict[str, Any]) -> bool:
    """Only tables by their own column names, joined on conditions."""
    if source.get("type") == "BASE_TABLE":
        return not source.get("column_name_alias")
    return (
        source.get("type") == "JOIN"
        and source.get("ref_type") != "NATURAL"
        and _plain_sources(source["left"])
        and _plain_sources(source["right"])
    )


def _orders(select: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for modifier in select["modifiers"]:
        for order in modifier.get("orders", ()):
            yield order["expression"]


def _is_position(expression: dict[str, Any]) -> bool:
    """`ORDER BY 2` sorts by what the second column is; a parameter may be such a number too."""
    return expression.get("class") in ("CONSTANT", "PARAMETER", "STAR")


def _names_a_row(nodes: list[dict[str, Any]], relations: frozenset[str]) -> bool:
    return any(
        node.get("type") == "COLUMN_REF" and str(node["column_names"][-1]).lower() in relations
        for node in nodes
    )
