"""`chartlake export`: resources of a lake folder as NDJSON, one file per type."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from schemas.structure import RESOURCE_TYPES
from service.as_of import parse_at
from service.audit_command import command_trail
from service.commands.options import add_at, add_folder, open_to_look
from service.notices import notice
from storage import audit_trail
from storage.bulk_export.rows import Wanted, current_rows
from storage.lake import LakeAt

_COLUMNS = ("body", "patient_id")


def register(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser("export", help="export current resources as NDJSON (plaintext)")
    add_folder(parser)
    add_at(parser)
    parser.add_argument("--out", required=True, metavar="DIR", help="empty or new folder")
    parser.add_argument("--types", metavar="T,T", help="resource types (default: all)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Write one file per type, readable by the owner alone."""
    types = sorted(arguments.types.split(",")) if arguments.types else sorted(RESOURCE_TYPES)
    unknown = [name for name in types if name not in RESOURCE_TYPES]
    if unknown:
        raise SystemExit(f"chartlake: {unknown[0]!r} is not a resource type of FHIR R4")
    out = Path(arguments.out)
    if out.exists() and any(out.iterdir()):
        raise SystemExit(f"chartlake: {out} is not empty")
    out.mkdir(parents=True, exist_ok=True, mode=0o700)
    asked = tuple(types) if arguments.types else ()
    with open_to_look(arguments, "export", asked) as lake:
        # Recorded before the first file is there, and what was given out at the end.
        lake.record_access(command_trail("export").finish(0)).result()
        at = parse_at(arguments.at)
        view = lake.at(at)
        said = notice(lake, view.t, past=at is not None)
        for line in [f"as of commit {view.t}", *said.warnings]:
            print(f"chartlake: {line}", file=sys.stderr)
        for name in types:
            count = _export(view, name, out / f"{name}.ndjson")
            if count:
                print(f"{name:24} {count:>10,}")


def _export(view: LakeAt, resource_type: str, path: Path) -> int:
    """Write the current resources of a type, and say to the trail whose they are."""
    count, file, trail = 0, None, audit_trail.current()
    try:
        # Those of the type that are stored: the audit log is `chartlake audit export`'s.
        for table in current_rows(view.snapshot(), resource_type, Wanted(), _COLUMNS):
            if file is None:
                descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
                file = os.fdopen(descriptor, "wb")
            file.write(b"\n".join(table["body"].to_pylist()) + b"\n")
            count += table.num_rows
            if trail is not None:
                trail.gave(table.num_rows)
                trail.concerns(id for id in table["patient_id"].unique().to_pylist() if id)
    finally:
        if file is not None:
            file.close()
    return count
