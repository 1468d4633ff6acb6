"""What a request handler works with: the lake, the main path, the settings."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated

from fastapi import Depends, Request

from schemas.outcomes import error
from schemas.structure import RESOURCE_TYPES
from service.bulk_export.exports import Exports
from service.enrich import Enricher
from service.ingest import Ingest
from service.jobs import JobRunner
from service.request_body import fhir_body
from service.request_headers import header
from service.settings import Settings
from storage.lake import Lake


@dataclass(frozen=True)
class Context:
    """The parts of the running service."""

    lake: Lake
    ingest: Ingest
    enricher: Enricher
    settings: Settings
    jobs: JobRunner
    exports: Exports

    def base(self, request: Request) -> str:
        """FHIR base URL for links, without a slash at its end."""
        root = self.settings.base_url.rstrip("/")
        if not root:
            scope = request.scope
            name, port = scope.get("server") or ("localhost", None)
            host = header(scope, b"host")
            root = _root(scope["scheme"], host, name, port, scope.get("root_path", ""))
        return f"{root}/fhir"


@lru_cache(maxsize=256)
def _root(scheme: str, host: str, name: str, port: int | None, root_path: str) -> str:
    """Where the client reached the service: by the `Host` that it sent, if that is one."""
    if _HOST.fullmatch(host) is None:
        host = name if port is None else f"{name}:{port}"
    return f"{scheme}://{host}{root_path}".rstrip("/")


_HOST = re.compile(r"(?:[A-Za-z0-9._-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")


def context(request: Request) -> Context:
    """Dependency: the running service's parts."""
    found: Context = request.app.state.context
    return found


def known_type(resource_type: str) -> str:
    """Dependency: the type in the address. Raises `unknown-type` (404)."""
    if resource_type not in RESOURCE_TYPES:
        raise error("unknown-type", f"{resource_type[:64]!r} is not a resource type of FHIR R4.")
    return resource_type


def writable(request: Request) -> None:
    """Dependency: refuse (403) a change where the service only reads, before anything is read."""
    if not context(request).lake.takes_changes:
        raise error(
            "forbidden",
            "This service only reads (setting `read_only`). Send changes to the service that has "
            "the lake open for writing.",
        )


Ctx = Annotated[Context, Depends(context)]
ResourceType = Annotated[str, Depends(known_type)]
FhirBody = Annotated[bytes, Depends(fhir_body)]
