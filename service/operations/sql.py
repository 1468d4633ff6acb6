"""`POST /sql`: read-only SQL over the lake's views."""

from __future__ import annotations

from typing import Any

import msgspec
from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from schemas.outcomes import error
from schemas.parse import parse_json
from service.context import Ctx
from service.request_body import media_type, read_limited
from service.responses import JSON

router = APIRouter()

MAX_QUERY_BYTES = 1_048_576
_KEYS = {"query", "parameters", "at"}


@router.post("/sql", summary="run one SELECT over the lake's views")
async def sql(request: Request, ctx: Ctx) -> Response:
    """Rows as JSON, CSV, Parquet or an Arrow stream, by `Accept`.

    Body: `{"query": …, "parameters": […], "at": t}` as JSON, or the query alone as text. JSON
    answers say in `truncated` whether `sql_max_rows` cut them; other formats say it in the header
    `Chartlake-Truncated`.
    """
    kind, _ = media_type(request.headers.get("content-type"))
    body = await read_limited(request, MAX_QUERY_BYTES)
    if kind in ("application/json", "application/fhir+json"):
        asked = parse_json(body)
        if not isinstance(asked, dict) or not isinstance(asked.get("query"), str):
            raise error("required", 'Send {"query": "SELECT …"}.', "query")
        unknown = sorted(set(asked) - _KEYS)
        if unknown:
            raise error("structure", f"{unknown[0][:64]!r} is not known here.", unknown[0][:64])
    elif kind in ("text/plain", "application/sql"):
        try:
            asked = {"query": body.decode("utf-8")}
        except UnicodeDecodeError:
            raise error("invalid", "The query is not UTF-8 text.", "query") from None
    else:
        raise error("unsupported-media", "Send the query as application/json or application/sql.")
    parameters, at = asked.get("parameters", []), asked.get("at")
    if not isinstance(parameters, list):
        raise error("value", "parameters is a JSON array.", "parameters")
    if at is not None and (not isinstance(at, int) or isinstance(at, bool)):
        raise error("value", "at is the number of a commit.", "at")
    accept = request.headers.get("accept", "")
    return await run_in_threadpool(_run, ctx, asked["query"], parameters, at, accept)


def _run(ctx: Ctx, query: str, parameters: list[Any], at: int | None, accept: str) -> Response:
    table = ctx.lake.sql(
        query,
        parameters,
        at=at,
        timeout_s=ctx.settings.sql_timeout_s,
        max_rows=ctx.settings.sql_max_rows,
    )
    headers = {"Chartlake-Truncated": str(table.truncated).lower()}
    if "text/csv" in accept:
        return Response(table.csv(), 200, headers, media_type="text/csv; charset=utf-8")
    if "parquet" in accept:
        return Response(
            table.parquet_bytes(), 200, headers, media_type="application/vnd.apache.parquet"
        )
    if "arrow" in accept:
        return Response(
            table.arrow_bytes(), 200, headers, media_type="application/vnd.apache.arrow.stream"
        )
    answer = {
        "columns": list(table.columns),
        "rows": table.rows(),
        "truncated": table.truncated,
    }
    encoder = msgspec.json.Encoder(decimal_format="number")
    return Response(encoder.encode(answer), 200, headers, media_type=JSON)
