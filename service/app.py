"""The HTTP application: routes, error answers, authentication, start and stop."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version as package_version
from pathlib import Path

from fastapi import Depends, FastAPI, Request
from starlette.responses import JSONResponse, Response

from service import bulk_changes, erasing, errors, search_indexing
from service.audit_anchor import AuditAnchor
from service.audit_recorder import AuditRecorder, PurposeOfUse
from service.auth import Authentication, load_tokens
from service.context import Context, writable
from service.enrich import Enricher
from service.ingest import Ingest
from service.jobs import JobRunner
from service.representing import Representing
from service.response_headers import ResponseHeaders
from service.settings import Settings, check_exposure
from service.surfaces import FHIR_SURFACES, PLAIN_ROUTERS, PLAIN_WRITING_ROUTERS
from storage.lake import Lake


def create_app(lake: Lake, settings: Settings) -> FastAPI:
    """The service over an open lake; the caller closes the lake after the application stopped.

    Raises `SettingError` when the settings would expose the lake without authentication.
    """
    check_exposure(settings)
    lake.search_limits = settings.search_limits()
    if lake.read_only:
        # Notes are read, and what they say is stored, by the service that writes.
        settings = Settings({**settings.values, "read_only": True, "nlp": False})
    ingest = Ingest.of(lake, settings)
    enricher = Enricher(lake, ingest, settings)
    anchor = AuditAnchor(lake)
    handlers = {
        **erasing.handlers(lake),
        **search_indexing.handlers(lake),
        **bulk_changes.handlers(lake, ingest),
    }
    jobs = JobRunner(lake.jobs, handlers)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        enricher.start()
        anchor.start()
        if not lake.read_only:
            jobs.start()
            search_indexing.follow(lake, jobs)
        yield
        jobs.stop()
        anchor.stop()
        enricher.stop()

    app = FastAPI(
        title="Chartlake",
        version=package_version("chartlake"),
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        default_response_class=JSONResponse,
    )
    app.state.context = Context(lake, ingest, enricher, settings, jobs)
    app.state.settings = settings
    app.state.surfaces = FHIR_SURFACES
    errors.install(app)
    tokens = load_tokens(Path(settings.api_token_file)) if settings.api_token_file else None
    app.add_middleware(PurposeOfUse)
    app.add_middleware(Authentication, tokens=tokens)
    app.add_middleware(Representing)
    app.add_middleware(AuditRecorder, lake=lake, settings=settings)
    app.add_middleware(ResponseHeaders)
    for surface in FHIR_SURFACES:
        dependencies = [Depends(writable)] if surface.writes else []
        app.include_router(surface.router, prefix="/fhir", dependencies=dependencies)
    for router in PLAIN_ROUTERS:
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
