"""`POST /sql`: read-only SQL over the lake's views."""

from __future__ import annotations

from typing import Any

import msgspec
from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from schemas.outcomes import error
from schemas.parse import parse_json
from service.as_of import At, parse_at, view_at
from service.context import Ctx
from service.request_body import media_type, read_limited
from service.responses import JSON
from storage.lake import AsOf

router = APIRouter()

MAX_QUERY_BYTES = 1_048_576
_KEYS = {"query", "parameters", "at"}


@router.post("/sql", summary="run one SELECT over the lake's views")
async def sql(request: Request, ctx: Ctx, at: At = None) -> Response:
    """Rows as JSON, CSV, Parquet or an Arrow stream, by `Accept`.

    Body: `{"query": …, "parameters": […], "at": …}` as JSON, or the query alone as text; `at` may
    stand in the address as well. JSON answers say in `t` which commit they are of, in `truncated`
    whether `sql_max_rows` cut them; all say it in `Chartlake-Commit` and `Chartlake-Truncated`.
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
    parameters, asked_at = asked.get("parameters", []), asked.get("at")
    if not isinstance(parameters, list):
        raise error("value", "parameters is a JSON array.", "parameters")
    if isinstance(asked_at, bool) or not isinstance(asked_at, int | str | None):
        raise error("value", "at is the number of a commit, or an instant as text.", "at")
    moment = parse_at([*(at or ()), *(() if asked_at is None else (asked_at,))])
    accept = request.headers.get("accept", "")
    return await run_in_threadpool(_run, ctx, asked["query"], parameters, moment, accept)


def _run(ctx: Ctx, query: str, parameters: list[Any], at: AsOf | None, accept: str) -> Response:
    with view_at(ctx.lake, at) as (view, said):
        table = view.sql(
            query,
            parameters,
            timeout_s=ctx.settings.sql_timeout_s,
            max_rows=ctx.settings.sql_max_rows,
        )
    headers = {"Chartlake-Truncated": str(table.truncated).lower(), **said.headers}
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
        "t": view.t,
        "warnings": said.warnings,
    }
    encoder = msgspec.json.Encoder(decimal_format="number")
    return Response(encoder.encode(answer), 200, headers, media_type=JSON)
