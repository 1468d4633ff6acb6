"""`chartlake timeline`: a patient's events in clinical order."""

from __future__ import annotations

import argparse
import json
from typing import Any

from rich.console import Console

from service.commands.options import add_at, add_target, open_target, print_notices
from service.rendering import render_timeline


def register(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser("timeline", help="show a patient's timeline")
    add_target(parser)
    add_at(parser)
    parser.add_argument("patient", metavar="ID", help="id of the patient")
    parser.add_argument("--types", metavar="T,T", help="resource types")
    parser.add_argument("--since", metavar="DATE", help="first date")
    parser.add_argument("--until", metavar="DATE", help="last date")
    parser.add_argument("--json", action="store_true", help="events as JSON")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Fetch and show the timeline."""
    names = ("types", "since", "until", "at")
    filters = {name: getattr(arguments, name) for name in names}
    given = {name: value for name, value in filters.items() if value}
    with open_target(arguments, reading=True) as target:
        events = target.timeline(arguments.patient.removeprefix("Patient/"), **given)
        print_notices(target)
    if arguments.json:
        print(json.dumps(events, indent=2, default=str, ensure_ascii=False))
    else:
        render_timeline(Console(), arguments.patient, events)
