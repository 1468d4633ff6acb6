"""Whose records an export is of: all patients', those of a group, those that were named."""

from __future__ import annotations

from schemas.dates import date_range
from schemas.ids import parse_reference
from schemas.outcomes import error
from service.bulk_export.request import GROUP, ExportRequest
from storage.lake import LakeAt, Version
from storage.reading import present

_DEPTH = 8


def patients_of(view: LakeAt, request: ExportRequest) -> list[str] | None:
    """The ids of the patients, None for all of the lake, in a fixed order.

    Raises FhirError: `not-found` or `deleted` for the group; `value` for a patient who was named
    and is not there, or no member.
    """
    members = group_members(view, request.group) if request.level == GROUP else None
    if request.patients is None:
        return None if members is None else sorted(members)
    for id in request.patients:
        if members is not None and id not in members:
            raise error("value", f"Patient/{id} is no member of Group/{request.group}.", "patient")
        if present(view.read, "Patient", id) is None:
            raise error("value", f"Patient/{id} is not on this server.", "patient")
    return sorted(request.patients)


def group_members(view: LakeAt, group: str | None) -> set[str]:
    """The patients that are members of a group as of the view, those of its groups included.

    Neither inactive ones nor those whose membership is over (R4 group.html).
    """
    found: set[str] = set()
    seen: set[str] = set()
    ahead = [group or ""]
    now_us = int(view.instant.timestamp() * 1_000_000)
    for _ in range(_DEPTH):
        following: list[str] = []
        for id in ahead:
            if id in seen:
                continue
            seen.add(id)
            version: Version | None
            if id == group:
                version = view.read("Group", id)
            else:
                version = present(view.read, "Group", id)
            if version is None:
                continue
            # What was stored at the level `minimal` may have any shape.
            members = version.resource().get("member")
            for member in members if isinstance(members, list) else ():
                entity = member.get("entity") if isinstance(member, dict) else None
                text = entity.get("reference") if isinstance(entity, dict) else None
                if not isinstance(text, str) or not _is_current(member, now_us):
                    continue
                parsed = parse_reference(text)
                if parsed.kind == "relative" and parsed.id is not None:
                    if parsed.resource_type == "Patient":
                        found.add(parsed.id)
                    elif parsed.resource_type == "Group":
                        following.append(parsed.id)
        ahead = following
        if not ahead:
            return found
    raise error("too-costly", f"Group/{group} has groups within groups, more than {_DEPTH} deep.")


def _is_current(member: dict[str, object], now_us: int) -> bool:
    if member.get("inactive") is True:
        return False
    period = member.get("period")
    end = period.get("end") if isinstance(period, dict) else None
    if not isinstance(end, str):
        return True
    try:
        return date_range(end)[1] > now_us
    except ValueError:
        return True
