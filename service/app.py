"""The HTTP application: routes, error answers, authentication, start and stop."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from importlib.metadata import version as package_version
from pathlib import Path
from typing import Any

from fastapi import Depends, FastAPI, Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from service import bulk_changes, erasing, errors, search_indexing
from service.allowed_methods import AllowedMethods
from service.audit_anchor import AuditAnchor
from service.audit_recorder import AuditRecorder
from service.auth import Authentication, load_tokens
from service.bulk_export.exports import EXPORT, Exports
from service.compression import Compression
from service.context import Context, writable
from service.cross_origin import CrossOrigin
from service.direct import DirectRoutes
from service.edge import Edge
from service.enrich import Enricher
from service.ingest import Ingest
from service.jobs import JobRunner
from service.openapi import description
from service.overload import Overload
from service.settings import Settings, check_exposure
from service.surfaces import FHIR_SURFACES, PLAIN_ROUTERS, PLAIN_WRITING_ROUTERS
from service.workers.division import Elsewhere
from service.workers.part import Part
from storage.lake import Lake


class Application(FastAPI):
    """The routes behind the edge."""

    edge: Edge

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer at the edge, which passes on to `routed` what has to be routed."""
        scope["app"] = self
        await self.edge(scope, receive, send)

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI description of the routes."""
        return description(self)

    async def routed(self, scope: Scope, receive: Receive, send: Send) -> None:
        """FastAPI itself."""
        await super().__call__(scope, receive, send)


def tokens_of(settings: Settings) -> Mapping[str, str] | None:
    """The tokens that a datastore accepts; None without authentication. Raises `SettingError`."""
    return load_tokens(Path(settings.api_token_file)) if settings.api_token_file else None


def create_app(lake: Lake, settings: Settings, part: Part | None = None) -> Application:
    """The service over an open lake; the caller closes the lake after the application stopped.

    `part`: what the process is of a service of several (`service.workers`); None: all of it.
    Raises `SettingError` when the settings would expose the lake without authentication.
    """
    check_exposure(settings)
    lake.search_limits = settings.search_limits()
    is_front = part is not None and part.front is not None
    if not lake.takes_changes:
        # Notes are read, and what they say is stored, by the service that writes.
        settings = Settings({**settings.values, "read_only": True, "nlp": False})
    elif is_front:
        settings = Settings({**settings.values, "nlp": False})
    ingest = Ingest.of(lake, settings)
    enricher = Enricher(lake, ingest, settings)
    anchor = AuditAnchor(lake)
    exports = Exports(lake, hours=settings.export_hours)
    handlers = {
        **erasing.handlers(lake),
        **search_indexing.handlers(lake),
        **bulk_changes.handlers(lake, ingest),
        EXPORT: exports.handler(),
    }
    jobs = JobRunner(lake.jobs, handlers)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        if is_front:
            # All that goes on by itself does so in the process that writes.
            yield
            return
        enricher.start()
        anchor.start()
        if not lake.read_only:
            jobs.start()
            search_indexing.follow(lake, jobs)
            exports.start()
        yield
        exports.stop()
        jobs.stop()
        anchor.stop()
        enricher.stop()

    app = Application(
        title="Chartlake",
        version=package_version("chartlake"),
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        default_response_class=JSONResponse,
    )
    context = Context(lake, ingest, enricher, settings, jobs, exports)
    app.state.context = context
    app.state.settings = settings
    app.state.surfaces = FHIR_SURFACES
    errors.install(app)
    tokens = tokens_of(settings) if part is None else part.secrets.tokens
    origins = settings.cors_origins.replace(",", " ").split()
    app.edge = Edge(
        app.routed,
        direct=DirectRoutes(context),
        recorder=AuditRecorder(lake=lake, settings=settings),
        authentication=Authentication(tokens=tokens, origins=origins),
        compression=Compression(settings.gzip_min_bytes),
        cross_origin=CrossOrigin(origins),
        overload=Overload(settings.max_concurrent_requests) if part is None else part.overload(),
        elsewhere=Elsewhere(part.writer, lake.takes_changes) if part and part.writer else None,
    )
    allowed = AllowedMethods()
    app.state.allowed_methods = allowed
    for path in ("/", "/openapi.json"):
        allowed.add(path, ["GET"])
    for surface in FHIR_SURFACES:
        allowed.add_router(surface.router, "/fhir")
        dependencies = [Depends(writable)] if surface.writes else []
        app.include_router(surface.router, prefix="/fhir", dependencies=dependencies)
    for router in PLAIN_ROUTERS:
        allowed.add_router(router)
        writing = router in PLAIN_WRITING_ROUTERS
        app.include_router(router, dependencies=[Depends(writable)] if writing else [])

    @app.get("/", summary="where things are")
    def index(request: Request) -> Response:
        base = str(request.base_url).rstrip("/")
        places = {
            "fhir": f"{base}/fhir",
            "metadata": f"{base}/fhir/metadata",
            "openapi": f"{base}/openapi.json",
            "health": f"{base}/healthz",
        }
        return JSONResponse({"name": "Chartlake", "version": app.version, **places})

    return app
