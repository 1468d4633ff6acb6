"""The `Prefer` header: what a client wants back (R4 http.html#ops; RFC 7240)."""

from __future__ import annotations

import re
from typing import NamedTuple

from starlette.datastructures import Headers
from starlette.requests import Request

from schemas.outcomes import error
from service.representation import REPRESENTATION_PARAMETERS

RETURNS = ("minimal", "representation", "OperationOutcome")

_SEPARATOR = re.compile(r"[,;]")


class Preferences(NamedTuple):
    """`returns` is one of `RETURNS` or empty; `strict`: refuse what is not known.

    `lenient`: take what is known of a request, and say what was not applied.
    """

    returns: str = ""
    strict: bool = False
    lenient: bool = False


NONE = Preferences()


def preferences(headers: Headers) -> Preferences:
    """What the `Prefer` headers of a request say.

    Of what is not known nothing is taken, as RFC 7240 says; but FhirError `not-supported` with
    `handling=strict`.
    """
    if "prefer" not in headers:
        return NONE
    said: dict[str, str] = {}
    for header in headers.getlist("prefer"):
        for part in _SEPARATOR.split(header):
            name, _, value = part.partition("=")
            said.setdefault(name.strip().lower(), value.strip().strip('"'))
    handling = said.get("handling", "")
    strict = handling == "strict"
    returns = said.get("return", "")
    if returns and returns not in RETURNS:
        if strict:
            known = ", ".join(RETURNS)
            raise error("not-supported", f"Prefer: return is one of {known}.", "Prefer")
        returns = ""
    return Preferences(returns, strict, handling == "lenient")


def refuse_unknown(request: Request) -> None:
    """With `handling=strict`, FhirError `not-supported` for what a read has no use for.

    A read answers with the resource and cannot say beside it what was not applied.
    """
    if not request.scope["query_string"] or not preferences(request.headers).strict:
        return
    for name in request.query_params:
        if name != "at" and name not in REPRESENTATION_PARAMETERS:
            name = name[:64]
            raise error("not-supported", f"{name!r} means nothing to a read.", name)
