"""Which methods an address has: for `Allow` of a 405, and the answer to OPTIONS (RFC 9110 10.2.1).

A router knows what one of its routes takes; an address may be that of several.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from fastapi import APIRouter
from fastapi.routing import APIRoute
from starlette.routing import compile_path


class AllowedMethods:
    """The methods of every route of the service."""

    def __init__(self) -> None:
        self._routes: list[tuple[re.Pattern[str], frozenset[str]]] = []

    def add(self, path: str, methods: Iterable[str]) -> None:
        """A route; `path` as it is declared. HEAD goes with GET."""
        found = set(methods)
        if "GET" in found:
            found.add("HEAD")
        pattern, _, _ = compile_path(path)
        self._routes.append((pattern, frozenset(found)))

    def add_router(self, router: APIRouter, prefix: str = "") -> None:
        """All routes of a router."""
        for route in router.routes:
            if isinstance(route, APIRoute):
                self.add(prefix + route.path, route.methods or ())

    def header(self, path: str) -> str:
        """The value of `Allow` for the path of a request, below the root of the service."""
        found = {m for pattern, methods in self._routes if pattern.match(path) for m in methods}
        return ", ".join(sorted(found | {"OPTIONS"}))
