"""What a SQL text is and which views and columns it reads, told by DuckDB's own parser.

The syntax tree (`json_serialize_sql`) answers three questions before anything is decrypted: is it
one read-only statement, which tables does it name, which column names can it possibly mean.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

import duckdb

from schemas.outcomes import FhirError, error
from storage.analytics import syntax_tree
from storage.analytics.passed_bodies import passes_bodies
from storage.analytics.sql_errors import without_values

# EXPLAIN cannot be serialised, so it is taken off and what it explains is looked at.
# Atomic groups: a thousand comments must not be tried in every combination.
_EXPLAIN = re.compile(
    r"(?is)\A(?>\s+|--[^\n]*\n|/\*(?>.*?\*/))*+explain\s+(?:analyze\s+|\([^)]*\)\s*)?"
)

# Table functions that compute from their arguments or describe the catalog. All others (readers
# of files, attached databases, Arrow pointers, settings) are refused by name, before DuckDB's
# own refusal of file access.
_TABLE_FUNCTIONS = frozenset({
    "unnest", "range", "generate_series", "json_each", "json_tree", "repeat", "repeat_row",
    "summary", "duckdb_columns", "duckdb_functions", "duckdb_tables", "duckdb_types",
    "duckdb_views", "pragma_table_info", "pragma_version",
})  # fmt: skip

# Query nodes that only read; a common table expression may also hold INSERT_QUERY_NODE and such.
_READING = frozenset({"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"})

_NOT_ITS_STARS = ("from_table", "cte_map", "type")
_RELATIONS = ("BASE_TABLE", "SUBQUERY", "JOIN", "PIVOT", "TABLE_FUNCTION", "EXPRESSION_LIST")

# Relations that views are built from; they hold superseded and deleted versions too.
INTERNAL = "__lake_"

_ONLY_SELECT = (
    "only one SELECT, WITH, FROM, VALUES, DESCRIBE, SHOW, SUMMARIZE or EXPLAIN statement can be "
    "run: the lake is changed through the FHIR API alone"
)


@dataclass(frozen=True)
class Statement:
    """One read-only statement.

    `tables` holds table names in lower case (names of common table expressions included, which
    does no harm), `names` every identifier or string of the statement in lower case: a superset
    of the columns it can mean by name. `whole` has the tables of which it can mean columns that it
    does not name (`*`, `COLUMNS(...)`, a natural join, a row by its table's name).
    `passes_bodies` is set where bodies go into the answer and nowhere else.
    `lists_relations` is set where it reads the catalog (`SHOW TABLES`, `information_schema`).
    """

    text: str
    tables: frozenset[str]
    names: frozenset[str]
    whole: frozenset[str]
    passes_bodies: bool
    lists_relations: bool


def inspect(connection: duckdb.DuckDBPyConnection, query: str) -> Statement:
    """Parse `query`.

    Raises FhirError `invalid` for a syntax error and `not-supported` for anything but one
    read-only statement, or for a table function that reads from outside the lake.
    """
    explained = _EXPLAIN.match(query)
    body = query[explained.end() :] if explained else query
    # fetchall, not fetchone: DuckDB does no other work on a cursor with an unfinished result.
    ((serialised,),) = connection.execute(
        "SELECT json_serialize_sql(?::VARCHAR)", [body]
    ).fetchall()
    try:
        tree = json.loads(serialised)
    except RecursionError:
        raise error("invalid", "the SQL is nested too deeply; name the parts in a WITH") from None
    if tree["error"]:
        raise _refusal(tree)
    if len(tree["statements"]) != 1:
        sent = len(tree["statements"])
        raise error("not-supported", f"{sent} statements were sent; {_ONLY_SELECT}")
    nodes = list(syntax_tree.nodes(tree["statements"]))
    kinds = {str(node.get("type")) for node in nodes}
    if any(kind.endswith("_NODE") and kind not in _READING for kind in kinds):
        raise error("not-supported", _ONLY_SELECT)
    _check_functions(nodes)
    tables = {
        node["table_name"].lower()
        for node in nodes
        if node.get("type") in ("BASE_TABLE", "SHOW_REF") and node.get("table_name")
    }
    if any(table.startswith(INTERNAL) for table in tables):
        raise error("invalid", f"names that begin with {INTERNAL} are the lake's own")
    return Statement(
        text=query,
        tables=frozenset(tables),
        names=frozenset(text.lower() for text in syntax_tree.strings(tree["statements"])),
        whole=_whole(nodes, tables),
        passes_bodies=explained is None
        and passes_bodies(tree["statements"][0]["node"], frozenset(_relations(nodes) | tables)),
        lists_relations=any(_reads_catalog(node) for node in nodes),
    )


def _refusal(tree: dict[str, Any]) -> FhirError:
    if tree.get("error_type") == "not implemented" and "SELECT" in tree.get("error_message", ""):
        return error("not-supported", _ONLY_SELECT)
    return error("invalid", f"the SQL cannot be parsed: {without_values(tree['error_message'])}")


def _check_functions(nodes: list[dict[str, Any]]) -> None:
    for node in nodes:
        if node.get("type") != "TABLE_FUNCTION":
            continue
        name = str(node["function"].get("function_name", "")).lower()
        if name not in _TABLE_FUNCTIONS:
            raise error(
                "not-supported",
                f"the table function {name}() is not available: a query reads the views of this "
                "lake and nothing else",
            )


def _reads_catalog(node: dict[str, Any]) -> bool:
    match node.get("type"):
        case "SHOW_REF":
            return node.get("show_type") == "SHOW_SPECIAL"
        case "TABLE_FUNCTION":
            return str(node["function"]["function_name"]).lower().startswith("duckdb_")
        case "BASE_TABLE":
            return node.get("schema_name") in ("information_schema", "pg_catalog")
    return False


def _whole(nodes: list[dict[str, Any]], tables: set[str]) -> frozenset[str]:
    # `SELECT o FROM observation o` is the whole row as a struct. A column that happens to be
    # spelt like a relation costs the shortcut, never the answer.
    relations = tables | _relations(nodes)
    found: set[str] = set()
    for node in nodes:
        kind = node.get("type")
        if kind == "SHOW_REF" or node.get("ref_type") == "NATURAL":
            return frozenset(tables)
        if kind == "COLUMN_REF" and _only_name(node) in relations:
            return frozenset(tables)
        if kind == "SELECT_NODE" and (stars := _stars(node)):
            joined, known = _joined(node.get("from_table"))
            if not all(relation in known for relation in stars if relation):
                return frozenset(tables)  # `o.*` of an outer query's relation
            found |= joined
    return frozenset(found)


def _relations(nodes: list[dict[str, Any]]) -> set[str]:
    """The aliases of relations."""
    return {
        str(node["alias"]).lower()
        for node in nodes
        if node.get("type") in _RELATIONS and node.get("alias")
    }


def _only_name(column: dict[str, Any]) -> str | None:
    """The name of a column that is written without its relation."""
    names = column["column_names"]
    return str(names[0]).lower() if len(names) == 1 else None


def _stars(select: dict[str, Any]) -> list[str]:
    """The relation of each `*` of this SELECT itself ("" for a bare one), not of those inside."""
    found = []
    stack: list[Any] = [value for key, value in select.items() if key not in _NOT_ITS_STARS]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            if item.get("type") == "STAR":
                found.append(str(item.get("relation_name") or "").lower())
            if item.get("type") not in _READING:
                stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)
    return found


def _joined(source: Any) -> tuple[set[str], set[str]]:
    """The tables that a FROM clause joins (not those of its subqueries), and all its names."""
    tables: set[str] = set()
    known: set[str] = set()
    stack: list[Any] = [source]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            if item.get("type") in _RELATIONS:
                known.add(str(item.get("alias") or "").lower())
            if item.get("type") == "BASE_TABLE":
                tables.add(str(item["table_name"]).lower())
            elif item.get("type") not in _READING:
                stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)
    return tables, known | tables
