"""`POST /cohorts`: who meets a declarative definition, and how many each criterion left."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from schemas.outcomes import error
from schemas.parse import parse_json
from service.context import Context, Ctx
from service.request_body import media_type, read_limited
from service.responses import JSON

router = APIRouter()

MAX_DEFINITION_BYTES = 4_194_304


@router.post("/cohorts", summary="run a cohort definition")
async def cohorts(
    request: Request, ctx: Ctx, at: Annotated[int | None, Query(ge=0)] = None
) -> Response:
    """Members with their evidence, count and attrition, as of commit `at` (default: now)."""
    kind, _ = media_type(request.headers.get("content-type"))
    if kind != "application/json":
        raise error("unsupported-media", "Send the cohort definition as application/json.")
    definition = parse_json(await read_limited(request, MAX_DEFINITION_BYTES))
    if not isinstance(definition, dict):
        raise error("structure", "A cohort definition is a JSON object.")
    return await run_in_threadpool(_run, ctx, definition, at)


def _run(ctx: Context, definition: dict[str, Any], at: int | None) -> Response:
    result = ctx.lake.cohort(definition, at=at)
    encoder = msgspec.json.Encoder(decimal_format="number")
    return Response(encoder.encode(result.to_dict()), 200, media_type=JSON)
