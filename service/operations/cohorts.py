"""`POST /cohorts`: who meets a declarative definition, and how many each criterion left."""

from __future__ import annotations

from typing import Any

import msgspec
from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from schemas.outcomes import error
from schemas.parse import parse_json
from service.as_of import At, parse_at, view_at
from service.context import Context, Ctx
from service.request_body import media_type, read_limited
from service.responses import JSON
from storage.lake import AsOf

router = APIRouter()

MAX_DEFINITION_BYTES = 4_194_304


@router.post("/cohorts", summary="run a cohort definition")
async def cohorts(request: Request, ctx: Ctx, at: At = None) -> Response:
    """Members with their evidence, count and attrition, as of `at` (default: now)."""
    kind, _ = media_type(request.headers.get("content-type"))
    if kind != "application/json":
        raise error("unsupported-media", "Send the cohort definition as application/json.")
    definition = parse_json(await read_limited(request, MAX_DEFINITION_BYTES))
    if not isinstance(definition, dict):
        raise error("structure", "A cohort definition is a JSON object.")
    return await run_in_threadpool(_run, ctx, definition, parse_at(at))


def _run(ctx: Context, definition: dict[str, Any], at: AsOf | None) -> Response:
    with view_at(ctx.lake, at) as (view, said):
        answer = view.cohort(definition).to_dict()
    answer["warnings"] = [*answer["warnings"], *said.warnings]
    encoder = msgspec.json.Encoder(decimal_format="number")
    return Response(encoder.encode(answer), 200, said.headers, media_type=JSON)
