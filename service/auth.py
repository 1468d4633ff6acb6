"""Who may ask: bearer tokens where configured, otherwise this machine alone.

Without tokens the service listens on loopback only, and then guards against the two ways a web page
can reach it there: a foreign `Host` (DNS rebinding) and a foreign `Origin` (cross-site requests).
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Collection, Mapping
from functools import lru_cache
from pathlib import Path
from urllib.parse import urlsplit

from starlette.types import Scope

from schemas.outcomes import FhirError, error
from service.request_headers import header
from service.settings import SettingError, is_loopback
from storage import audit_trail

OPEN_PATHS = frozenset({"/healthz", "/readyz", "/fhir/metadata"})
LOCAL_AGENT = "local"
"""Who asks a service without authentication: somebody on this machine."""

_AGENT = "chartlake.agent"
_LINE = re.compile(r"(?P<name>[A-Za-z0-9._-]{1,64}) sha256:(?P<digest>[0-9a-f]{64})")


def load_tokens(path: Path) -> dict[str, str]:
    """Digest → name, from lines `NAME sha256:HEX`; `#` starts a comment.

    Raises `SettingError` when the file cannot be read, is malformed or holds no token.
    """
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as failure:
        raise SettingError(f"api_token_file {path}: {type(failure).__name__}") from None
    tokens: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        text = line.split("#", 1)[0].strip()
        if not text:
            continue
        match = _LINE.fullmatch(text)
        if match is None:
            raise SettingError(f"{path}:{number}: expected `NAME sha256:HEX`")
        tokens[match["digest"]] = match["name"]
    if not tokens:
        raise SettingError(f"{path} holds no token: nobody could use the service")
    return tokens


def new_token(name: str, path: Path) -> str:
    """Add a new random token for `name` to the file (mode 0600) and return it, the only time."""
    if re.fullmatch(r"[A-Za-z0-9._-]{1,64}", name) is None:
        raise SettingError("a token's name has 1 to 64 letters, digits, dots, dashes, underscores")
    token = secrets.token_urlsafe(32)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(descriptor, "a", encoding="utf-8") as file:
        file.write(f"{name} sha256:{_digest(token)}\n")
    return token


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


class Authentication:
    """Refuses who may not ask, before anything of the request is read."""

    def __init__(
        self, *, tokens: Mapping[str, str] | None, origins: Collection[str] = frozenset()
    ) -> None:
        """`tokens` as from `load_tokens`, or None for the loopback-only service.

        `origins`: of web pages that may ask a service without tokens (setting `cors_origins`).
        """
        self.tokens = tokens
        self.origins = origins

    def check(self, scope: Scope) -> None:
        """Note to the audit trail who asks. Raises FhirError `unauthorized` or `forbidden`."""
        failure = self._refusal(scope)
        if failure is not None:
            raise failure
        trail = audit_trail.current()
        if trail is not None:
            trail.agent = scope.get(_AGENT, LOCAL_AGENT)

    def _refusal(self, scope: Scope) -> FhirError | None:
        if self.tokens is not None:
            path = scope["path"].removeprefix(scope.get("root_path", ""))
            return None if path in OPEN_PATHS else self._check_token(scope)
        return self._check_local(scope)

    def _check_token(self, scope: Scope) -> FhirError | None:
        scheme, _, token = header(scope, b"authorization").partition(" ")
        if scheme.lower() != "bearer" or not token:
            return error("unauthorized", "Send `Authorization: Bearer TOKEN`.")
        digest = _digest(token.strip())
        for known, name in (self.tokens or {}).items():
            if hmac.compare_digest(known, digest):
                scope[_AGENT] = name
                return None
        return error("unauthorized", "This token is not known here.")

    def _check_local(self, scope: Scope) -> FhirError | None:
        if not _is_own_host(header(scope, b"host")):
            return error(
                "forbidden",
                "Without authentication this service answers to localhost only; "
                "configure api_token_file to serve other names.",
            )
        origin = header(scope, b"origin")
        if origin and origin not in self.origins and not is_loopback(_host_name(origin) or ""):
            return error("forbidden", "Requests from web pages of other sites are refused.")
        return None


@lru_cache(maxsize=256)
def _is_own_host(header: str) -> bool:
    host = _host_name("//" + header)
    return host is not None and is_loopback(host)


def _host_name(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None
