"""`chartlake verify`: is everything on disk what it should be?"""

from __future__ import annotations

import argparse
from typing import Any

from service.commands.options import add_folder, open_to_look


def register(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser("verify", help="check segments, versions and index")
    add_folder(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print every finding; 1 when there is one."""
    with open_to_look(arguments, "verify") as lake:
        findings = lake.verify()
        for finding in findings:
            print(finding)
        stats = lake.stats()
    if not findings:
        total = sum(stats["resources"].values())
        print(f"no fault found: {total:,} resources, commit {stats['t']}")
    return 1 if findings else 0
