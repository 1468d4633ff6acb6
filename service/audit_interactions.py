"""Which interaction a request is, from its method and path alone: the words of its audit event.

https://hl7.org/fhir/R4/http.html, https://hl7.org/fhir/R4/valueset-type-restful-interaction.html.
From the address and not from the handler, so that a request that reaches none (refused, not found)
is told as well, and a surface that is added is recorded before anyone thinks of it.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from schemas.ids import is_id
from schemas.structure import RESOURCE_TYPES
from service.whole_number import whole_number
from storage.audit_record import Entity

# What tells nothing of a patient: not recorded, unless it was refused to who asked.
OPEN_PATHS = frozenset({
    "/", "/healthz", "/readyz", "/status", "/metrics", "/openapi.json", "/favicon.ico",
    "/fhir/metadata",
})  # fmt: skip

_ACTIONS = {"POST": "C", "PUT": "U", "PATCH": "U", "DELETE": "D"}
_NAMES = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_OPERATION = re.compile(r"\$([A-Za-z][A-Za-z0-9-]{0,63})")
_SURFACE = re.compile(r"[a-z][a-z-]{0,31}")


class Interaction(NamedTuple):
    """`name` and `action` as in `AuditRecord`; `target` what the address names.

    `lists_entities`: see `AuditTrail`. `named_by_client`: the name is a word of the address; where
    no handler goes by it, it may be anything, and is not to be recorded.
    """

    name: str
    action: str
    target: Entity | None = None
    lists_entities: bool = True
    named_by_client: bool = False


UNKNOWN = Interaction("unknown", "E", lists_entities=False)


def interaction(method: str, path: str) -> Interaction | None:
    """The interaction of a request; None for what is not recorded."""
    if path in OPEN_PATHS:
        return None
    parts = [part for part in path.split("/") if part]
    if parts and parts[0] == "fhir":
        return fhir_interaction(method, parts[1:])
    return _plain(method, parts)


def fhir_interaction(method: str, parts: list[str]) -> Interaction:
    """The interaction of an address below the FHIR base."""
    if not parts:
        return _search(None) if method in ("GET", "HEAD") else Interaction("transaction", "E")
    if parts[0] == "_export":
        name = "export-file" if len(parts) > 2 else "export-status"
        return Interaction(name, _ACTIONS.get(method, "R"), lists_entities=False)
    operation = _OPERATION.fullmatch(parts[-1])
    target = _target(parts)
    if operation is not None:
        return Interaction(operation[1], "E", target, named_by_client=True)
    if parts[-1] == "_search":
        return _search(target)
    if parts[-1] == "_history":
        level = ("system", "type", "instance")[min(len(parts) - 1, 2)]
        return Interaction(f"history-{level}", "R", target)
    if len(parts) == 1 and method in ("GET", "HEAD"):
        return _search(None)
    if len(parts) == 4 and parts[2] == "_history":
        return Interaction("vread" if method in ("GET", "HEAD") else _name(method), "R", target)
    if len(parts) > 2:
        return _search(target)  # A search in a compartment.
    return Interaction(_name(method), _ACTIONS.get(method, "R"), target)


def _plain(method: str, parts: list[str]) -> Interaction:
    match parts:
        case ["notes"] if method == "POST":
            return Interaction("create", "C")
        case ["notes", id, "findings"]:
            return Interaction("nlp", "E", _target(["DocumentReference", id]))
        case ["patients", id, "timeline"]:
            return Interaction("timeline", "E", _target(["Patient", id]))
        case ["cohorts", *_]:
            return Interaction("cohort", "E", lists_entities=False)
        case ["nlp", "annotate"]:
            return Interaction("nlp-annotate", "E")
        case [surface, *_] if _SURFACE.fullmatch(surface):
            return Interaction(surface, "E", lists_entities=False, named_by_client=True)
    return UNKNOWN


def _search(target: Entity | None) -> Interaction:
    return Interaction("search-type", "E", target, lists_entities=False)


def _name(method: str) -> str:
    return _NAMES.get(method, "read")


def _target(parts: list[str]) -> Entity | None:
    """The resource that an address names, where its type and id are such."""
    if len(parts) < 2 or parts[0] not in RESOURCE_TYPES or not is_id(parts[1]):
        return None
    number = whole_number(parts[3]) if len(parts) == 4 and parts[2] == "_history" else None
    return Entity(parts[0], parts[1], min(number or 0, 2**63 - 1))
