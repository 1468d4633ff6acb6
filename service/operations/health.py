"""Liveness and readiness, for process managers and load balancers. No PHI in any of them."""

from typing import Any

from fastapi import APIRouter
from starlette.responses import JSONResponse, Response

from schemas.outcomes import FhirError
from service.context import Context, Ctx

router = APIRouter()


@router.get("/healthz", summary="is the process alive")
def healthz() -> dict[str, str]:
    """200 as long as the process answers."""
    return {"status": "ok"}


@router.get("/readyz", summary="can it take requests")
def readyz(ctx: Ctx) -> Response:
    """200 when the lake can be written and the note reader is loaded (or switched off), else 503.

    After a failure of the disk, or when a service that only reads cannot any more, `lake` is
    `stopped`, and `problem` says why.
    """
    state, problem = ctx.enricher.state, ctx.lake.failure or _unreadable(ctx)
    body: dict[str, Any] = {"lake": "open" if problem is None else "stopped", "nlp": state}
    if problem is not None:
        body["problem"] = problem
    return JSONResponse(body, 200 if state in ("ready", "off") and problem is None else 503)


def _unreadable(ctx: Context) -> str | None:
    """Why a service that only reads cannot: the one that writes may have renewed the keys."""
    if ctx.lake.read_only:
        try:
            _ = ctx.lake.t
        except FhirError as failure:
            return failure.issues[0].diagnostics
    return None


@router.get("/status", summary="what is in the lake")
def status(ctx: Ctx) -> dict[str, Any]:
    """Counts by resource type, the last commit, segments and bytes on disk, unread notes."""
    return {
        **ctx.lake.stats(),
        "read_only": ctx.lake.read_only,
        "notes_unread": ctx.enricher.backlog(),
        "nlp": ctx.enricher.state,
        "audit_head": str(ctx.lake.audit_head()),
    }
