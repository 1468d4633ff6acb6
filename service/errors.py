"""From a failure to an HTTP answer: the only place that knows which category is which status."""

from __future__ import annotations

import logging
import traceback
import uuid

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from schemas.outcomes import FhirError, error, operation_outcome
from schemas.parse import canonical_bytes
from service.allowed_methods import AllowedMethods
from storage import audit_trail

log = logging.getLogger("chartlake")

FHIR_JSON = "application/fhir+json; charset=utf-8"

STATUS: dict[str, int] = {
    "invalid": 400,
    "structure": 400,
    "value": 400,
    "required": 400,
    "not-supported": 400,
    "unauthorized": 401,
    "forbidden": 403,
    "unknown-type": 404,
    "not-found": 404,
    "method-not-allowed": 405,
    "not-acceptable": 406,
    "request-timeout": 408,
    "conflict": 409,
    "deleted": 410,
    "precondition": 412,
    "too-large": 413,
    "uri-too-long": 414,
    "unsupported-media": 415,
    "business-rule": 422,
    "unprocessable": 422,
    "too-costly": 422,
    "throttled": 429,
    "headers-too-large": 431,
    "internal": 500,
    "unavailable": 503,
    "timeout": 504,
}

_HEADERS = {
    "unauthorized": {"WWW-Authenticate": "Bearer"},
    # Seconds. Nothing was done, so it may be asked again.
    "throttled": {"Retry-After": "2"},
    "unavailable": {"Retry-After": "2"},
}

_CATEGORY_OF_STATUS = {
    400: "invalid",
    404: "not-found",
    405: "method-not-allowed",
    413: "too-large",
}


def status_of(failure: FhirError) -> int:
    """HTTP status of a failure, by its category."""
    return STATUS[failure.category]


def outcome_response(failure: FhirError, headers: dict[str, str] | None = None) -> Response:
    """The failure as an `OperationOutcome` response, its category noted for the audit event."""
    trail = audit_trail.current()
    if trail is not None:
        trail.failure = failure.category
    body = canonical_bytes(operation_outcome(failure.issues))
    return Response(body, status_of(failure), headers, media_type=FHIR_JSON)


def failure_response(failure: FhirError) -> Response:
    """The same, with the headers that belong to its category."""
    return outcome_response(failure, _HEADERS.get(failure.category))


def unexpected(failure: BaseException) -> FhirError:
    """An unforeseen failure as a 500 with an incident number.

    The log gets the type and the code places of the failure, never its text: an exception's text
    may quote the data that caused it.
    """
    incident = uuid.uuid4().hex[:12]
    frames = traceback.extract_tb(failure.__traceback__)
    places = " < ".join(f"{frame.filename}:{frame.lineno}" for frame in reversed(frames[-8:]))
    log.error("incident %s: %s at %s", incident, type(failure).__name__, places)
    return error(
        "internal",
        f"This failed for a reason of our own (incident {incident}); nothing was stored by it. "
        "The log holds the place of the failure under that number.",
    )


class FailureBarrier:
    """ASGI middleware that lets no exception out: the HTTP server would log it with its text."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer an unforeseen failure with a 500 `OperationOutcome`."""
        started = False

        async def watch(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self.app(scope, receive, watch)
        except ClientDisconnect:
            return
        except Exception as failure:
            if scope["type"] != "http":
                raise
            response = outcome_response(unexpected(failure))
            if not started:
                await response(scope, receive, send)


def install(app: FastAPI) -> None:
    """Make every failure of `app`, foreseen or not, answer with an `OperationOutcome`."""

    @app.exception_handler(FhirError)
    async def _known(_request: Request, failure: FhirError) -> Response:
        return failure_response(failure)

    @app.exception_handler(HTTPException)
    async def _routing(request: Request, failure: HTTPException) -> Response:
        allowed: AllowedMethods | None = getattr(request.app.state, "allowed_methods", None)
        if failure.status_code == 405 and allowed is not None:
            root = request.scope.get("root_path", "")
            allow = {"Allow": allowed.header(request.scope["path"].removeprefix(root))}
            if request.method == "OPTIONS":
                return Response(b"", 204, allow)
            text = f"{request.method[:32]} is not possible at this address; see /fhir/metadata."
            return outcome_response(error("method-not-allowed", text), allow)
        category = _CATEGORY_OF_STATUS.get(failure.status_code, "invalid")
        if category == "not-found":
            text = "There is nothing at this address. FHIR lives under /fhir; see /fhir/metadata."
        elif category == "method-not-allowed":
            text = "This is not possible at this address; see /fhir/metadata."
        else:
            text = "The request could not be read as HTTP."
        return outcome_response(error(category, text), dict(failure.headers or {}))

    @app.exception_handler(RequestValidationError)
    async def _parameters(_request: Request, failure: RequestValidationError) -> Response:
        places = sorted({".".join(str(part) for part in e["loc"][1:]) for e in failure.errors()})
        return outcome_response(
            error("invalid", f"Missing or malformed parameter: {', '.join(places)}.", *places)
        )

    app.add_middleware(FailureBarrier)
