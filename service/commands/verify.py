"""`chartlake verify`: is everything on disk what it should be?"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from typing import Any

from service.audit_command import command_lake
from service.commands.options import add_folder, open_to_look, settings_of
from storage.lake import Finding, Lake


def register(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser("verify", help="check segments, versions, index and audit log")
    add_folder(parser)
    parser.add_argument(
        "--repair",
        action="store_true",
        help="rebuild the index when nothing else is wrong, and check again",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print what was checked and every finding; 1 when there is one in the end."""
    if arguments.repair:
        with command_lake(settings_of(arguments), "verify-repair") as lake:
            return 1 if _repaired(lake) else 0
    with open_to_look(arguments, "verify") as lake:
        findings = _checked(lake)
    if findings and all(finding.of_index for finding in findings):
        print("only the index is damaged: `chartlake verify --repair` rebuilds it")
    return 1 if findings else 0


def _repaired(lake: Lake) -> Sequence[Finding]:
    findings = _checked(lake)
    if not findings:
        return findings
    others = sum(not finding.of_index for finding in findings)
    if others:
        print(f"not repaired: {others} of the faults are not of the index")
        return findings
    lake.reindex()
    print("the index was rebuilt; checking again")
    return _checked(lake)


def _checked(lake: Lake) -> Sequence[Finding]:
    """Check, and print the report."""
    checked: Counter[str] = Counter()
    findings = lake.verify(checked=checked)
    for what, count in checked.items():
        print(f"checked {count:>12,} {what}")
    for finding in findings:
        print(finding)
    if findings:
        print(f"faults found: {len(findings)}")
    else:
        stats = lake.stats()
        total = sum(stats["resources"].values())
        print(f"no fault found: {total:,} resources, commit {stats['t']}")
    return findings
