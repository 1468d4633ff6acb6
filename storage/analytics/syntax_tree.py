"""Walking through a statement's syntax tree, as DuckDB's json_serialize_sql gives it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def nodes(value: object) -> Iterator[dict[str, Any]]:
    """Every node below (and with) a part of the tree."""
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            yield item
            stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)


def strings(value: object) -> Iterator[str]:
    """Every text below a part of the tree: names, and constants."""
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)
        elif isinstance(item, str):
            yield item
