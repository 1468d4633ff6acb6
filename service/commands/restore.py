"""`chartlake restore`: a lake folder again, from a backup and the key store."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from service.commands.options import add_folder, settings_of
from service.lake_access import restore_lake


def register(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser("restore", help="make a new lake folder from a backup")
    add_folder(parser)
    parser.add_argument("folder", metavar="FOLDER", help="the backups of the lake")
    parser.add_argument(
        "--keys", metavar="FILE", required=True, help="the lake's keystore.json, or a copy of it"
    )
    parser.add_argument("--backup", metavar="ID", help="which one (default: the latest)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Restore and say what came back."""
    report = restore_lake(
        settings_of(arguments),
        Path(arguments.folder).expanduser(),
        Path(arguments.keys).expanduser(),
        arguments.backup,
    )
    # Made anew, the database has what is in the segments, and not all that the backup showed.
    shown = f"part of commit {report.t}" if report.rebuilt else f"commit {report.t}"
    print(f"{report.id}: {shown}, {report.segments} segments restored")
    if report.rebuilt:
        print("the database was made anew from the segments: an erase has made the old unreadable")
    if report.shredded:
        print(
            f"{len(report.shredded)} segments cannot be read any more, since an erase destroyed "
            "their keys; their other versions are in later backups"
        )
