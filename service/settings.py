"""Every setting of the service, in one table; read once, at start.

Order of precedence: command line, environment (`CHARTLAKE_<NAME>`), `chartlake.toml`, default.
"""

from __future__ import annotations

import ipaddress
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, NamedTuple

from storage.query.limits import SearchLimits

ENV_PREFIX = "CHARTLAKE_"


class SettingError(ValueError):
    """A setting is unknown, malformed or unsafe; the message is for the operator."""


class Setting(NamedTuple):
    """One row of the settings table: `name`, `default` (its type is the setting's), `help`."""

    name: str
    default: Any
    help: str


SETTINGS: tuple[Setting, ...] = (
    Setting("data", "data", "Folder of the lake."),
    Setting(
        "read_only", False, "Only read, beside the process that has the lake open for writing."
    ),
    Setting(
        "unaudited_reads",
        False,
        "Let processes that only read answer where they cannot record who read what: where they "
        "may not write in the lake's `audit-spool`.",
    ),
    Setting(
        "segments_url",
        "",
        "Where a new lake keeps its segments: `s3://BUCKET/PREFIX?…`, see "
        "`docs/object_storage.md`; empty: in its folder. An existing lake knows, and refuses "
        "another place.",
    ),
    Setting(
        "workers",
        0,
        "Processes that answer requests, beside the one that writes; 0: one a core, at most 8. 1: "
        "one process does it all. See `docs/many_processes.md`.",
    ),
    Setting("host", "127.0.0.1", "Address to listen on; off loopback only with `api_token_file`."),
    Setting("port", 8080, "TCP port to listen on; 0 picks a free one."),
    Setting("base_url", "", "Public URL of the service, for links; empty: taken from the request."),
    Setting(
        "master_key",
        "",
        "Master key: `file:PATH`, `passphrase-file:PATH`, `aws-kms:KEY?region=…` or "
        "`vault-transit:https://HOST/transit/keys/NAME?token_file=…`.",
    ),
    Setting("master_key_file", "", "Master key file; empty: `<data>/keys/master.key`."),
    Setting("passphrase_file", "", "File holding the master passphrase (instead of a key file)."),
    Setting("api_token_file", "", "Accepted bearer tokens, hashed (see `chartlake token`)."),
    Setting(
        "validation",
        "strict",
        "What is refused: `strict`, what breaks R4 or a profile; `structure-only`, what breaks "
        "R4's structure; `minimal`, only what is no resource: the rest is stored and tagged. See "
        "`docs/validation.md`.",
    ),
    Setting(
        "default_profiles",
        "",
        "Canonical URLs of profiles, apart by white space: a resource that claims no profile that "
        "is known has to conform to one of those for its type.",
    ),
    Setting(
        "reference_integrity",
        "off",
        "`existing`: a reference to a resource of this datastore has to lead to one, and what is "
        "referred to is not deleted; `off`: neither is looked at.",
    ),
    Setting("max_body_bytes", 134_217_728, "Largest request body, in bytes."),
    Setting(
        "max_concurrent_requests",
        512,
        "Most requests dealt with at once; further ones are answered 503. 0: no limit.",
    ),
    Setting(
        "gzip_min_bytes",
        1_024,
        "Answers from this size on are compressed for clients that take gzip, in bytes; 0: none.",
    ),
    Setting(
        "cors_origins",
        "",
        "Origins of web pages that may use the service (`https://app.example.org`), separated by "
        "commas; `*` for all, only with `api_token_file`. Empty: none.",
    ),
    Setting("max_note_bytes", 1_048_576, "Largest text of one note, in bytes."),
    Setting("nlp", True, "Read notes as they arrive."),
    Setting("nlp_workers", 2, "Processes that read notes; with two, a long one holds up no other."),
    Setting(
        "nlp_model",
        "",
        "Model beside the dictionary: the shipped one when empty, `none`, a spaCy pipeline (name "
        "or path), or a folder with a token classifier as ONNX.",
    ),
    Setting(
        "terminology",
        "",
        "Folder of the releases that `chartlake terminology load` has read; empty: "
        "`<data>/terminology`.",
    ),
    Setting("nlp_timeout_s", 120, "Longest time for reading one note, in seconds."),
    Setting(
        "update_create",
        True,
        "Let clients create a resource under an id of their own, by PUT; else 405.",
    ),
    Setting(
        "conditional_delete",
        "single",
        "What `DELETE Type?…` deletes: `single`, one resource, refused (412) when several match; "
        "`multiple`, all that match (10,000 at most).",
    ),
    Setting("max_bundle_entries", 50_000, "Most entries of a batch or transaction; else 413."),
    Setting(
        "administrative_references",
        "logical",
        "Conditional reference to a Practitioner, PractitionerRole, Organization or Location that "
        "matches nothing: `logical` keeps it as an identifier reference, `refuse` refuses the "
        "transaction.",
    ),
    Setting(
        "audit_reads",
        "durable",
        "When the audit event of a read is on the disk: `durable`, before the answer leaves; "
        "`batched`, within 100 ms (a power cut loses those events; changes and refusals stay "
        "durable).",
    ),
    Setting(
        "audit_network",
        "full",
        "Client address in audit events: `full`, `prefix` (/24 of IPv4, /48 of IPv6) or `none`.",
    ),
    Setting("search_default_count", 50, "Matches on a page of a search without `_count`."),
    Setting("search_max_count", 1_000, "Most matches on a page of a search."),
    Setting(
        "search_page_includes",
        1_000,
        "Most included resources on a page of a search; the others follow on further pages.",
    ),
    Setting(
        "search_max_includes",
        100_000,
        "Most resources that the matches of one page may include; more are refused.",
    ),
    Setting(
        "search_max_chain_depth", 8, "Most links of a chained search parameter, `_has` among them."
    ),
    Setting(
        "search_max_joined",
        2_000_000,
        "Most resources that one link of a chain, or `_has`, may lead over; more are refused.",
    ),
    Setting("search_max_filter_terms", 100, "Most comparisons in one `_filter`."),
    Setting("search_max_sort_keys", 8, "Most keys of `_sort`."),
    Setting("export_hours", 24, "How long the files of a bulk export can be fetched, in hours."),
    Setting("sql_timeout_s", 30, "Longest run time of one SQL query, in seconds."),
    Setting("sql_max_rows", 100_000, "Most rows one SQL query returns; more is said to be cut."),
)

# Settings that may be written as a list of texts; in one text they are apart by white space.
_LISTS = frozenset({"default_profiles"})
_CHOICES = {
    "administrative_references": ("logical", "refuse"),
    "conditional_delete": ("single", "multiple"),
    "audit_reads": ("durable", "batched"),
    "validation": ("strict", "structure-only", "minimal"),
    "reference_integrity": ("off", "existing"),
    "audit_network": ("full", "prefix", "none"),
}
# What a datastore never takes over from the service, and what it cannot have for itself.
_OWN = frozenset(
    {
        "data",
        "segments_url",
        "master_key",
        "master_key_file",
        "passphrase_file",
        "api_token_file",
    }
)
_OF_SERVICE = frozenset({"host", "port", "base_url", "workers"})
_DATASTORE_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")

_BY_NAME = {setting.name: setting for setting in SETTINGS}


@dataclass(frozen=True)
class Settings:
    """The settings in force; attributes are the names in `SETTINGS`.

    `datastores`: by name, the settings of the datastores that are served besides this one.
    """

    values: Mapping[str, Any]
    datastores: Mapping[str, Settings] = field(default_factory=dict)

    def __getattr__(self, name: str) -> Any:
        try:
            return self.values[name]
        except KeyError:
            raise AttributeError(name) from None

    def search_limits(self) -> SearchLimits:
        """The limits of searches. Raises `SettingError` for a limit of nothing."""
        found = {field.name: self.values["search_" + field.name] for field in fields(SearchLimits)}
        for name, value in found.items():
            if value < 1:
                raise SettingError(f"search_{name} must be at least 1")
        return SearchLimits(**found)

    @property
    def data_path(self) -> Path:
        """Folder of the lake, absolute."""
        return Path(self.values["data"]).expanduser().absolute()

    @property
    def terminology_path(self) -> Path:
        """Folder of the loaded releases of terminologies, absolute."""
        named = self.values["terminology"]
        return Path(named).expanduser().absolute() if named else self.data_path / "terminology"


def load_settings(
    overrides: Mapping[str, Any] | None = None,
    *,
    environ: Mapping[str, str] = os.environ,
    config_file: Path | None = None,
) -> Settings:
    """Settings from `overrides` (None values are skipped), environment, TOML file and defaults.

    Raises `SettingError` for an unknown name, a value of the wrong type, or a missing config file.
    """
    values: dict[str, Any] = {setting.name: setting.default for setting in SETTINGS}
    tables: dict[str, dict[str, Any]] = {}
    path = config_file or Path(environ.get(ENV_PREFIX + "CONFIG", "chartlake.toml"))
    if path.exists():
        found, tables = _from_toml(path)
        values.update(found)
    elif config_file is not None:
        raise SettingError(f"config file {path} does not exist")
    for setting in SETTINGS:
        text = environ.get(ENV_PREFIX + setting.name.upper())
        if text is not None:
            values[setting.name] = _convert(setting, text, ENV_PREFIX + setting.name.upper())
    for name, value in (overrides or {}).items():
        if value is not None:
            if name not in _BY_NAME:
                raise SettingError(f"unknown setting {name!r}")
            values[name] = _convert(_BY_NAME[name], value, name)
    if values["port"] > 65_535:
        raise SettingError("port must be at most 65535")
    _check_choices(values, "")
    Settings(values).search_limits()
    _add_from_environment(tables, environ)
    return Settings(values, _datastores(values, tables))


def _check_choices(values: Mapping[str, Any], where: str) -> None:
    for name, choices in _CHOICES.items():
        if values[name] not in choices:
            options = " or ".join(f"`{one}`" for one in choices)
            raise SettingError(f"{where}{name} must be {options}")


def check_exposure(settings: Settings) -> None:
    """Refuse to listen off loopback without authentication. Raises `SettingError`."""
    for name, one in (("", settings), *settings.datastores.items()):
        if "*" in one.cors_origins and not one.api_token_file:
            place = f"datastore {name}: " if name else ""
            raise SettingError(
                f"{place}refusing cors_origins = * without authentication: every web page that "
                "is looked at on this machine could read the lake. Set api_token_file, or name "
                "the origins"
            )
    if is_loopback(settings.host):
        return
    for name, one in (("", settings), *settings.datastores.items()):
        if not one.api_token_file:
            place = f"datastore {name}: " if name else ""
            raise SettingError(
                f"{place}refusing to listen on {settings.host} without authentication: set "
                "api_token_file (make one with `chartlake token new NAME --file FILE`), or listen "
                "on 127.0.0.1"
            )


def is_loopback(host: str) -> bool:
    """True when `host` is `localhost` or a literal loopback address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _from_toml(path: Path) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """The settings of the file, and those of each datastore that it names."""
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as failure:
        raise SettingError(f"{path} is not valid TOML: {failure}") from None
    tables = document.pop("datastores", {})
    if not isinstance(tables, dict) or not all(isinstance(t, dict) for t in tables.values()):
        raise SettingError(f"{path}: datastores are tables, [datastores.NAME]")
    own = _converted(document, str(path))
    return own, {
        name: _converted(table, f"{path}: datastore {name}") for name, table in tables.items()
    }


def _converted(document: Mapping[str, Any], where: str) -> dict[str, Any]:
    unknown = sorted(set(document) - set(_BY_NAME))
    if unknown:
        raise SettingError(f"{where}: unknown setting {unknown[0]!r}")
    return {name: _convert(_BY_NAME[name], value, where) for name, value in document.items()}


def _convert(setting: Setting, value: Any, where: str) -> Any:
    """`value` as the type of the setting's default."""
    kind = type(setting.default)
    if kind is bool:
        if isinstance(value, bool):
            return value
        if str(value).lower() in ("1", "true", "yes", "on"):
            return True
        if str(value).lower() in ("0", "false", "no", "off"):
            return False
        raise SettingError(f"{where}: {setting.name} must be true or false")
    if kind is int:
        try:
            number = int(value)
        except (TypeError, ValueError):
            raise SettingError(f"{where}: {setting.name} must be a whole number") from None
        if number < 0:
            raise SettingError(f"{where}: {setting.name} must not be negative")
        return number
    if setting.name in _LISTS and isinstance(value, list):
        value = " ".join(str(one) for one in value)
    if isinstance(value, (list, dict)):
        raise SettingError(f"{where}: {setting.name} must be one text")
    return str(value)


def _add_from_environment(tables: dict[str, dict[str, Any]], environ: Mapping[str, str]) -> None:
    """`CHARTLAKE_DATASTORES__NAME__SETTING`; NAME in lower case, its dashes as `_`."""
    prefix = ENV_PREFIX + "DATASTORES__"
    for variable, text in environ.items():
        if variable.startswith(prefix):
            name, _, setting = variable.removeprefix(prefix).lower().partition("__")
            table = tables.setdefault(name.replace("_", "-"), {})
            table.update(_converted({setting: text}, variable))


def _datastores(
    values: Mapping[str, Any], tables: Mapping[str, Mapping[str, Any]]
) -> dict[str, Settings]:
    """Each datastore's settings: its own, and for limits and the like those of the service."""
    found: dict[str, Settings] = {}
    folders = {Settings(values).data_path: "the default datastore"}
    for name, table in sorted(tables.items()):
        if _DATASTORE_NAME.fullmatch(name) is None:
            raise SettingError(
                f"datastore {name[:64]!r}: a name has 1 to 63 lower-case letters, digits, dashes"
            )
        of_service = sorted(set(table) & _OF_SERVICE)
        if of_service:
            raise SettingError(f"datastore {name}: {of_service[0]} is a setting of the service")
        if not table.get("data"):
            raise SettingError(f"datastore {name}: set data, the folder of its lake")
        own = {setting.name: setting.default for setting in SETTINGS if setting.name in _OWN}
        base_url = values["base_url"].rstrip("/")
        address = {"base_url": f"{base_url}/datastores/{name}" if base_url else ""}
        found[name] = Settings({**values, **own, **table, **address})
        _check_choices(found[name].values, f"datastore {name}: ")
        folder = found[name].data_path
        if folder in folders:
            raise SettingError(f"datastore {name}: {folder} is the folder of {folders[folder]}")
        folders[folder] = f"datastore {name}"
    return found
