"""A master key by its name: one line of a setting or of the command line, without any secret."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from schemas.outcomes import FhirError, error
from storage.keys import MasterKey
from storage.master_keys.aws_kms import AwsKmsMasterKey
from storage.master_keys.key_file import KeyFileMasterKey
from storage.master_keys.passphrase import PassphraseMasterKey
from storage.master_keys.vault_transit import VaultTransitMasterKey

FORMS = (
    "file:PATH, passphrase-file:PATH, aws-kms:KEY?region=… or "
    "vault-transit:https://HOST/transit/keys/NAME?token_file=…"
)
_AWS_KEY = re.compile(r"[A-Za-z0-9:/_.-]{1,512}")
_VAULT_PATH = re.compile(r"/(?P<mount>[\w./-]+)/keys/(?P<name>[\w.-]+)", re.ASCII)


def named(text: str) -> MasterKey:
    """The master key of that name. Raises FhirError `value`; whether it works is not tried."""
    kind, _, rest = text.partition(":")
    if not rest:
        raise _malformed(f"a master key is named {FORMS}")
    if kind == "file":
        return KeyFileMasterKey(_path(rest))
    if kind == "passphrase-file":
        return PassphraseMasterKey.from_file(_path(rest))
    if kind == "aws-kms":
        return _aws_kms(rest)
    if kind == "vault-transit":
        return _vault_transit(rest)
    raise _malformed(f"the kind {kind[:32]!r} is unknown: use {FORMS}")


def _aws_kms(text: str) -> AwsKmsMasterKey:
    key_id, _, query = text.partition("?")
    options = _options(query, {"region", "endpoint_url"})
    if _AWS_KEY.fullmatch(key_id) is None:
        raise _malformed("aws-kms: needs a key's ARN, its id, or alias/NAME")
    if "endpoint_url" in options:
        _check_url(options["endpoint_url"], "endpoint_url")
    return AwsKmsMasterKey(
        key_id, region=options.get("region"), endpoint_url=options.get("endpoint_url")
    )


def _vault_transit(text: str) -> VaultTransitMasterKey:
    address, _, query = text.partition("?")
    options = _options(query, {"token_file", "namespace", "ca_file"})
    _check_url(address, "vault-transit")
    parts = urlsplit(address)
    path = _VAULT_PATH.fullmatch(parts.path)
    if path is None:
        raise _malformed("vault-transit: needs https://HOST/MOUNT/keys/NAME")
    files = {name: _path(options[name]) for name in ("token_file", "ca_file") if name in options}
    return VaultTransitMasterKey(
        f"{parts.scheme}://{parts.netloc}",
        path["name"],
        mount=path["mount"],
        token_file=files.get("token_file"),
        ca_file=files.get("ca_file"),
        namespace=options.get("namespace"),
    )


def _options(query: str, known: set[str]) -> dict[str, str]:
    options = dict(parse_qsl(query, keep_blank_values=True))
    for name in options:
        if name not in known:
            raise _malformed(f"{name[:32]!r} is none of {', '.join(sorted(known))}")
    return {name: value for name, value in options.items() if value}


def _check_url(url: str, what: str) -> None:
    """An https address without credentials in it; http only to this machine."""
    try:
        parts = urlsplit(url)
        host, has_user = parts.hostname or "", "@" in parts.netloc
        _ = parts.port
    except ValueError:
        raise _malformed(f"{what} is no address") from None
    if has_user:
        raise _malformed(f"{what} must hold no credentials")
    if parts.scheme == "https" and host:
        return
    if parts.scheme == "http" and _is_here(host):
        return
    raise _malformed(f"{what} must be an https address (http only to this machine)")


def _is_here(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _path(text: str) -> Path:
    return Path(text).expanduser()


def _malformed(why: str) -> FhirError:
    return error("value", f"This names no master key: {why}.", "master_key")
