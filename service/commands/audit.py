"""`chartlake audit`: who did what, and is the record of it whole?"""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from schemas.outcomes import error
from schemas.parse import canonical_bytes
from service.audit_command import command_lake
from service.client import Chartlake
from service.commands.options import add_folder, add_target, read_token, settings_of
from storage.lake import Lake

Event = dict[str, Any]

_FILTERS = {
    "patient": "id of a patient concerned",
    "entity": "a resource, as Type/id",
    "agent": "who: name of a token, cli:USER, system:nlp",
    "action": "C, R, U, D or E",
    "outcome": "0 done, 4 refused, 8 failed",
    "subtype": "interaction or operation: read, search-type, sql, …",
}
_PAGE = 500
_ANCHOR = re.compile(r"([0-9]{1,18}):([0-9a-f]{64})")


def register(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser("audit", help="list, export and verify the audit log")
    actions = parser.add_subparsers(dest="action_", required=True, metavar="ACTION")
    shown = actions.add_parser("list", help="events, newest first")
    exported = actions.add_parser("export", help="events as NDJSON of AuditEvents, oldest first")
    for one in (shown, exported):
        add_target(one)
        for name, text in _FILTERS.items():
            one.add_argument(f"--{name}", metavar=name.upper(), help=text)
        one.add_argument("--since", metavar="DATE", help="first date or moment")
        one.add_argument("--until", metavar="DATE", help="last date or moment")
    shown.add_argument("--limit", type=int, default=50, metavar="N", help="how many (default: 50)")
    shown.set_defaults(run=run_list)
    exported.add_argument("--out", required=True, metavar="FILE", help="new file, mode 0600")
    exported.set_defaults(run=run_export)
    head = actions.add_parser("head", help="number and hash of the last event, to note elsewhere")
    add_folder(head)
    head.set_defaults(run=run_head)
    verify = actions.add_parser("verify", help="check the whole lake, its audit log first of all")
    add_folder(verify)
    verify.add_argument("--anchor", metavar="N:HASH", help="a head noted before")
    verify.set_defaults(run=run_verify)


def run_list(arguments: argparse.Namespace) -> None:
    """Show events as a table."""
    if arguments.limit < 1:
        raise error("value", "--limit is a number from 1 on.")
    table = Table()
    for column in ("number", "when", "who", "what", "outcome", "patients", "resources"):
        table.add_column(column, overflow="fold")
    for event in islice(_events(arguments, newest_first=True), arguments.limit):
        table.add_row(*_cells(event))
    Console().print(table)


def run_export(arguments: argparse.Namespace) -> None:
    """Write events to a file, one a line."""
    out = Path(arguments.out)
    if out.exists():
        raise error("conflict", f"{out} exists; name a new file.")
    unfinished = out.with_name(out.name + ".part")
    count = 0
    try:
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            for event in _events(arguments, newest_first=False):
                file.write(canonical_bytes(event) + b"\n")
                count += 1
        unfinished.rename(out)
    except FileExistsError:
        raise error("conflict", f"{unfinished} is there of another export.") from None
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    print(f"{count:,} events in {out}")


def run_head(arguments: argparse.Namespace) -> None:
    """Print the head; keep it where who can write to the lake cannot."""
    with command_lake(settings_of(arguments), "audit-head") as lake:
        print(lake.audit_head())


def run_verify(arguments: argparse.Namespace) -> int:
    """Print what is wrong; 1 when anything is."""
    anchor = None
    if arguments.anchor:
        found = _ANCHOR.fullmatch(arguments.anchor)
        if found is None:
            raise error("value", "--anchor is N:HASH, as `chartlake audit head` printed it.")
        anchor = int(found[1]), bytes.fromhex(found[2])
    with command_lake(settings_of(arguments), "verify") as lake:
        head = lake.audit_head()
        findings = lake.verify(anchor=anchor)
    for finding in findings:
        print(finding)
    if not findings:
        print(f"no fault found: {head.n:,} audit events, head {head}")
    return 1 if findings else 0


def _events(arguments: argparse.Namespace, *, newest_first: bool) -> Iterator[Event]:
    params = [("_sort", "-date" if newest_first else "date"), ("_count", str(_PAGE))]
    for name in _FILTERS:
        value = getattr(arguments, name)
        if value:
            params.append(("altid" if name == "agent" else name, value))
    for name, prefix in (("since", "ge"), ("until", "le")):
        if getattr(arguments, name):
            params.append(("date", prefix + getattr(arguments, name)))
    if arguments.url:
        with Chartlake(arguments.url, token=read_token(arguments)) as client:
            yield from client.search("AuditEvent", params)
        return
    with command_lake(settings_of(arguments), "audit") as lake:
        yield from _of_folder(lake, params)


def _of_folder(lake: Lake, params: list[tuple[str, str]]) -> Iterator[Event]:
    cursor: str | None = ""
    while cursor is not None:
        page = lake.search("AuditEvent", [*params, *([("_cursor", cursor)] if cursor else [])])
        yield from (version.resource() for version in page.versions)
        cursor = page.next


def _cells(event: Event) -> tuple[str, ...]:
    """The event in a line; of events that clients stored, whatever of it there is."""
    asking = (event.get("agent") or [{}])[0]
    who = asking.get("name") or asking.get("who", {}).get("display") or ""
    codes = [coding.get("code", "") for coding in event.get("subtype", [])]
    what = codes[-1] if codes else event["type"].get("code", "")
    patients: list[str] = []
    resources: list[str] = []
    for entity in event.get("entity", []):
        reference = entity.get("what", {}).get("reference")
        if reference is not None:
            is_patient = entity.get("role", {}).get("code") == "1"
            (patients if is_patient else resources).append(reference)
    failure = event.get("outcomeDesc", "")
    outcome = f"{event.get('outcome', '')} {failure}".strip()
    return (
        str(event.get("id", "")).removeprefix("audit-"),
        event["recorded"],
        who,
        f"{event.get('action', '')} {what}".strip(),
        outcome,
        _some(patients),
        _some(resources),
    )


def _some(references: list[str], most: int = 3) -> str:
    shown = "\n".join(references[:most])
    return shown + (f"\n… {len(references) - most} more" if len(references) > most else "")
